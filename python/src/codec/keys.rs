//! A small cache of dict keys: payloads repeat a few short ones, and a `str` that is met again costs neither a new
//! object nor a new hash. A key also knows which one came after it the last time: dicts that follow each other mostly
//! have the same keys in the same order, and then JSON text needs only be compared with what is expected.
//!
//! Only keys are kept, never values, and a fixed number of them. They are not interned: on some Pythons that would
//! keep them for ever.

use super::fault::{Done, Fault};
use super::object::{self, Made};
use super::scan;
use pyo3::{Bound, Py, PyAny, Python};
use std::sync::{Mutex, MutexGuard};

/// How many keys are kept; a key's place follows from its bytes, and the later one takes it.
const PLACES: usize = 512;

/// The longest key that is kept, in bytes.
const LONGEST: usize = 32;

/// The longest JSON text that is compared at once, in bytes: a key, its quotes and a colon.
const TEXT: usize = 32;

static CACHE: Mutex<Cache> = Mutex::new(Cache([const { None }; PLACES]));

struct Cache([Option<Kept>; PLACES]);

struct Kept {
    name: Name,
    key: Py<PyAny>,
    text: Text,
    /// The place of the key that came after this one the last time, or may.
    next: usize,
}

/// A key as JSON text, with its quotes and a colon, if it has nothing to escape and is not too long.
struct Text {
    bytes: [u128; 2],
    mask: [u128; 2],
    /// Zero if there is no such text.
    length: usize,
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
pub(super) struct Keys<'a> {
    cache: Option<MutexGuard<'a, Cache>>,
    /// The place of the key that was read last, but for those that are not kept; [`PLACES`] before the first.
    last: usize,
    /// The place of the key that is expected.
    next: usize,
}

/// Runs `read` with the cache, never waiting for it.
pub(super) fn with<T>(read: impl FnOnce(&mut Keys<'_>) -> T) -> T {
    read(&mut Keys { cache: super::opened(&CACHE), last: PLACES, next: PLACES })
}

impl Keys<'_> {
    /// The key that is expected, if `rest` begins with it in quotes and a colon, and what follows that. The end of a text is
    /// never expected: what is compared at once is of fixed size.
    #[inline]
    pub(super) fn expected<'a, 'py>(
        &mut self,
        py: Python<'py>,
        rest: &'a [u8],
    ) -> Option<(Bound<'py, PyAny>, &'a [u8])> {
        let kept = self.cache.as_ref()?.0.get(self.next)?.as_ref()?;
        if !kept.text.begins(rest.first_chunk()?) {
            return None;
        }
        let rest = rest.get(kept.text.length..)?;
        let key = kept.key.bind(py).clone();
        (self.last, self.next) = (self.next, kept.next);
        Some((key, rest))
    }

    /// The `str` of `key`, which is UTF-8 (this is checked), for [`expected`](Self::expected) to know it again.
    #[inline]
    pub(super) fn key<'py>(&mut self, py: Python<'py>, key: &[u8]) -> Made<'py> {
        let Some(name) = Name::of(key) else {
            return object::text(py, key);
        };
        let here = name.place();
        if let Some(Some(last)) = self.cache.as_mut().and_then(|cache| cache.0.get_mut(self.last)) {
            last.next = here;
        }
        self.last = here;
        match self.kept(py, key, name)? {
            Some(kept) => {
                let (key, next) = (kept.key.bind(py).clone(), kept.next);
                self.next = next;
                Ok(key)
            }
            None => object::text(py, key),
        }
    }

    /// `dict[key] = value`, where `key` is UTF-8 (this is checked).
    #[inline]
    pub(super) fn insert(
        &mut self,
        py: Python<'_>,
        dict: &Bound<'_, PyAny>,
        key: &[u8],
        value: &Bound<'_, PyAny>,
    ) -> Done {
        if let Some(name) = Name::of(key)
            && let Some(kept) = self.kept(py, key, name)?
        {
            return object::insert(dict, kept.key.bind(py), value);
        }
        object::insert(dict, &object::text(py, key)?, value)
    }

    /// What is kept of `key`, from now on if it was not; `None` without a cache.
    #[inline]
    fn kept(&mut self, py: Python<'_>, key: &[u8], name: Name) -> Result<Option<&Kept>, Fault> {
        let Some(place) = self.cache.as_mut().and_then(|cache| cache.0.get_mut(name.place())) else {
            return Ok(None);
        };
        if !place.as_ref().is_some_and(|kept| kept.name.is(name)) {
            // Where a key was added, the one that was expected in its place mostly comes next.
            let (text, next) = (Text::of(key), self.next);
            *place = Some(Kept { name, key: object::text(py, key)?.unbind(), text, next });
        }
        Ok(place.as_ref())
    }
}

impl Text {
    fn of(key: &[u8]) -> Self {
        let length = key.len() + 3;
        if length > TEXT || !scan::is_plain(key) {
            return Self { bytes: [0; 2], mask: [0; 2], length: 0 };
        }
        let (mut bytes, mut mask) = ([0; TEXT], [0; TEXT]);
        for ((byte, mask), of) in bytes.iter_mut().zip(&mut mask).zip(b"\"".iter().chain(key).chain(b"\":")) {
            (*byte, *mask) = (*of, 0xff);
        }
        Self { bytes: halves(&bytes), mask: halves(&mask), length }
    }

    #[inline]
    fn begins(&self, text: &[u8; TEXT]) -> bool {
        let ([a, b], [c, d], [e, f]) = (halves(text), self.bytes, self.mask);
        self.length != 0 && ((a ^ c) & e) | ((b ^ d) & f) == 0
    }
}

#[inline]
fn halves(bytes: &[u8; TEXT]) -> [u128; 2] {
    let (halves, _) = bytes.as_chunks::<16>();
    [halves.first(), halves.last()].map(|half| half.map_or(0, |half| u128::from_le_bytes(*half)))
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
