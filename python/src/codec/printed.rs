//! A small cache of keys as a format prints them: values that follow each other have the same few keys, and one that is
//! met again costs a comparison of addresses and a copy of fixed size.
//!
//! Only keys are kept, never values, and a fixed number of them, also when the value has gone: the next one of a cell
//! mostly has the same. A `str` that is kept cannot change, nor can another object come to stand at its address.

use super::object::{self, Kind};
use pyo3::{Borrowed, Py, PyAny};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

/// How many pairs of keys are kept of each format; which pair a key belongs to follows from its address, and the latest
/// two are kept there.
const PAIRS: usize = 128;

/// The longest key that is kept, in bytes as it is printed.
const LONGEST: usize = 32;

/// The keys of one format.
pub(super) struct Cache(Mutex<Pairs>);

type Pairs = [[Option<Kept>; 2]; PAIRS];

struct Kept {
    key: Py<PyAny>,
    printed: Printed,
}

/// A key as it is printed: the first `length` of `bytes`.
pub(super) struct Printed {
    pub(super) bytes: [u8; LONGEST],
    pub(super) length: usize,
}

impl Printed {
    fn of(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { bytes, length: key.len() })
    }
}

/// The door to a cache during one walk; without a cache if another walk holds it (another thread, or an outer walk
/// whose value runs code).
pub(super) struct Keys(Option<MutexGuard<'static, Pairs>>);

impl Cache {
    pub(super) const fn new() -> Self {
        Self(Mutex::new([const { [const { None }; 2] }; PAIRS]))
    }

    /// Opens the cache, never waiting for it.
    pub(super) fn open(&'static self) -> Keys {
        Keys(super::opened(&self.0))
    }
}

impl Keys {
    /// How `key` is printed, if it has been met.
    #[inline]
    pub(super) fn find(&self, key: Borrowed<'_, '_, PyAny>) -> Option<&Printed> {
        let pair = self.0.as_ref()?.get(pair(key))?;
        let found = pair.iter().flatten().find(|kept| ptr::eq(kept.key.as_ptr(), key.as_ptr()));
        found.map(|kept| &kept.printed)
    }

    /// Keeps how `key` is printed, if it is short and exactly a `str`: a subclass might have a finaliser.
    pub(super) fn keep(&mut self, key: Borrowed<'_, '_, PyAny>, printed: &[u8]) {
        let pair = self.0.as_mut().and_then(|pairs| pairs.get_mut(pair(key)));
        let (Some([latest, before]), Kind::Text) = (pair, object::kind(key)) else { return };
        if let Some(printed) = Printed::of(printed) {
            *before = latest.take();
            *latest = Some(Kept { key: key.to_owned().unbind(), printed });
        }
    }
}

/// The pair that `key` belongs to.
#[inline]
fn pair(key: Borrowed<'_, '_, PyAny>) -> usize {
    const SPREAD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;
    (key.as_ptr().addr().wrapping_mul(SPREAD) >> (usize::BITS / 2)) % PAIRS
}
