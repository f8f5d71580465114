//! What a value of MessagePack may be made of, so that it is one of JSON too: keys are text, there are no bytes and no NaN,
//! and no extensions but big integers. Whoever carries the value is in `raw`.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::BIG_INTEGER;
use super::object::Name;
use crate::problem::safe;

/// A value that was looked through and is not kept.
pub(super) struct Check;

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Check;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Check, E> {
        Ok(Check)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Check, E> {
        Ok(Check)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Check, E> {
        Ok(Check)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Check, E> {
        Ok(Check)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Check, E> {
        if value.is_finite() {
            Ok(Check)
        } else {
            Err(safe("a number that JSON does not have: NaN or infinity"))
        }
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Check, E> {
        Ok(Check)
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Check, E> {
        Err(safe("bytes are not allowed: encode them as text"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Check, A::Error> {
        while items.next_element::<Check>()?.is_some() {}
        Ok(Check)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Check, A::Error> {
        while entries.next_entry::<Name, Check>()?.is_some() {}
        Ok(Check)
    }

    /// An extension: the byte of its type, and its data.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Check, D::Error> {
        let extension = <&[u8]>::deserialize(deserializer)?;
        let digits = extension.strip_prefix(&BIG_INTEGER.to_be_bytes()).unwrap_or_default();
        let number = digits.strip_prefix(b"-").unwrap_or(digits);
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return Err(safe("an extension type that is not a big integer"));
        }
        Ok(Check)
    }
}
