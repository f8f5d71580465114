//! The bytes that a writer appends, up to a limit, and never aborting when memory runs out.
//!
//! Payloads are mostly short strings and numbers, for which a call of `memcpy` costs more than the copy; those are
//! stored as a few words. What the bytes mean is the two writers' business.

use super::fault::{Done, Fault};
use std::mem::MaybeUninit;
use std::ptr;

/// How many bytes are stored without a call.
const SHORT: usize = 64;

/// Appends to a buffer of the caller.
pub(super) struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    /// How long `bytes` was.
    begin: usize,
    limit: usize,
}

impl<'a> Output<'a> {
    /// At most `limit` more bytes behind what `bytes` holds.
    pub(super) fn new(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        let begin = bytes.len();
        Self { bytes, begin, limit }
    }

    /// Checks the limit, which may have been passed as far as the buffer had room anyway.
    pub(super) fn finish(&self) -> Done {
        if self.bytes.len() - self.begin > self.limit { Err(self.too_large()) } else { Ok(()) }
    }

    /// How many bytes the buffer holds.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// What was appended since the buffer held `length` bytes.
    pub(super) fn since(&self, length: usize) -> &[u8] {
        self.bytes.get(length..).unwrap_or_default()
    }

    /// Appends `before` and the first `length` of `bytes`, at most all.
    #[inline]
    pub(super) fn part<const B: usize, const N: usize>(
        &mut self,
        before: [u8; B],
        bytes: &[u8; N],
        length: usize,
    ) -> Done {
        match self.part_short(before, bytes, length) {
            Some(()) => Ok(()),
            None => self.around_long(&before, bytes.get(..length).unwrap_or(bytes), &[]),
        }
    }

    /// The same, if the buffer has room for all of `bytes`; else nothing happens.
    #[inline(always)]
    fn part_short<const B: usize, const N: usize>(
        &mut self,
        before: [u8; B],
        bytes: &[u8; N],
        length: usize,
    ) -> Option<()> {
        let (head, rest) = self.bytes.spare_capacity_mut().split_first_chunk_mut()?;
        *head = *any(&before);
        *rest.first_chunk_mut()? = *any(bytes);
        // SAFETY: at least so many bytes behind the end were stored just now.
        unsafe { self.bytes.set_len(self.bytes.len() + B + length.min(N)) };
        Some(())
    }

    /// Appends a few bytes whose number is known to the compiler.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Done {
        self.around(bytes, &[], [])
    }

    /// Appends any bytes.
    #[inline]
    pub(super) fn slice(&mut self, bytes: &[u8]) -> Done {
        self.around([], bytes, [])
    }

    /// Appends `before`, any bytes and `after`.
    #[inline]
    pub(super) fn around<const B: usize, const A: usize>(
        &mut self,
        before: [u8; B],
        bytes: &[u8],
        after: [u8; A],
    ) -> Done {
        match self.around_short(before, bytes, after) {
            Some(()) => Ok(()),
            None => self.around_long(&before, bytes, &after),
        }
    }

    /// The same, if `bytes` is short and the buffer has room; else nothing happens.
    #[inline(always)]
    fn around_short<const B: usize, const A: usize>(
        &mut self,
        before: [u8; B],
        bytes: &[u8],
        after: [u8; A],
    ) -> Option<()> {
        let (head, rest) = self.bytes.spare_capacity_mut().split_first_chunk_mut()?;
        *head = *any(&before);
        if !bytes.is_empty() {
            store(rest.first_chunk_mut()?, bytes)?;
        }
        *rest.get_mut(bytes.len()..)?.first_chunk_mut()? = *any(&after);
        // SAFETY: so many bytes behind the end were stored just now: `before`, all of `bytes`, `after`.
        unsafe { self.bytes.set_len(self.bytes.len() + B + bytes.len() + A) };
        Some(())
    }

    #[inline(never)]
    fn around_long(&mut self, before: &[u8], bytes: &[u8], after: &[u8]) -> Done {
        let more = before.len() + bytes.len() + after.len();
        if self.bytes.len() - self.begin + more > self.limit {
            return Err(self.too_large());
        }
        self.bytes.try_reserve(more + 2 * SHORT).map_err(|_| Fault::out_of_memory())?;
        self.bytes.extend_from_slice(before);
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(after);
        Ok(())
    }

    #[cold]
    fn too_large(&self) -> Fault {
        Fault::whole(format!("{} {} bytes", super::TOO_LARGE, self.limit))
    }
}

/// Stores all of `bytes` at the start of `place`, if they are not more: the first and the last word, which overlap.
#[inline(always)]
fn store(place: &mut [MaybeUninit<u8>; SHORT], bytes: &[u8]) -> Option<()> {
    if bytes.len() > SHORT {
        None
    } else if bytes.len() >= 32 {
        ends::<32>(place, bytes)
    } else if bytes.len() >= 16 {
        ends::<16>(place, bytes)
    } else if bytes.len() >= 8 {
        ends::<8>(place, bytes)
    } else if bytes.len() >= 4 {
        ends::<4>(place, bytes)
    } else {
        for (place, byte) in place.iter_mut().zip(bytes) {
            place.write(*byte);
        }
        Some(())
    }
}

/// Stores the first and the last `N` of at most `2 * N` bytes.
#[inline(always)]
fn ends<const N: usize>(place: &mut [MaybeUninit<u8>; SHORT], bytes: &[u8]) -> Option<()> {
    let (first, last) = (bytes.first_chunk::<N>()?, bytes.last_chunk::<N>()?);
    *place.first_chunk_mut()? = *any(first);
    *place.get_mut(bytes.len() - N..)?.first_chunk_mut()? = *any(last);
    Some(())
}

/// The same bytes, as what memory may hold that nobody has written yet.
#[inline(always)]
fn any<const N: usize>(bytes: &[u8; N]) -> &[MaybeUninit<u8>; N] {
    // SAFETY: the same size, and every byte is also one that need not be known.
    unsafe { &*ptr::from_ref(bytes).cast() }
}
