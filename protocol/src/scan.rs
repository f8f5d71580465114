//! Finds the end of the plain part of a JSON string, eight bytes at a step.
//!
//! "Plain" means: no quote, no backslash, no control character. Whether the bytes are UTF-8 is not decided here.

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes at the start of `bytes` are plain.
#[must_use]
#[inline]
pub fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (passed, word) in words.iter().enumerate() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return passed * 8 + (stops.trailing_zeros() / 8) as usize;
        }
    }
    words.len() * 8 + tail.iter().position(|byte| is_stop(*byte)).unwrap_or(tail.len())
}

/// Whether a byte is not plain.
#[must_use]
#[inline]
pub const fn is_stop(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_not_plain_is_found_wherever_it_stands() {
        for length in 0..200 {
            for filler in [b'a', b' ', 0x7f, 0x80, 0xff, b'!', b'#', b'[', b']'] {
                let mut bytes = vec![filler; length];
                assert_eq!(plain_prefix(&bytes), length);
                for place in (0..length).rev() {
                    // Those behind it stay, to lead astray whoever looks at many at once.
                    bytes[place] = [b'"', b'\\', 0, 0x1f, b'\n'][place % 5];
                    assert_eq!(plain_prefix(&bytes), place, "{length} {filler}");
                }
            }
        }
    }
}
