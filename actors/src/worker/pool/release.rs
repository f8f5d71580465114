//! How cells leave the pool, what is seen of them then, and what becomes of the calls that waited for them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::Failure;

use super::{Pool, Runs, death};
use crate::worker::cell::{Cell, Phase};
use crate::worker::job::Job;
use crate::worker::script::Key;

impl Pool {
    /// Takes a cell out of the pool and ends its process. Calls in its pipe must have been taken care of.
    pub(super) fn let_go(&self, cell: &Rc<Cell>) {
        self.forsake(cell);
        cell.kill();
    }

    /// Takes a cell out of the pool; its process is still to be ended.
    pub(super) fn forsake(&self, cell: &Rc<Cell>) {
        if cell.state().phase == Phase::Gone {
            return;
        }
        cell.enter(Phase::Gone);
        self.end_lending(cell);
        let known = cell.state().process.is_some();
        let held = std::mem::take(&mut cell.state_mut().holds_place);
        let mut state = self.state.borrow_mut();
        state.cells.remove(&cell.id);
        state.running -= usize::from(held);
        if !known && cell.state().exit.is_none() {
            state.doomed.insert(cell.id);
        }
        if let Some(group) = state.groups.get_mut(&cell.key) {
            group.cells.retain(|other| other.id != cell.id);
        }
        state.drop_if_empty(&cell.key);
    }

    /// Notes that a cell died of what it ran. Calls that wait for an opened circuit fail at once.
    pub(super) fn note_death(&self, cell: &Rc<Cell>) {
        if cell.key == Key::COMPILER {
            // Its texts are from anyone: one caller's must not take it from the others.
            return;
        }
        let opened = self.state.borrow_mut().circuits.note(&cell.key, self.bounds.circuit, Instant::now());
        if opened {
            tracing::warn!(script = self.slug(cell), "its cells keep dying: it is left alone for a while");
            self.fail_queue(&cell.key, || death::no_process("circuit_open"));
        }
    }

    /// The slug of the script that a cell holds, for the log.
    pub(super) fn slug(&self, cell: &Rc<Cell>) -> Option<String> {
        self.state.borrow().groups.get(&cell.key)?.runs.slug().map(str::to_owned)
    }

    /// Whether a cell that is about to be killed has said where its script stands, or has had its time to; asks it first.
    pub(super) fn has_told(&self, cell: &Rc<Cell>) -> bool {
        /// More than a fault handler takes on a busy machine, and well within what a late reply may take.
        const TIME: Duration = Duration::from_millis(30);
        let asked = cell.state().asked;
        let told = asked.is_some_and(|at| at.elapsed() > TIME || self.line(cell).is_some());
        if !told {
            cell.ask_where();
        }
        told
    }

    /// The line that a cell has written down.
    fn line(&self, cell: &Rc<Cell>) -> Option<u32> {
        cell.line(&self.slug(cell)?)
    }

    /// What is seen of a cell that is about to be let go.
    pub(super) fn scene(&self, cell: &Rc<Cell>) -> death::Scene {
        let line = self.line(cell);
        let state = cell.state();
        let since = (state.phase == Phase::Loading).then(|| state.since.elapsed());
        let (started, loaded, stopped) = (state.started, state.loaded.or(since), state.stopped);
        drop(state);
        death::Scene {
            line,
            peak: cell.peak(),
            refused: cell.refused(),
            output: cell.output().text(),
            stopped,
            born: Some(cell.born),
            started,
            loaded,
        }
    }

    /// Ends every call of a group that has not begun.
    pub(super) fn fail_queue(&self, key: &Key, failure: impl Fn() -> Failure) {
        self.take_queue(key).into_iter().for_each(|job| job.end(Err(failure())));
    }

    /// Takes every call of a group that has not begun out of its queue.
    pub(super) fn take_queue(&self, key: &Key) -> VecDeque<Job> {
        let mut state = self.state.borrow_mut();
        let jobs =
            state.groups.get_mut(key).map(|group| std::mem::take(&mut group.queue)).unwrap_or_default();
        state.queued -= jobs.len();
        jobs
    }

    /// Puts calls that were not begun back to the front of their group's queue, in their order. `lost` is whether
    /// their cell died: what stood in the pipes of several that did may be what they die of.
    pub(super) fn take_back(&self, key: &Key, jobs: Vec<Job>, lost: bool) {
        const MOST_LOSSES: u8 = 3;
        let mut state = self.state.borrow_mut();
        let open = state.circuits.open(key, Instant::now()).is_some();
        for mut job in jobs.into_iter().rev() {
            job.losses += u8::from(lost);
            if open {
                job.end(Err(death::no_process("circuit_open")));
            } else if job.losses > MOST_LOSSES {
                job.end(Err(death::no_process("no_process")));
            } else {
                // The group may have gone with its last cell.
                state.group(key, &job.runs).queue.push_front(job);
                state.queued += 1;
            }
        }
    }

    /// Ends the idle cells of a script, all versions: it has changed.
    pub fn forget(&self, project: &str, id: protocol::Id) {
        let _inside = self.inside();
        let of_script = |cell: &Rc<Cell>| {
            let state = self.state.borrow();
            let runs = state.groups.get(&cell.key).map(|group| group.runs.clone());
            matches!(runs, Some(Runs::Script(script)) if script.record.project == project && script.record.id == id)
        };
        let cells: Vec<_> = self.state.borrow().cells.values().cloned().collect();
        for cell in cells.into_iter().filter(|cell| cell.idle() && of_script(cell)) {
            self.let_go(&cell);
        }
    }
}
