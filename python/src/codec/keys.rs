//! A small cache of dict keys: payloads repeat a few short ones, and a `str` that is met again costs neither a new
//! object nor a new hash.
//!
//! Only keys are kept, never values, and a fixed number of them. They are not interned: on some Pythons that would
//! keep them for ever.

use super::fault::Done;
use super::object;
use pyo3::{Bound, Py, PyAny, Python};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// How many keys are kept; a key's place follows from its bytes, and the later one takes it.
const PLACES: usize = 512;

/// The longest key that is kept, in bytes.
const LONGEST: usize = 32;

static CACHE: Mutex<Cache> = Mutex::new(Cache([const { None }; PLACES]));

struct Cache([Option<Kept>; PLACES]);

struct Kept {
    name: Name,
    key: Py<PyAny>,
}

/// All bytes of a key of at most [`LONGEST`] bytes as words that may overlap; together with the length they say
/// exactly which key it is, so that comparing two takes no loop.
#[derive(Clone, Copy)]
struct Name {
    words: [u64; 4],
    length: usize,
}

/// The door to the cache during one read; without a cache if another read holds it (another thread, or an outer read
/// of this one that a finaliser has interrupted).
pub(super) struct Keys<'a>(Option<MutexGuard<'a, Cache>>);

/// Runs `read` with the cache, never waiting for it.
pub(super) fn with<T>(read: impl FnOnce(&mut Keys<'_>) -> T) -> T {
    let guard = match CACHE.try_lock() {
        Ok(guard) => Some(guard),
        // Every state of the cache is a good one, also the one that a panic left.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    read(&mut Keys(guard))
}

impl Keys<'_> {
    /// `dict[key] = value`, where `key` is UTF-8 (which is checked).
    #[inline]
    pub(super) fn insert(
        &mut self,
        py: Python<'_>,
        dict: &Bound<'_, PyAny>,
        key: &[u8],
        value: &Bound<'_, PyAny>,
    ) -> Done {
        let place = self.0.as_mut().zip(Name::of(key)).and_then(|(cache, name)| {
            let place = cache.0.get_mut(name.place())?;
            Some((place, name))
        });
        let Some((place, name)) = place else {
            return object::insert(dict, &object::text(py, key)?, value);
        };
        match place {
            Some(kept) if kept.name.is(name) => object::insert(dict, kept.key.bind(py), value),
            place => {
                let key = object::text(py, key)?;
                object::insert(dict, &key, value)?;
                *place = Some(Kept { name, key: key.unbind() });
                Ok(())
            }
        }
    }
}

impl Name {
    #[inline]
    fn of(key: &[u8]) -> Option<Self> {
        let length = key.len();
        let words = if let (Some(head), Some(tail)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
            match (key.first_chunk::<16>(), key.last_chunk::<16>()) {
                (Some(first), Some(last)) if length <= LONGEST => [head, upper(first), lower(last), tail],
                (None, None) => [head, tail, 0, 0],
                _ => return None,
            }
        } else if let (Some(head), Some(tail)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            [u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)), 0, 0]
        } else {
            [key.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)), 0, 0, 0]
        };
        Some(Self { words, length })
    }

    /// Whether both are of the same key; word by word, since they have just been put together in registers.
    #[inline]
    fn is(&self, other: Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        self.length == other.length && a == e && b == f && c == g && d == h
    }

    /// Where this key is kept. Keys that meet there only put each other out.
    #[inline]
    fn place(&self) -> usize {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [a, b, c, d] = self.words;
        let mixed = (a ^ d.rotate_left(32)).wrapping_mul(SPREAD) ^ b ^ c.rotate_left(32);
        (mixed.wrapping_mul(SPREAD) >> 32) as usize % PLACES
    }
}

#[inline]
fn upper(sixteen: &[u8; 16]) -> u64 {
    (u128::from_le_bytes(*sixteen) >> 64) as u64
}

#[inline]
fn lower(sixteen: &[u8; 16]) -> u64 {
    u128::from_le_bytes(*sixteen) as u64
}
