//! Copies a MessagePack value token by token, because serde has no raw values for that format. Whoever needs the copy
//! is in `raw`.

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor,
};

use super::BIG_INTEGER;
use crate::problem::safe;

/// MessagePack has no raw values in serde; the value is copied token by token instead, and checked on the way:
/// string keys, no binary, no extension but big integers.
pub(super) struct Copy<'b>(pub(super) &'b mut Vec<u8>);

impl Copy<'_> {
    fn put<E: de::Error>(&mut self, value: &impl serde::Serialize) -> Result<(), E> {
        rmp_serde::encode::write(self.0, value).map_err(safe)
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected a JSON value")
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.put(&())
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        self.put(&value)
    }

    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        self.put(&value)
    }

    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        self.put(&value)
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(safe("a number that JSON does not have: NaN or infinity"));
        }
        self.put(&value)
    }

    fn visit_str<E: de::Error>(mut self, value: &str) -> Result<(), E> {
        self.put(&value)
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<(), E> {
        Err(safe("bytes are not allowed: encode them as text"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let length = length::<A::Error>(items.size_hint())?;
        put_length(self.0, 0x90, 0xdc, length);
        while items.next_element_seed(Copy(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let length = length::<A::Error>(entries.size_hint())?;
        put_length(self.0, 0x80, 0xde, length);
        while entries.next_key_seed(Key(self.0))?.is_some() {
            entries.next_value_seed(Copy(self.0))?;
        }
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let (kind, digits) = <(i8, serde_bytes::ByteBuf)>::deserialize(deserializer)?;
        let number = digits.strip_prefix(b"-").unwrap_or(&digits);
        if kind != BIG_INTEGER || number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return Err(safe("an extension type that is not a big integer"));
        }
        put_extension(self.0, kind, &digits).ok_or_else(|| safe("a big integer of more than 4 GB"))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(safe("expected a JSON value"))
    }
}

/// A map key: text and nothing else.
struct Key<'b>(&'b mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("expected a key that is a string")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        Copy(self.0).put(&value)
    }
}

fn length<E: de::Error>(hint: Option<usize>) -> Result<u32, E> {
    hint.and_then(|length| u32::try_from(length).ok()).ok_or_else(|| safe("a container without a length"))
}

/// Array and map headers share one layout: a short form in the first byte, then 16 and 32 bits.
pub(crate) fn put_length(out: &mut Vec<u8>, short: u8, long: u8, length: u32) {
    if let (Ok(low), true) = (u8::try_from(length), length < 16) {
        out.push(short | low);
    } else if let Ok(word) = u16::try_from(length) {
        out.push(long);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(long + 1);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

pub(crate) fn put_extension(out: &mut Vec<u8>, kind: i8, data: &[u8]) -> Option<()> {
    let length = u32::try_from(data.len()).ok()?;
    out.push(0xc9);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(data);
    Some(())
}
