//! How many cells the pool runs and keeps, which can change while it lives.

use std::rc::Rc;

use super::{Bounds, Cell, Key, Pool, count};

/// What of the bounds can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Cells that run at once.
    pub(super) places: usize,
    /// Cells that are kept.
    pub(super) warm: usize,
}

impl Size {
    /// As the pool begins.
    pub(super) fn of(bounds: &Bounds) -> Self {
        Self { places: bounds.places, warm: bounds.warm }
    }
}

impl Pool {
    /// Changes how many cells run at once and how many are kept, where given. Cells beyond that which run do so to the
    /// end of their calls; idle ones end at once.
    pub fn resize(&self, places: Option<usize>, warm: Option<usize>) {
        let old = self.size.get();
        self.size.set(Size { places: places.unwrap_or(old.places), warm: warm.unwrap_or(old.warm) });
        self.keep_at_most(self.size.get().warm, None);
        self.serve_waiting();
    }

    /// Ends idle cells while there are more than `most` cells, the least recently used first, but none of the group that
    /// they make room for.
    pub(super) fn keep_at_most(&self, most: usize, room_for: Option<&Key>) {
        loop {
            let state = self.state.borrow();
            if state.cells.len() <= most {
                return;
            }
            let may_go =
                |cell: &&Rc<Cell>| cell.idle() && Some(&cell.key) != room_for && !cell.state().holds_place;
            let idle = state.cells.values().filter(may_go);
            let oldest = idle.min_by_key(|cell| cell.state().used).cloned();
            drop(state);
            let Some(cell) = oldest else { return };
            count(&self.counts.evicted);
            self.let_go(&cell);
        }
    }
}
