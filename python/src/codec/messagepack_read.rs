//! MessagePack to Python objects: every format of the specification, with the limits of the ABI.
//!
//! Refused: bytes, extension types but 1 (a big integer in decimal digits), keys that are not strings, NaN and the
//! infinities, more than one value. Of equal keys the last one wins.

use super::fault::Fault;
use super::keys::Keys;
use super::object::{self, Made};
use super::stack::Stack;
use super::{BIG_INTEGER, MAX_DIGITS, digits};
use pyo3::Python;
use pyo3::types::PyBool;

/// Reads the one value that `bytes` must be.
pub(super) fn read<'py>(py: Python<'py>, bytes: &[u8], keys: &mut Keys<'_>) -> Made<'py> {
    let mut reader = Reader { py, rest: bytes, stack: Stack::new(), keys };
    let value = reader.value()?;
    if reader.rest.is_empty() {
        return Ok(value);
    }
    let position = bytes.len() - reader.rest.len();
    Err(Fault::whole(format!("more bytes after the value, from byte {position} on")))
}

struct Reader<'a, 'k, 'g, 'py> {
    py: Python<'py>,
    rest: &'a [u8],
    stack: Stack<'py>,
    keys: &'k mut Keys<'g>,
}

impl<'a, 'py> Reader<'a, '_, '_, 'py> {
    fn value(&mut self) -> Made<'py> {
        let [marker] = self.take()?;
        match marker {
            0xa0..=0xbf => self.text(u32::from(marker & 0x1f)),
            0x00..=0x7f => object::signed(self.py, i64::from(marker)),
            0x80..=0x8f => self.dict(u32::from(marker & 0x0f)),
            0x90..=0x9f => self.list(u32::from(marker & 0x0f)),
            0xe0..=0xff => object::signed(self.py, i64::from(marker.cast_signed())),
            0xc0 => Ok(self.py.None().into_bound(self.py)),
            0xc2 | 0xc3 => Ok(PyBool::new(self.py, marker == 0xc3).to_owned().into_any()),
            0xca | 0xcb => self.float(marker),
            0xcc..=0xd3 => self.integer(marker),
            0xd9..=0xdb => {
                let length = self.length_of(marker - 0xd9)?;
                self.text(length)
            }
            0xdc | 0xdd => {
                let length = self.length_of(marker - 0xdc + 1)?;
                self.list(length)
            }
            0xde | 0xdf => {
                let length = self.length_of(marker - 0xde + 1)?;
                self.dict(length)
            }
            0xc7..=0xc9 => {
                let length = self.length_of(marker - 0xc7)?;
                self.extension(length)
            }
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4)),
            0xc4..=0xc6 => Err(Fault::here("bytes are not allowed")),
            0xc1 => Err(Fault::here("the byte 0xc1 is not MessagePack")),
        }
    }

    fn float(&mut self, marker: u8) -> Made<'py> {
        let value = if marker == 0xca {
            f64::from(f32::from_be_bytes(self.take()?))
        } else {
            f64::from_be_bytes(self.take()?)
        };
        if !value.is_finite() {
            return Err(Fault::here("NaN and infinities are not allowed"));
        }
        object::float(self.py, value)
    }

    fn integer(&mut self, marker: u8) -> Made<'py> {
        let value = match marker {
            0xcc => i64::from(u8::from_be_bytes(self.take()?)),
            0xcd => i64::from(u16::from_be_bytes(self.take()?)),
            0xce => i64::from(u32::from_be_bytes(self.take()?)),
            0xcf => return object::unsigned(self.py, u64::from_be_bytes(self.take()?)),
            0xd0 => i64::from(i8::from_be_bytes(self.take()?)),
            0xd1 => i64::from(i16::from_be_bytes(self.take()?)),
            0xd2 => i64::from(i32::from_be_bytes(self.take()?)),
            _ => i64::from_be_bytes(self.take()?),
        };
        object::signed(self.py, value)
    }

    #[inline]
    fn text(&mut self, length: u32) -> Made<'py> {
        let bytes = self.slice(length)?;
        object::text(self.py, bytes)
    }

    fn list(&mut self, length: u32) -> Made<'py> {
        self.stack.enter()?;
        self.claim(length, 1)?;
        let base = self.stack.base();
        for _ in 0..length {
            let item = self.value().map_err(|fault| fault.under_index(self.stack.base() - base))?;
            self.stack.push(item)?;
        }
        self.stack.leave();
        self.stack.list(self.py, base)
    }

    fn dict(&mut self, length: u32) -> Made<'py> {
        self.stack.enter()?;
        self.claim(length, 2)?;
        let dict = object::dict(self.py)?;
        for _ in 0..length {
            let key = self.key()?;
            let value = self.value().map_err(|fault| fault.under_key(key))?;
            self.keys.insert(self.py, &dict, key, &value)?;
        }
        self.stack.leave();
        Ok(dict)
    }

    #[inline]
    fn key(&mut self) -> Result<&'a [u8], Fault> {
        let [marker] = self.take()?;
        let length = match marker {
            0xa0..=0xbf => u32::from(marker & 0x1f),
            0xd9..=0xdb => self.length_of(marker - 0xd9)?,
            _ => return Err(Fault::here("a key is not a string")),
        };
        self.slice(length)
    }

    fn extension(&mut self, length: u32) -> Made<'py> {
        let [kind] = self.take()?;
        if kind != BIG_INTEGER {
            return Err(Fault::here(format!("extension type {} is not allowed", kind.cast_signed())));
        }
        let text = self.slice(length)?;
        let bare = text.strip_prefix(b"-").unwrap_or(text);
        if bare.is_empty() || bare.len() > MAX_DIGITS || !bare.iter().all(u8::is_ascii_digit) {
            return Err(Fault::here(format!("a big integer is not 1 to {MAX_DIGITS} decimal digits")));
        }
        digits::big(self.py, text)
    }

    /// A length of 1, 2 or 4 bytes, for `width` 0, 1 or 2.
    fn length_of(&mut self, width: u8) -> Result<u32, Fault> {
        Ok(match width {
            0 => u32::from(u8::from_be_bytes(self.take()?)),
            1 => u32::from(u16::from_be_bytes(self.take()?)),
            _ => u32::from_be_bytes(self.take()?),
        })
    }

    /// Checks that `length` values of `each` bytes at least can still come.
    #[inline]
    fn claim(&self, length: u32, each: usize) -> Result<(), Fault> {
        if length as usize > self.rest.len() / each { Err(cut_short()) } else { Ok(()) }
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(cut_short());
        };
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn slice(&mut self, length: u32) -> Result<&'a [u8], Fault> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length as usize) else {
            return Err(cut_short());
        };
        self.rest = rest;
        Ok(bytes)
    }
}

#[cold]
fn cut_short() -> Fault {
    Fault::here("the input ends too early")
}
