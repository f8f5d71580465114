//! What a running call has printed so far, for who asks. Nothing here changes anything.

use protocol::frame::cell::Output;

use super::{Key, Pool};
use crate::call::Origin;

impl Pool {
    /// What the call of `origin` has printed so far; nothing unless it runs, in a cell of `key`.
    ///
    /// The page holds what the call that runs prints. It is read between two looks at which one that is, so that no caller
    /// gets the text of another's call.
    #[must_use]
    pub fn printed(&self, key: &Key, origin: &Origin) -> Option<Output> {
        let (cell, sequence) = {
            let state = self.state.borrow();
            state.groups.get(key)?.cells.iter().find_map(|cell| {
                let now = cell.state();
                let front = now.flights.front()?;
                let is_it = front.job.as_ref()?.origin.is(origin);
                is_it.then(|| (std::rc::Rc::clone(cell), front.sequence))
            })?
        };
        let runs = || cell.has_begun(sequence) && !cell.has_begun(sequence + 1);
        let output = runs().then(|| cell.output())?;
        runs().then_some(output)
    }
}
