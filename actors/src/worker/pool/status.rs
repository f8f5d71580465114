//! How the pool is and what it has counted, for the supervisor.

use std::cell::Cell as Slot;
use std::rc::Rc;

use protocol::channels::supervisor_status as status;

use super::{Group, Pool, Runs};
use crate::worker::cell::Cell;

/// What happened since the node's start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) started: Slot<u64>,
    pub(super) killed: Slot<u64>,
    pub(super) died: Slot<u64>,
    pub(super) evicted: Slot<u64>,
}

/// Counts one more.
pub(super) fn count(counter: &Slot<u64>) {
    counter.set(counter.get() + 1);
}

impl Pool {
    /// How the pool is.
    #[must_use]
    pub fn status(&self) -> status::Pool {
        let state = self.state.borrow();
        let small = |figure: usize| u32::try_from(figure).unwrap_or(u32::MAX);
        let mut cells: Vec<_> = state
            .groups
            .values()
            .flat_map(|group| group.cells.iter().map(|cell| describe(cell, group)))
            .collect();
        cells.sort_by_key(|cell| cell.pid);
        status::Pool {
            python: state.zygote.as_ref().map(|zygote| zygote.ready.python.clone()),
            zygote: state.zygote.as_ref().map(|zygote| zygote.pid),
            layers: state.layers.clone(),
            forbidden: state.attempted.as_ref().map(|attempted| status::Forbidden {
                refused: attempted.refused.clone(),
                allowed: attempted.allowed.clone(),
            }),
            places: small(self.size.get().places),
            warm: small(self.size.get().warm),
            running: small(state.running),
            queued: small(state.queued),
            cells,
            started: self.counts.started.get(),
            killed: self.counts.killed.get(),
            died: self.counts.died.get(),
            evicted: self.counts.evicted.get(),
        }
    }
}

fn describe(cell: &Rc<Cell>, group: &Group) -> status::Cell {
    let state = cell.state();
    let (project, script, version) = match &group.runs {
        Runs::Script(script) => {
            (script.record.project.clone(), script.record.slug.clone(), script.record.version)
        }
        Runs::Compiler => (String::new(), "compiler".to_owned(), 0),
    };
    let pid = state.process.as_ref().and_then(|(pid, _)| u32::try_from(*pid).ok()).unwrap_or(0);
    status::Cell { pid, project, script, version, calls: state.calls, busy: !state.flights.is_empty() }
}
