//! Reads JSON (RFC 8259) from a text. Unlike serde_json's reader it limits how deep even those values are nested that are passed over,
//! passes over strings without reading their escapes, and refuses lone surrogates. It takes nothing that serde_json would not take for the same:
//! strings with escapes and numbers that are no short integers are read by that as values of their own, and whoever is refused here asks
//! serde_json why.

use std::borrow::Cow;

use serde::de::value::BorrowedBytesDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess,
    SeqAccess, Visitor,
};

use super::checked::CHECKED;
use super::variant::Variant;
use super::{NESTED, RAW};
use crate::scan;

/// Those that are passed over are told apart by a bit each.
const _: () = assert!(NESTED <= u128::BITS as usize);
/// Integers of so many digits fit 64 bits, whatever they are.
const SHORT: usize = 18;

/// A text is not what was asked for. Why is found out by serde_json.
#[derive(Debug, thiserror::Error)]
#[error("not what was asked for")]
pub(super) struct Error;

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Whether the whole of `text` is one value.
pub(super) fn is_value(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.pass_value().is_ok() && reader.at_end()
}

/// What is left to be read.
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    /// How many more containers may stand in each other.
    depth: usize,
}

impl<'de> Reader<'de> {
    /// Reads `text`, in which at most [`NESTED`] containers may stand in each other.
    pub(super) const fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: NESTED }
    }

    /// Whether nothing is left but blanks.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek().is_err()
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no blank; it stays.
    fn peek(&mut self) -> Result<u8, Error> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Error),
            }
        }
    }

    /// Takes the next byte that is no blank, which must be this one.
    fn take(&mut self, wanted: u8) -> Result<(), Error> {
        if self.peek()? != wanted {
            return Err(Error);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Error);
        }
        self.at += word.len();
        Ok(())
    }

    fn slice(&self, start: usize) -> Result<&'de str, Error> {
        self.text.get(start..self.at).ok_or(Error)
    }

    /// Passes over a string. Whether there was an escape in it.
    fn pass_string(&mut self) -> Result<bool, Error> {
        self.take(b'"')?;
        let rest = self.rest();
        let plain = scan::plain_prefix(rest);
        self.at += plain;
        if rest.get(plain) != Some(&b'"') {
            return self.pass_escaped().map(|()| true);
        }
        self.at += 1;
        Ok(false)
    }

    /// Passes over what is left of a string from an escape on. Apart, so that those without one have the registers.
    #[inline(never)]
    fn pass_escaped(&mut self) -> Result<(), Error> {
        loop {
            match *self.rest() {
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', ref rest @ ..] => self.at += 2 + unit_length(rest).ok_or(Error)?,
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Error),
            }
            self.at += scan::plain_prefix(self.rest());
        }
    }

    fn pass_digits(&mut self) -> Result<(), Error> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(Error) }
    }

    /// Passes over a number. Whether it is an integer.
    fn pass_number(&mut self) -> Result<bool, Error> {
        self.at += usize::from(self.rest().first() == Some(&b'-'));
        match *self.rest() {
            // Nothing may follow a zero that leads.
            [b'0', b'0'..=b'9', ..] => return Err(Error),
            _ => self.pass_digits()?,
        }
        let mut integer = true;
        if self.rest().first() == Some(&b'.') {
            (self.at, integer) = (self.at + 1, false);
            self.pass_digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.rest() {
            self.at += 1 + usize::from(matches!(rest.first(), Some(b'+' | b'-')));
            integer = false;
            self.pass_digits()?;
        }
        Ok(integer)
    }

    /// Passes over a value, without recursion.
    fn pass_value(&mut self) -> Result<(), Error> {
        // Whether each of the containers around is an object, the innermost in the lowest bit.
        let (mut objects, mut depth) = (0_u128, 0);
        loop {
            let begins = self.peek()?;
            match begins {
                b'"' => drop(self.pass_string()?),
                b'{' | b'[' => {
                    if depth == self.depth {
                        return Err(Error);
                    }
                    self.at += 1;
                    let object = begins == b'{';
                    // An end of the other kind is refused below.
                    if !matches!(self.peek()?, b'}' | b']') {
                        (objects, depth) = (objects << 1 | u128::from(object), depth + 1);
                        self.pass_key(object)?;
                        continue;
                    }
                    self.take(if object { b'}' } else { b']' })?;
                }
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => drop(self.pass_number()?),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                if self.peek()? == b',' {
                    self.at += 1;
                    self.pass_key(object)?;
                    break;
                }
                self.take(if object { b'}' } else { b']' })?;
                (objects, depth) = (objects >> 1, depth - 1);
            }
        }
    }

    /// Passes over the key of an object's entry; a list's has none.
    fn pass_key(&mut self, object: bool) -> Result<(), Error> {
        if object {
            self.pass_string()?;
            self.take(b':')?;
        }
        Ok(())
    }

    fn string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.at;
        let escaped = self.pass_string()?;
        let quoted = self.slice(start)?;
        if escaped {
            return visitor.visit_string(serde_json::from_str(quoted).map_err(|_| Error)?);
        }
        visitor.visit_borrowed_str(quoted.get(1..quoted.len() - 1).ok_or(Error)?)
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let start = self.at;
        let integer = self.pass_number()?;
        let number = self.slice(start)?;
        let digits = number.strip_prefix('-').unwrap_or(number);
        // There is a negative zero, which is no integer.
        if !integer || digits.len() > SHORT || number == "-0" {
            let mut number = serde_json::Deserializer::from_str(number);
            return number.deserialize_any(visitor).map_err(|_| Error);
        }
        let value = digits.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        if digits.len() < number.len() {
            visitor.visit_i64(-value)
        } else {
            visitor.visit_u64(value.cast_unsigned())
        }
    }

    /// Reads a container that ends with `end`.
    fn within<T>(
        &mut self,
        end: u8,
        read: impl FnOnce(&mut Inside<'_, 'de>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Error)?;
        self.take(if end == b'}' { b'{' } else { b'[' })?;
        let mut inside = Inside { reader: self, end, begun: false };
        let value = read(&mut inside)?;
        self.take(end)?;
        self.depth += 1;
        Ok(value)
    }
}

