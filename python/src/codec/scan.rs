//! Finds the end of the plain part of a JSON string, eight bytes at a step.
//!
//! "Plain" means: no quote, no backslash, no control character. Whether the bytes are UTF-8 is not decided here.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes at the start of `bytes` are plain.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut passed = 0;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return passed + first(stops);
        }
        passed += 8;
        rest = tail;
    }
    passed + rest.iter().position(|byte| is_stop(*byte)).unwrap_or(rest.len())
}

/// How many of the eight bytes of `word`, from the lowest on, are plain.
#[inline]
pub(super) fn plain_in_word(word: u64) -> usize {
    first(stops(word))
}

/// Whether all of `bytes` is plain. Words at the end overlap those before.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let mut found = stops(u64::from_le_bytes(*head)) | stops(u64::from_le_bytes(*tail));
        let (words, _) = bytes.as_chunks::<8>();
        for word in words.iter().skip(1) {
            found |= stops(u64::from_le_bytes(*word));
        }
        found == 0
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let both = u64::from(u32::from_le_bytes(*head)) | (u64::from(u32::from_le_bytes(*tail)) << 32);
        stops(both) == 0
    } else {
        !bytes.iter().any(|byte| is_stop(*byte))
    }
}

/// A word whose lowest high bit stands in the first byte that is not plain; zero if there is none. (A borrow can
/// only spoil bytes above the first stop, which is why the lowest bit is exact.)
#[inline]
fn stops(word: u64) -> u64 {
    let control = word.wrapping_sub(EACH * 0x20);
    let quote = (word ^ (EACH * u64::from(b'"'))).wrapping_sub(EACH);
    let backslash = (word ^ (EACH * u64::from(b'\\'))).wrapping_sub(EACH);
    (control | quote | backslash) & !word & HIGH
}

#[inline]
fn first(stops: u64) -> usize {
    (stops.trailing_zeros() / 8) as usize
}

#[inline]
fn is_stop(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}
