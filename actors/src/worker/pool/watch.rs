//! Deadlines and patience: a look over the busy cells every few milliseconds while there are any, instead of a timer
//! for each call.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch::Receiver;

use super::{Key, Pool, count, death};
use crate::call::cancelled;
use crate::worker::cell::{Cell, Flight, Phase};
use crate::worker::job::Job;

/// How often the pool looks.
const LOOK: Duration = Duration::from_millis(3);
/// A call that waits behind one that has run this long goes elsewhere.
const PATIENCE: Duration = Duration::from_millis(5);
/// A cell that has not begun its next call after this long does something else, though it has answered the one before:
/// the call goes elsewhere.
const BEGIN: Duration = Duration::from_millis(200);
/// Longest wait for a cell to pass over a call that was taken back.
const ANSWER: Duration = Duration::from_millis(100);
/// Longest time that a script may take to be compiled and imported.
const LOAD: Duration = Duration::from_secs(5);
/// A cell that still loads after this long when no call waits for it any more is stuck in its script's top level.
const UNWANTED: Duration = Duration::from_secs(1);
/// Longest wait for the zygote to say how a cell has ended, or for a pipe to end after its process has.
const REPORT: Duration = Duration::from_millis(200);

/// Looks as long as the pool lives.
pub(super) async fn watch(pool: Weak<Pool>, mut closing: Receiver<bool>) {
    loop {
        let Some(here) = pool.upgrade() else { return };
        let busy = {
            let state = here.state.borrow();
            state.running > 0 || state.lent > 0 || state.queued > 0 || !state.dying.is_empty()
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
                .filter(|cell| {
                    let state = cell.state();
                    state.holds_place || state.lent || state.exit.is_some()
                })
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
        self.look_for_cancelled(cell, now);
        self.look_at_place(cell);
        let (gone, grace, late, ran, behind, begun) = {
            let state = cell.state();
            let Some(front) = state.flights.front() else { return };
            let gone = front.job.is_none();
            let late = front.job.as_ref().is_some_and(|job| job.late(now));
            let ran = front.begun.map_or(Duration::ZERO, |begun| now.duration_since(begun));
            let behind = state.flights.len() > 1 && !state.withdrawn;
            // The page is looked at only where it matters.
            let begun = ran <= BEGIN || cell.has_begun(front.sequence);
            (gone, front.grace, late, ran, behind, begun)
        };
        if let Some(grace) = grace {
            if now >= grace {
                self.end_grace(cell);
            }
        } else if gone && ran > ANSWER {
            // It neither skips what was taken back nor answers: no deadline would ever end it.
            count(&self.counts.killed);
            let (_, waiting) = self.part_flights(cell);
            self.let_go(cell);
            self.recover(cell, waiting, false);
        } else if late && self.waits(cell) {
            self.end_gently(cell, now);
        } else if late {
            let asked = cell.state().asked.is_some();
            if self.has_told(cell) {
                self.kill_late(cell, now);
            } else if !asked {
                self.replace(&cell.key);
            }
        } else if !begun && ran > BEGIN {
            self.withdraw(cell, 0);
        } else if behind && ran > PATIENCE {
            self.withdraw(cell, 1);
        }
    }

    /// Whether the running call of a cell waits for something to happen, as the cell says.
    fn waits(&self, cell: &Rc<Cell>) -> bool {
        let front = cell.state().flights.front().map(|front| front.sequence);
        !self.bounds.grace.is_zero() && front.is_some_and(|sequence| cell.waits(sequence))
    }

    /// Ends cancelled calls in a cell's pipe. One that it has begun may come to an end by itself, else it ends with the
    /// cell; its caller waits for neither.
    fn look_for_cancelled(&self, cell: &Rc<Cell>, now: Instant) {
        let is_cancelled =
            |flight: &Flight| flight.job.as_ref().is_some_and(|job| job.origin.cancel.by().is_some());
        let (first, begun) = {
            let state = cell.state();
            let Some(first) = state.flights.iter().position(is_cancelled) else { return };
            (first, first == 0 && state.flights.front().is_some_and(|front| cell.has_begun(front.sequence)))
        };
        if !begun {
            self.withdraw(cell, first);
            return;
        }
        self.end_gently(cell, now);
    }

    /// Ends a cell whose call is past its deadline. The reply does not wait for the process to be gone.
    fn kill_late(&self, cell: &Rc<Cell>, now: Instant) {
        count(&self.counts.killed);
        let front_began = cell.state().flights.front().and_then(|flight| flight.begun);
        let scene = self.scene(cell);
        let (begun, mut waiting) = self.part_flights(cell);
        self.let_go(cell);
        let nothing_began = begun.is_empty();
        if !nothing_began {
            // A cell that did not get to its call for want of processor time says nothing about its script.
            self.note_death(cell);
        }
        for (job, at) in begun {
            let failure = match job.late(now) {
                true => death::deadline(&job, at.or(front_began), &scene),
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
    pub(super) fn withdraw(&self, cell: &Rc<Cell>, place: usize) {
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
                    // From now on it has its time to skip it.
                    flight.begun = flight.begun.map(|_| Instant::now());
                }
            }
        }
        self.take_back(&cell.key, end_cancelled(taken), false);
        self.pump(&cell.key);
    }

    fn look_at_loading(&self, cell: &Rc<Cell>, took: Duration) {
        let unwanted = self.state.borrow().groups.get(&cell.key).is_none_or(|group| group.queue.is_empty());
        if took <= LOAD && !(unwanted && took > UNWANTED) {
            return;
        }
        let loading = cell.state().phase == Phase::Loading;
        if loading && !self.has_told(cell) {
            return;
        }
        count(&self.counts.killed);
        let scene = self.scene(cell);
        let jobs = if took > LOAD { self.take_queue(&cell.key) } else { VecDeque::new() };
        self.let_go(cell);
        self.note_death(cell);
        for job in jobs {
            let failure = death::load_timeout(&job, &scene);
            job.end(Err(failure));
        }
        self.serve_waiting();
    }

    /// Ends calls that wait and are late or cancelled.
    fn end_in_queues(&self, now: Instant) {
        let ends = |job: &Job| job.late(now) || job.origin.cancel.by().is_some();
        let state = self.state.borrow();
        let keys: Vec<_> = state
            .groups
            .iter()
            .filter(|(_, group)| group.queue.iter().any(ends))
            .map(|(key, _)| *key)
            .collect();
        let loading = |key: &Key| {
            let cells = &state.groups.get(key)?.cells;
            cells.iter().find(|cell| cell.state().phase == Phase::Loading).cloned()
        };
        let groups: Vec<_> = keys.into_iter().map(|key| (key, loading(&key))).collect();
        drop(state);
        for (key, loading) in groups {
            if loading.as_ref().is_some_and(|cell| !self.has_told(cell)) {
                // The script that keeps these calls waiting says where it stands first.
                continue;
            }
            let scene = loading.as_ref().map(|cell| self.scene(cell));
            if let Some(cell) = loading {
                cell.state_mut().asked = None;
                cell.forget_where();
            }
            let (over, rest): (Vec<Job>, Vec<Job>) = self.take_queue(&key).into_iter().partition(ends);
            let mut state = self.state.borrow_mut();
            state.queued += rest.len();
            if let Some(group) = state.groups.get_mut(&key) {
                group.queue = rest.into();
            }
            state.drop_if_empty(&key);
            drop(state);
            for job in over {
                match (job.origin.cancel.by(), &scene) {
                    (Some(by), _) => job.end(Err(cancelled(by))),
                    (None, Some(scene)) => {
                        let failure = death::deadline(&job, None, scene);
                        job.end(Err(failure));
                    }
                    (None, None) => end_queued(job),
                }
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
    let (over, rest): (Vec<Job>, Vec<Job>) =
        jobs.into_iter().partition(|job| job.origin.cancel.by().is_some());
    for job in over {
        if let Some(by) = job.origin.cancel.by() {
            job.end(Err(cancelled(by)));
        }
    }
    rest
}

fn end_queued(job: Job) {
    let failure = job.origin.deadline.passed_in_queue(None);
    job.end(Err(failure));
}
