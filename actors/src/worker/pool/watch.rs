//! Deadlines and patience: a look over the busy cells every few milliseconds while there are any, instead of a timer
//! for each call.

use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;

use super::{Pool, count, death};
use crate::call::cancelled;
use crate::worker::cell::{Cell, Flight, Phase};
use crate::worker::job::Job;

/// How often the pool looks.
const LOOK: Duration = Duration::from_millis(3);
/// A call that waits behind one that has run this long goes elsewhere.
const PATIENCE: Duration = Duration::from_millis(5);
/// Longest wait for a cell to pass over a call that was taken back.
const ANSWER: Duration = Duration::from_millis(100);
/// Longest time that a script may take to be compiled and imported.
const LOAD: Duration = Duration::from_secs(5);
/// A cell that still loads after this long when no call waits for it any more is stuck in its script's top level.
const UNWANTED: Duration = Duration::from_secs(1);
/// Longest wait for the zygote to say how a cell has ended, or for a pipe to end after its process has.
const REPORT: Duration = Duration::from_millis(50);

/// Looks as long as the pool lives.
pub(super) async fn watch(pool: Weak<Pool>, mut closing: Receiver<bool>) {
    loop {
        let Some(here) = pool.upgrade() else { return };
        let busy = {
            let state = here.state.borrow();
            state.running > 0 || state.queued > 0 || !state.dying.is_empty()
        };
        let active = Rc::clone(&here.active);
        if busy {
            here.look();
        }
        // Not held while waiting, so that the pool can be dropped.
        drop(here);
        let next = async { if busy { tokio::time::sleep(LOOK).await } else { active.notified().await } };
        tokio::select! {
            () = next => {}
            _ = closing.changed() => return,
        }
    }
}

impl Pool {
    fn look(&self) {
        crate::faults::point("watch");
        let now = Instant::now();
        let cells: Vec<_> = {
            let state = self.state.borrow();
            state
                .cells
                .values()
                .filter(|cell| cell.state().holds_place || cell.state().exit.is_some())
                .cloned()
                .collect()
        };
        for cell in cells {
            self.look_at(&cell, now);
        }
        self.end_in_queues(now);
        self.end_unreported(now);
        self.serve_waiting();
    }

    fn look_at(&self, cell: &Rc<Cell>, now: Instant) {
        let (phase, since, exited) = {
            let state = cell.state();
            (state.phase, state.since, state.exit.is_some())
        };
        if exited && now.duration_since(since.max(cell.state().used)) > REPORT {
            // Its process has gone but something still holds its pipe open.
            self.lose(cell);
            return;
        }
        match phase {
            Phase::Ready => self.look_at_flights(cell, now),
            Phase::Starting | Phase::Loading => self.look_at_loading(cell, now.duration_since(since)),
            Phase::Gone => {}
        }
    }

    fn look_at_flights(&self, cell: &Rc<Cell>, now: Instant) {
        self.look_for_cancelled(cell);
        let (gone, late, ran, behind) = {
            let state = cell.state();
            let Some(front) = state.flights.front() else { return };
            let gone = front.job.is_none();
            let late = front.job.as_ref().is_some_and(|job| job.late(now));
            let ran = front.begun.map_or(Duration::ZERO, |begun| now.duration_since(begun));
            (gone, late, ran, state.flights.len() > 1 && !state.withdrawn)
        };
        if gone && ran > ANSWER {
            // It neither skips what was taken back nor answers: no deadline would ever end it.
            count(&self.counts.killed);
            let (_, waiting) = self.part_flights(cell);
            self.let_go(cell);
            self.recover(cell, waiting, false);
        } else if late && !cell.state().asked {
            // It has until the next look to write down where it stands; then it is killed.
            cell.state_mut().asked = true;
            cell.ask_where();
        } else if late {
            self.kill_late(cell, now);
        } else if behind && ran > PATIENCE {
            self.withdraw(cell, 1);
        }
    }

    /// Ends cancelled calls in a cell's pipe. One that it has begun can only be stopped with the cell.
    fn look_for_cancelled(&self, cell: &Rc<Cell>) {
        let is_cancelled = |flight: &Flight| flight.job.as_ref().is_some_and(|job| job.cancel.by().is_some());
        let (first, begun) = {
            let state = cell.state();
            let Some(first) = state.flights.iter().position(is_cancelled) else { return };
            (first, first == 0 && state.flights.front().is_some_and(|front| cell.has_begun(front.sequence)))
        };
        if !begun {
            self.withdraw(cell, first);
            return;
        }
        count(&self.counts.killed);
        let (running, waiting) = self.part_flights(cell);
        self.let_go(cell);
        // Others that had begun are lost with it: nobody can say how far they came.
        for (job, at) in running {
            let failure = job.cancel.by().map_or_else(|| death::neighbour(&job, at), cancelled);
            job.end(Err(failure));
        }
        self.recover(cell, end_cancelled(waiting), false);
    }

