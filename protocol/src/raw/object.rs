//! Objects and nothing else: serde would also take a struct from a list with its fields in their order.

use std::borrow::Cow;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::read;
use crate::format::Format;
use crate::problem::Problem;

/// Reads one object of `format` from the whole of `bytes`. What serde would also take, a list with the fields in their
/// order, is refused.
///
/// # Errors
/// Says where the bytes are not a `T`, without quoting them.
pub fn read_object<'a, T: Deserialize<'a>>(
    format: Format,
    bytes: &'a [u8],
    root: &str,
) -> Result<T, Problem> {
    read::<Object<T>>(format, bytes, root).map(|Object(value)| value)
}

/// A value that is an object on the wire.
pub(super) struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// For fields whose value must be an object: `#[serde(deserialize_with = "raw::object")]`.
///
/// # Errors
/// The value is none.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Entries<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(entries))
        }
    }
    deserializer.deserialize_map(Entries(std::marker::PhantomData))
}

/// The same for fields that may be left out or null; they need `#[serde(default)]` as well.
///
/// # Errors
/// The value is neither null nor an object.
pub fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Object<T>>::deserialize(deserializer).map(|found| found.map(|Object(value)| value))
}

/// An object whose keys are text and whose values are any ABI values, checked without being read into memory.
/// Used where only the shape concerns the node and the bytes travel on elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = AnyObject;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<AnyObject, A::Error> {
                while entries.next_entry::<Name, de::IgnoredAny>()?.is_some() {}
                Ok(AnyObject)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A key that must be text but is not kept.
pub(super) struct Name;

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key that is a string")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Name, E> {
                Ok(Name)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl schemars::JsonSchema for AnyObject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Object")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "additionalProperties": true})
    }
}
