//! The values of lists that are still open, on one stack for a whole read.
//!
//! A list is made when its end is reached, at its exact length: a length that the input merely claims never allocates
//! anything, and no half-filled list is ever to be seen by Python code.

use super::MAX_DEPTH;
use super::fault::{Done, Fault};
use super::object::{self, Made};
use pyo3::{Bound, PyAny, Python};

/// Values in the order in which they were read, and how deep the reader stands.
pub(super) struct Stack<'py> {
    values: Vec<Bound<'py, PyAny>>,
    depth: usize,
}

impl<'py> Stack<'py> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), depth: 0 }
    }

    /// A list or dict begins.
    #[inline]
    pub(super) fn enter(&mut self) -> Done {
        if self.depth == MAX_DEPTH {
            return Err(Fault::too_deep());
        }
        self.depth += 1;
        Ok(())
    }

    /// A list or dict ends.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Where the values of a list that begins now will stand.
    #[inline]
    pub(super) fn base(&self) -> usize {
        self.values.len()
    }

    /// One more value of the innermost list.
    #[inline]
    pub(super) fn push(&mut self, value: Bound<'py, PyAny>) -> Done {
        if self.values.len() == self.values.capacity() {
            self.values.try_reserve(16).map_err(|_| Fault::out_of_memory())?;
        }
        self.values.push(value);
        Ok(())
    }

    /// The list of all values from `base` on, which leave the stack.
    #[inline]
    pub(super) fn list(&mut self, py: Python<'py>, base: usize) -> Made<'py> {
        object::list(py, self.values.drain(base..))
    }
}