    /// Ends a cell whose call is past its deadline. The reply does not wait for the process to be gone.
    fn kill_late(&self, cell: &Rc<Cell>, now: Instant) {
        count(&self.counts.killed);
        let front_began = cell.state().flights.front().and_then(|flight| flight.begun);
        let scene = self.scene(cell);
        self.note_death(cell);
        let (begun, mut waiting) = self.part_flights(cell);
        self.let_go(cell);
        let nothing_began = begun.is_empty();
        for (job, at) in begun {
            let failure = match job.late(now) {
                true => death::deadline(&job, at.or(front_began), scene),
                false => death::neighbour(&job, at),
            };
            job.end(Err(failure));
        }
        if nothing_began {
            // The cell hung before it began anything; what is late fails all the same.
            let (late, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|job| job.late(now));
            late.into_iter().for_each(end_queued);
            waiting = rest;
        }
        self.recover(cell, waiting, false);
    }

    /// Takes back the calls in a cell's pipe from that place on, as far as they are not begun.
    fn withdraw(&self, cell: &Rc<Cell>, place: usize) {
        let Some(from) = cell.state().flights.get(place).map(|flight| flight.sequence) else { return };
        if cell.withdraw_from(from).is_err() {
            return;
        }
        let mut taken = Vec::new();
        {
            let mut state = cell.state_mut();
            state.withdrawn = true;
            for flight in state.flights.iter_mut().skip(place) {
                // The page is read after it was written: a call is either seen as begun here or skipped there.
                if !cell.has_begun(flight.sequence) {
                    taken.extend(flight.job.take());
                }
            }
        }
        self.take_back(&cell.key, end_cancelled(taken), false);
        self.pump(&cell.key);
    }

    fn look_at_loading(&self, cell: &Rc<Cell>, took: Duration) {
        let unwanted = self.state.borrow().groups.get(&cell.key).is_none_or(|group| group.queue.is_empty());
        if took > LOAD || (unwanted && took > UNWANTED) {
            count(&self.counts.killed);
            self.let_go(cell);
            self.note_death(cell);
            if took > LOAD {
                self.fail_queue(&cell.key, || death::no_process("load_timeout"));
            }
            self.serve_waiting();
        }
    }

    /// Ends calls that wait and are late or cancelled.
    fn end_in_queues(&self, now: Instant) {
        let mut over = Vec::new();
        let mut state = self.state.borrow_mut();
        for group in state.groups.values_mut() {
            let ends = |job: &Job| job.late(now) || job.cancel.by().is_some();
            if !group.queue.iter().any(ends) {
                continue;
            }
            let loading = group.cells.iter().any(|cell| cell.state().phase == Phase::Loading);
            let waiting = std::mem::take(&mut group.queue);
            let (ended, rest): (Vec<Job>, Vec<Job>) = waiting.into_iter().partition(ends);
            group.queue = rest.into();
            over.extend(ended.into_iter().map(|job| (job, loading)));
        }
        state.queued -= over.len();
        let keys: Vec<_> = state.groups.keys().copied().collect();
        keys.iter().for_each(|key| state.drop_if_empty(key));
        drop(state);
        for (job, loading) in over {
            match (job.cancel.by(), loading) {
                (Some(by), _) => job.end(Err(cancelled(by))),
                (None, true) => {
                    let failure = death::deadline(&job, None, death::Scene::default());
                    job.end(Err(failure));
                }
                (None, false) => end_queued(job),
            }
        }
    }

    /// Answers for cells of which nobody says how they ended.
    fn end_unreported(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        let ids: Vec<u64> = state
            .dying
            .iter()
            .filter(|(_, dying)| now.duration_since(dying.since) > REPORT)
            .map(|(id, _)| *id)
            .collect();
        let dying: Vec<_> = ids.iter().filter_map(|id| state.dying.remove(id)).collect();
        drop(state);
        dying.into_iter().for_each(super::Dying::end);
    }
}

/// Ends the calls that were cancelled; the others.
fn end_cancelled(jobs: Vec<Job>) -> Vec<Job> {
    let (over, rest): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.cancel.by().is_some());
    for job in over {
        if let Some(by) = job.cancel.by() {
            job.end(Err(cancelled(by)));
        }
    }
    rest
}

fn end_queued(job: Job) {
    let failure = job.deadline.passed_in_queue(None);
    job.end(Err(failure));
}
