//! Cells that are loaded ahead, so that a call need not wait for a fork: for scripts which run each call in a cell of its
//! own, and in the place of a cell that is about to be killed. They are kept like other warm cells: the least recently made one
//! goes first when there are too many.

use super::{Key, Pool, State};
use crate::worker::cell::Phase;

impl Pool {
    /// Has as many spares of a script made as are missing, while there is nothing better to do.
    pub(super) fn top_up(&self, key: &Key) {
        while self.lacks_a_spare(key) && self.start(key) {}
    }

    /// Has a cell made for a script all of whose cells are about to be killed, while those still tell where they stand.
    pub(super) fn replace(&self, key: &Key) {
        if self.lacks_another(key) {
            self.start(key);
        }
    }

    fn lacks_another(&self, key: &Key) -> bool {
        let state = self.state.borrow();
        let group = state.groups.get(key).filter(|group| !group.runs.serves_once());
        group.is_some_and(|group| group.cells.iter().all(|cell| cell.state().asked.is_some()))
            && self.idles(&state, key)
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
        self.idles(&state, key) && spares.count() < group.queue.len() + self.bounds.spares
    }

    /// Whether there is nothing better to do than to make a cell of that group, and room for it.
    fn idles(&self, state: &State, key: &Key) -> bool {
        let idle =
            state.running < self.size.get().places && state.waiting.is_empty() && state.zygote.is_some();
        let room = state.cells.len() < self.size.get().warm
            || state.cells.values().any(|cell| cell.idle() && cell.key != *key);
        idle && room
    }
}
