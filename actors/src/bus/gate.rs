//! How much a node has in hand at once: calls of one role, and their bytes. What comes beyond is answered `OVERLOADED`
//! at once, so that neither a flood nor a part that is stuck lets the node's memory grow. Roles are counted apart: a
//! flood for one must not close the node to questions that its own parts ask.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::Failure;
use protocol::actions::Role;
use protocol::failure::Overloaded;

/// Most bytes of the messages in hand of one role, unless a single one is larger.
const MOST_BYTES: usize = 256 << 20;
/// When a caller that was turned away should ask again, in ms.
const RETRY_AFTER_MS: u64 = 100;

/// The gate of one role.
#[derive(Debug)]
pub struct Gate {
    most: u64,
    inside: Cell<u64>,
    bytes: Cell<usize>,
}

impl Gate {
    /// A gate that lets `most` calls in at once.
    #[must_use]
    pub fn new(most: u64) -> Rc<Self> {
        Rc::new(Self { most, inside: Cell::new(0), bytes: Cell::new(0) })
    }

    /// Lets a message of `bytes` in until what is returned is dropped.
    ///
    /// # Errors
    /// `OVERLOADED`: too much is inside.
    pub fn enter(self: &Rc<Self>, bytes: usize) -> Result<Inside, Failure> {
        let inside = self.inside.get();
        let heavy = inside > 0 && self.bytes.get().saturating_add(bytes) > MOST_BYTES;
        if inside >= self.most || heavy {
            return Err(Failure::Overloaded(Overloaded { retry_after_ms: RETRY_AFTER_MS }));
        }
        self.inside.set(inside + 1);
        self.bytes.set(self.bytes.get() + bytes);
        Ok(Inside { gate: Rc::clone(self), bytes })
    }
}

/// A place inside.
#[derive(Debug)]
pub struct Inside {
    gate: Rc<Gate>,
    bytes: usize,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.gate.inside.set(self.gate.inside.get().saturating_sub(1));
        self.gate.bytes.set(self.gate.bytes.get().saturating_sub(self.bytes));
    }
}

/// The gates of a node.
#[derive(Debug)]
pub struct Gates {
    most: u64,
    by_role: RefCell<BTreeMap<Role, Rc<Gate>>>,
}

impl Gates {
    /// Gates that let `most` calls of each role in at once.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self { most, by_role: RefCell::default() }
    }

    /// The gate of a role, one for all that it serves.
    #[must_use]
    pub fn of(&self, role: Role) -> Rc<Gate> {
        Rc::clone(self.by_role.borrow_mut().entry(role).or_insert_with(|| Gate::new(self.most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_are_inside_and_places_come_back() {
        let gates = Gates::new(2);
        let first = gates.of(Role::Worker).enter(10).unwrap();
        let _second = gates.of(Role::Worker).enter(10).unwrap();
        assert!(matches!(gates.of(Role::Worker).enter(10), Err(Failure::Overloaded(_))));
        drop(first);
        assert!(gates.of(Role::Worker).enter(10).is_ok());
    }

    #[test]
    fn a_full_role_leaves_others_open() {
        let gates = Gates::new(1);
        let _worker = gates.of(Role::Worker).enter(10).unwrap();
        assert!(gates.of(Role::Worker).enter(10).is_err());
        assert!(gates.of(Role::Scripts).enter(10).is_ok());
    }

    #[test]
    fn bytes_count_but_a_single_call_may_have_any() {
        let gate = Gate::new(100);
        let whole = gate.enter(2 * MOST_BYTES).unwrap();
        assert!(gate.enter(1).is_err());
        drop(whole);
        let _half = gate.enter(MOST_BYTES / 2).unwrap();
        let _other = gate.enter(MOST_BYTES / 2).unwrap();
        assert!(gate.enter(1).is_err());
    }
}
