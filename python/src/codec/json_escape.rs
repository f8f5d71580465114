//! Puts together the text of a JSON string that has escapes.
//!
//! Strings without escapes are never copied by the reader and do not come here; what the writer escapes is its own.

use super::scan;

/// How many bytes of plain text are copied at a step.
const STEP: usize = 16;

/// Where the text is put together; kept from string to string, so that it is filled with zeros only once.
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The text of a string: `begin`, and what `rest` goes on with up to its closing quote, behind which it then
    /// stands.
    ///
    /// # Errors
    /// What is wrong, with `rest` standing there.
    pub(super) fn unescape(&mut self, begin: &[u8], rest: &mut &[u8]) -> Result<&[u8], &'static str> {
        let length = self.fill(begin, rest)?;
        Ok(self.0.get(..length).unwrap_or_default())
    }

    fn fill(&mut self, begin: &[u8], rest: &mut &[u8]) -> Result<usize, &'static str> {
        let mut length = 0;
        self.put(&mut length, begin)?;
        loop {
            match rest {
                [b'"', after @ ..] => {
                    *rest = after;
                    return Ok(length);
                }
                [b'\\', b'u', ..] => {
                    let character = code_point(rest)?;
                    self.put(&mut length, character.encode_utf8(&mut [0; 4]).as_bytes())?;
                }
                [b'\\', letter, after @ ..] => {
                    let byte = unescaped(*letter).ok_or("not an escape of JSON")?;
                    *rest = after;
                    self.put(&mut length, &[byte])?;
                }
                [] | [b'\\'] => return Err("a string without its end"),
                [0..0x20, ..] => return Err("a control character in a string"),
                _ => {}
            }
            self.copy_plain(&mut length, rest)?;
        }
    }

    /// Copies what comes before the next quote, backslash or control character.
    #[inline]
    fn copy_plain(&mut self, length: &mut usize, rest: &mut &[u8]) -> Result<(), &'static str> {
        while let Some(block) = rest.first_chunk::<STEP>() {
            let Some(place) = self.0.get_mut(*length..).and_then(|free| free.first_chunk_mut()) else {
                self.grow(STEP)?;
                continue;
            };
            *place = *block;
            let plain = scan::plain_in_block(block);
            *length += plain;
            *rest = rest.get(plain..).unwrap_or_default();
            if plain < STEP {
                return Ok(());
            }
        }
        let (plain, after) = rest.split_at_checked(scan::plain_prefix(rest)).unwrap_or((rest, &[]));
        *rest = after;
        self.put(length, plain)
    }

    #[inline]
    fn put(&mut self, length: &mut usize, bytes: &[u8]) -> Result<(), &'static str> {
        let end = *length + bytes.len();
        if end > self.0.len() {
            self.grow(bytes.len())?;
        }
        if let Some(place) = self.0.get_mut(*length..end) {
            place.copy_from_slice(bytes);
        }
        *length = end;
        Ok(())
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), &'static str> {
        let more = more.max(self.0.len()).max(256);
        self.0.try_reserve(more).map_err(|_| "out of memory")?;
        self.0.resize(self.0.len() + more, 0);
        Ok(())
    }
}

/// The byte that a backslash and this letter stand for.
#[inline]
fn unescaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// The character of the `\uXXXX` at the start of `rest`, or of two that are a pair of surrogates.
fn code_point(rest: &mut &[u8]) -> Result<char, &'static str> {
    let (first, after) = code_unit(rest).ok_or("not an escape of JSON")?;
    if let Some(character) = char::from_u32(first) {
        *rest = after;
        return Ok(character);
    }
    let pair = match (first, code_unit(after)) {
        (0xd800..=0xdbff, Some((second @ 0xdc00..=0xdfff, after))) => {
            char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).zip(Some(after))
        }
        _ => None,
    };
    let (character, after) = pair.ok_or("a lone surrogate in an escape")?;
    *rest = after;
    Ok(character)
}

/// The number of the `\uXXXX` at the start of `text`, and what follows.
fn code_unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = text.strip_prefix(b"\\u")?.split_first_chunk::<4>()?;
    let unit =
        digits.iter().try_fold(0, |unit, digit| Some((unit << 4) | char::from(*digit).to_digit(16)?))?;
    Some((unit, after))
}
