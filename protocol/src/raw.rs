//! A value that is carried through unread, and the reading of typed values from either format.
//!
//! What a caller sends is decoded once, in the cell; on the way there a value is a slice of the message it came in.
//! Writing lives in `writer`.

mod check;
mod message_pack;
mod object;

use std::borrow::Cow;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::format::Format;
use crate::problem::Problem;
use check::Check;
pub(crate) use message_pack::Reader;
pub use object::{AnyObject, object, optional_object, read_object};

/// Deepest nesting of an ABI value, in containers. JSON parsers of other languages stop at 100 to 1 000;
/// templates do not go past ten.
pub const DEEPEST: usize = 64;

/// MessagePack extension type of integers beyond 64 bits; its data are decimal digits.
pub const BIG_INTEGER: i8 = 1;

/// One encoded value that nobody on the way needs to understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    format: Format,
    bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Bytes that are already known to be one value of `format`, as a cell's reply is once its frame was accepted, or that
    /// whoever gets them reads as one, as a bare payload is.
    #[must_use]
    pub fn trusted(format: Format, bytes: &'a [u8]) -> Self {
        Self { format, bytes }
    }

    /// The encoding of [`Raw::bytes`].
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded value.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value's bytes as a part of `message`.
    ///
    /// # Panics
    /// The value was not read from `message`.
    #[must_use]
    pub fn into_bytes(self, message: &bytes::Bytes) -> bytes::Bytes {
        message.slice_ref(self.bytes)
    }

    /// Reads the value as the object `T`; `root` is its path in messages.
    ///
    /// # Errors
    /// Says where the value is not a `T`.
    pub fn read_object<'b, T: Deserialize<'b>>(&'b self, root: &str) -> Result<T, Problem> {
        read_object(self.format, self.bytes, root)
    }

    /// Reads the value as `T`; `root` is its path in messages.
    ///
    /// # Errors
    /// Says where the value is not a `T`.
    pub fn read<'b, T: Deserialize<'b>>(&'b self, root: &str) -> Result<T, Problem> {
        read(self.format, self.bytes, root)
    }
}

/// Reads one value of `format` from the whole of `bytes`.
///
/// The common case is one pass; only a refusal costs a second one, which finds the path.
///
/// # Errors
/// Says where the bytes are not a `T`, without quoting them.
pub fn read<'a, T: Deserialize<'a>>(format: Format, bytes: &'a [u8], root: &str) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(root, "empty: send a JSON object, {} if there is nothing to say"));
    }
    match format {
        Format::Json => read_json(bytes, root),
        Format::MessagePack => read_message_pack(bytes, root),
    }
}

fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8], root: &str) -> Result<T, Problem> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Problem::new(root, "not UTF-8"));
    };
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => Err(Problem::at(root, &error.path().to_string(), &error.inner().to_string())),
        Ok(_) => Err(Problem::new(root, "more than one value")),
    }
}

fn read_message_pack<'a, T: Deserialize<'a>>(bytes: &'a [u8], root: &str) -> Result<T, Problem> {
    let mut reader = Reader::new(bytes, DEEPEST * 2);
    if let Ok(value) = T::deserialize(&mut reader)
        && reader.at_end()
    {
        return Ok(value);
    }
    match serde_path_to_error::deserialize::<_, T>(&mut Reader::new(bytes, DEEPEST * 2)) {
        Err(error) => Err(Problem::at(root, &error.path().to_string(), &error.inner().to_string())),
        Ok(_) => Err(Problem::new(root, "more than one value")),
    }
}

/// Checks how deep the containers of a body stand in each other, in one pass and without memory. Raw values are passed
/// over by serde without a limit, so whoever lets a body in looks here first. MessagePack is limited where it is read.
///
/// # Errors
/// Names the first key path prefix that is known without parsing: the whole body.
pub fn check_depth(format: Format, bytes: &[u8], deepest: usize) -> Result<(), Problem> {
    look(format, bytes, deepest, b"").map(|_| ())
}

/// The same, and whether a reader has to look: it need not where all that is wrong with a body can be that a value within
/// it is none, and no object has `key` at its top.
///
/// # Errors
/// See [`check_depth`].
pub fn look(format: Format, bytes: &[u8], deepest: usize, key: &[u8]) -> Result<bool, Problem> {
    if format == Format::MessagePack {
        return Ok(true);
    }
    let (mut depth, mut at) = (0_usize, 0);
    let mut must_look = bytes.trim_ascii_start().first() != Some(&b'{');
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => {
                // Another value behind the first.
                must_look |= depth == 0 && at > 1;
                depth += 1;
                if depth > deepest {
                    return Err(Problem::new(
                        crate::problem::ROOT,
                        format!("nested deeper than {deepest} containers"),
                    ));
                }
            }
            b']' | b'}' => {
                must_look |= depth == 0;
                depth = depth.saturating_sub(1);
            }
            b'"' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let (length, escaped) = string(rest);
                // An escape may spell any key.
                must_look |= depth == 0 || depth == 1 && (escaped || rest.get(..length) == Some(key));
                at += length + 1;
            }
            byte => must_look |= depth == 0 && !byte.is_ascii_whitespace(),
        }
    }
    Ok(must_look || depth > 0)
}

/// Length of a string up to its end, and whether it has an escape.
fn string(bytes: &[u8]) -> (usize, bool) {
    let (mut at, mut escaped) = (0, false);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return (bytes.len(), escaped) };
        at += found;
        if rest.get(found) == Some(&b'"') {
            return (at, escaped);
        }
        (at, escaped) = (at + 2, true);
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let value = <&'a serde_json::value::RawValue>::deserialize(deserializer)?;
            return Ok(Self { format: Format::Json, bytes: value.get().as_bytes() });
        }
        let bytes = deserializer.deserialize_newtype_struct(message_pack::RAW, Slice)?;
        Ok(Self { format: Format::MessagePack, bytes })
    }
}

/// Takes the bytes of a value from [`Reader`].
struct Slice;

impl<'de> Visitor<'de> for Slice {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, value: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(value)
    }

    /// What the reader gives where the value is none of JSON: says where.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de [u8], D::Error> {
        Check::deserialize(deserializer)?;
        Err(de::Error::custom("raw values are only read from slices"))
    }
}

impl schemars::JsonSchema for Raw<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Value")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!(true)
    }
}

#[cfg(test)]
mod tests;