/// How many bytes of `bytes`, which follow the `\u` of an escape, spell a character. None do where they are a lone surrogate: what is carried
/// through here shall be a text for everyone (RFC 7493, 2.1).
fn unit_length(bytes: &[u8]) -> Option<usize> {
    let unit = |bytes: &[u8]| {
        let digits = bytes.first_chunk::<4>()?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    };
    match unit(bytes)? {
        0xd800..=0xdbff => {
            let low = unit(bytes.get(4..)?.strip_prefix(b"\\u")?)?;
            (0xdc00..=0xdfff).contains(&low).then_some(10)
        }
        0xdc00..=0xdfff => None,
        _ => Some(4),
    }
}

/// What is asked for by its kind; another kind is refused before its visitor sees it.
macro_rules! only {
    ($($method:ident $first:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if self.peek()? == $first { self.deserialize_any(visitor) } else { Err(Error) }
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'{' => self.within(b'}', |entries| visitor.visit_map(entries)),
            b'[' => self.within(b']', |items| visitor.visit_seq(items)),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => self.number(visitor),
        }
    }

    only! { deserialize_map b'{', deserialize_seq b'[', deserialize_str b'"', deserialize_string b'"', deserialize_identifier b'"', }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            RAW => {
                self.peek()?;
                let start = self.at;
                self.pass_value()?;
                visitor.visit_borrowed_bytes(self.slice(start)?.as_bytes())
            }
            CHECKED => visitor.visit_seq(Both { reader: self, start: None }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.pass_value()?;
        visitor.visit_unit()
    }

    /// The name of a variant alone, or an object of that one entry.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.peek()? == b'{' {
            return self.within(b'}', |entry| visitor.visit_enum(entry));
        }
        visitor.visit_enum(Cow::<str>::deserialize(self)?.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct struct
    }
}

/// A value, and then its bytes.
struct Both<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// Where the value began, once it was read.
    start: Option<usize>,
}

impl<'de> SeqAccess<'de> for Both<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(start) = self.start else {
            self.reader.peek()?;
            self.start = Some(self.reader.at);
            return seed.deserialize(&mut *self.reader).map(Some);
        };
        let bytes = self.reader.slice(start)?.as_bytes();
        seed.deserialize(BorrowedBytesDeserializer::new(bytes)).map(Some)
    }
}

/// Items of a list or entries of an object.
struct Inside<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// What ends it.
    end: u8,
    begun: bool,
}

impl Inside<'_, '_> {
    /// The first byte of the one that follows, if one does; it stays.
    fn next(&mut self) -> Result<Option<u8>, Error> {
        let byte = self.reader.peek()?;
        if byte == self.end {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Some(byte));
        }
        self.reader.take(b',')?;
        self.reader.peek().map(Some)
    }
}

impl<'de> SeqAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let more = self.next()?;
        more.map(|_| seed.deserialize(&mut *self.reader)).transpose()
    }
}

impl<'de> MapAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.next()? {
            Some(b'"') => seed.deserialize(&mut *self.reader).map(Some),
            // Also where anything is taken for a key.
            Some(_) => Err(Error),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.take(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'a, 'de> EnumAccess<'de> for &'a mut Inside<'_, 'de> {
    type Error = Error;
    type Variant = Variant<&'a mut Reader<'de>>;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let name = self.next_key_seed(seed)?.ok_or(Error)?;
        self.reader.take(b':')?;
        Ok((name, Variant(&mut *self.reader)))
    }
}

#[cfg(test)]
mod tests;
