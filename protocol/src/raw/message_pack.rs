//! Reads MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>) from a slice. Unlike rmp-serde's reader it knows
//! where a value begins and ends, so that a raw value is a part of the message.

use rmp::Marker;
use serde::de::value::{BorrowedBytesDeserializer, BorrowedStrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor,
};

use super::RAW;
use super::check::Check;
use super::checked::CHECKED;
use super::variant::Variant;
use crate::problem::safe;

/// Why bytes are not what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Error(Box<str>);

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

fn too_short() -> Error {
    safe("unexpected end of the message")
}

/// Values that have a length.
enum Kind {
    Text,
    Bytes,
    List,
    Map,
    Extension,
}

/// What is left to be read.
pub(crate) struct Reader<'de> {
    rest: &'de [u8],
    /// How many more containers may stand in each other.
    depth: usize,
}

impl<'de> Reader<'de> {
    /// Reads `bytes`, in which at most `deepest` containers may stand in each other.
    pub(crate) const fn new(bytes: &'de [u8], deepest: usize) -> Self {
        Self { rest: bytes, depth: deepest }
    }

    /// Whether nothing is left.
    pub(crate) const fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn marker(&mut self) -> Result<Marker, Error> {
        self.bytes().map(|[byte]| Marker::from_u8(byte))
    }

    /// The length that follows a marker, in as many bytes as that says.
    fn length<const N: usize>(&mut self) -> Result<usize, Error> {
        let digits: [u8; N] = self.bytes()?;
        Ok(digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
    }

    /// Text; what is not UTF-8 is bytes.
    fn text<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => visitor.visit_borrowed_bytes(bytes),
        }
    }

    /// What a marker begins that has a length, and that length in bytes, items or entries.
    fn sized(&mut self, marker: Marker) -> Result<(Kind, usize), Error> {
        Ok(match marker {
            Marker::FixStr(length) => (Kind::Text, length.into()),
            Marker::Str8 => (Kind::Text, self.length::<1>()?),
            Marker::Str16 => (Kind::Text, self.length::<2>()?),
            Marker::Str32 => (Kind::Text, self.length::<4>()?),
            Marker::Bin8 => (Kind::Bytes, self.length::<1>()?),
            Marker::Bin16 => (Kind::Bytes, self.length::<2>()?),
            Marker::Bin32 => (Kind::Bytes, self.length::<4>()?),
            Marker::FixArray(length) => (Kind::List, length.into()),
            Marker::Array16 => (Kind::List, self.length::<2>()?),
            Marker::Array32 => (Kind::List, self.length::<4>()?),
            Marker::FixMap(length) => (Kind::Map, length.into()),
            Marker::Map16 => (Kind::Map, self.length::<2>()?),
            Marker::Map32 => (Kind::Map, self.length::<4>()?),
            Marker::FixExt1 => (Kind::Extension, 1),
            Marker::FixExt2 => (Kind::Extension, 2),
            Marker::FixExt4 => (Kind::Extension, 4),
            Marker::FixExt8 => (Kind::Extension, 8),
            Marker::FixExt16 => (Kind::Extension, 16),
            Marker::Ext8 => (Kind::Extension, self.length::<1>()?),
            Marker::Ext16 => (Kind::Extension, self.length::<2>()?),
            Marker::Ext32 => (Kind::Extension, self.length::<4>()?),
            _ => return Err(safe("a byte that begins no value")),
        })
    }

    fn within<T>(
        &mut self,
        left: usize,
        read: impl FnOnce(&mut Inside<'_, 'de>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| safe::<Error>("nested too deep"))?;
        let mut inside = Inside { reader: self, left };
        let value = read(&mut inside)?;
        if inside.left > 0 {
            return Err(safe("more items than expected"));
        }
        self.depth += 1;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.marker()? {
            Marker::Null => visitor.visit_unit(),
            Marker::True => visitor.visit_bool(true),
            Marker::False => visitor.visit_bool(false),
            Marker::FixPos(value) => visitor.visit_u64(value.into()),
            Marker::U8 => visitor.visit_u64(u8::from_be_bytes(self.bytes()?).into()),
            Marker::U16 => visitor.visit_u64(u16::from_be_bytes(self.bytes()?).into()),
            Marker::U32 => visitor.visit_u64(u32::from_be_bytes(self.bytes()?).into()),
            Marker::U64 => visitor.visit_u64(u64::from_be_bytes(self.bytes()?)),
            Marker::FixNeg(value) => visitor.visit_i64(value.into()),
            Marker::I8 => visitor.visit_i64(i8::from_be_bytes(self.bytes()?).into()),
            Marker::I16 => visitor.visit_i64(i16::from_be_bytes(self.bytes()?).into()),
            Marker::I32 => visitor.visit_i64(i32::from_be_bytes(self.bytes()?).into()),
            Marker::I64 => visitor.visit_i64(i64::from_be_bytes(self.bytes()?)),
            Marker::F32 => visitor.visit_f32(f32::from_be_bytes(self.bytes()?)),
            Marker::F64 => visitor.visit_f64(f64::from_be_bytes(self.bytes()?)),
            marker => match self.sized(marker)? {
                (Kind::Text, length) => self.text(length, visitor),
                (Kind::Bytes, length) => visitor.visit_borrowed_bytes(self.take(length)?),
                (Kind::List, length) => self.within(length, |items| visitor.visit_seq(items)),
                (Kind::Map, length) => self.within(length, |entries| visitor.visit_map(entries)),
                // The byte of its type, and its data.
                (Kind::Extension, length) => {
                    visitor.visit_newtype_struct(BorrowedBytesDeserializer::new(self.take(1 + length)?))
                }
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.rest.split_first() {
            Some((first, rest)) if Marker::from_u8(*first) == Marker::Null => {
                self.rest = rest;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if ![RAW, CHECKED].contains(&name) {
            return visitor.visit_newtype_struct(self);
        }
        let (before, depth) = (self.rest, self.depth);
        if Check::deserialize(&mut *self).is_ok() {
            let value = before.get(..before.len() - self.rest.len()).unwrap_or_default();
            return visitor.visit_borrowed_bytes(value);
        }
        // Once more, for the visitor to see where it is wrong.
        (self.rest, self.depth) = (before, depth);
        visitor.visit_newtype_struct(self)
    }

    /// The name of a variant alone, or an object of that one entry.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.rest.first().map(|first| Marker::from_u8(*first)) {
            Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => {
                let marker = self.marker()?;
                match self.sized(marker)? {
                    (_, 1) => visitor.visit_enum(self),
                    _ => Err(safe("expected an object of one entry")),
                }
            }
            _ => visitor.visit_enum(BorrowedStrDeserializer::new(<&str>::deserialize(self)?)),
        }
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Items of a list or entries of an object.
struct Inside<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl Inside<'_, '_> {
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left -= usize::from(more);
        more
    }

    /// How many are left, as far as there are bytes for them.
    fn hint(&self) -> usize {
        self.left.min(self.reader.rest.len())
    }
}

impl<'de> SeqAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.next() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> MapAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.next() { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> EnumAccess<'de> for &mut Reader<'de> {
    type Error = Error;
    type Variant = Variant<Self>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<Self>), Error> {
        Ok((seed.deserialize(&mut *self)?, Variant(self)))
    }
}
