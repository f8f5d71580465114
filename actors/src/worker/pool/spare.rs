//! Cells that are loaded ahead for scripts which run each call in a cell of its own, so that a call need not wait for a
//! fork. Spares are kept like other warm cells: the least recently made one goes first when there are too many.

use super::{Key, Pool};
use crate::worker::cell::Phase;

impl Pool {
    /// Has as many spares of a script made as are missing, while there is nothing better to do.
    pub(super) fn top_up(&self, key: &Key) {
        while self.lacks_a_spare(key) && self.start(key) {}
    }

    fn lacks_a_spare(&self, key: &Key) -> bool {
        let state = self.state.borrow();
        let Some(group) = state.groups.get(key).filter(|group| group.runs.keeps_spares()) else {
            return false;
        };
        let spares = group.cells.iter().filter(|cell| {
            let cell = cell.state();
            cell.phase != Phase::Gone && cell.calls == 0 && cell.flights.is_empty()
        });
        let idle =
            state.running < self.size.get().places && state.waiting.is_empty() && state.zygote.is_some();
        let room = state.cells.len() < self.size.get().warm
            || state.cells.values().any(|cell| cell.idle() && cell.key != *key);
        idle && room && spares.count() < group.queue.len() + self.bounds.spares
    }
}
