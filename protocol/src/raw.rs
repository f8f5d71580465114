//! A value that is carried through unread, and the reading of typed values from either format.
//!
//! What a caller sends is decoded once, in the cell; on the way there a value is a slice of the message it came in.
//! Writing lives in `writer`.

mod check;
mod checked;
mod json;
mod message_pack;
mod object;
mod text;
mod variant;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use crate::format::Format;
use crate::problem::{Problem, safe};
use check::Check;
pub use checked::Checked;
pub(crate) use message_pack::Reader;
pub use object::{AnyObject, object, optional_object, read_object};
pub use text::Text;

/// Deepest nesting of an ABI value, in containers. JSON parsers of other languages stop at 100 to 1 000;
/// templates do not go past ten.
pub const DEEPEST: usize = 64;

/// Deepest nesting of whatever is read, in containers: an ABI value and what is around it.
const NESTED: usize = 2 * DEEPEST;

/// MessagePack extension type of integers beyond 64 bits; its data are decimal digits.
pub const BIG_INTEGER: i8 = 1;

/// The name under which a type asks our readers for the bytes of a value instead of the value.
const RAW: &str = "$callboard::raw";

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
    let mut reader = json::Reader::new(text);
    if let Ok(value) = T::deserialize(&mut reader)
        && reader.at_end()
    {
        return Ok(value);
    }
    let too_deep = |problem: Problem| Problem::new(root, problem.problem);
    check_depth(Format::Json, bytes, NESTED).map_err(too_deep)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => Err(Problem::at(root, &error.path().to_string(), &error.inner().to_string())),
        Ok(_) if deserializer.end().is_err() => Err(Problem::new(root, "more than one value")),
        // What our reader leaves to serde_json: keys that are read as something else than text.
        Ok(value) => Ok(value),
    }
}

fn read_message_pack<'a, T: Deserialize<'a>>(bytes: &'a [u8], root: &str) -> Result<T, Problem> {
    let mut reader = Reader::new(bytes, NESTED);
    if let Ok(value) = T::deserialize(&mut reader)
        && reader.at_end()
    {
        return Ok(value);
    }
    match serde_path_to_error::deserialize::<_, T>(&mut Reader::new(bytes, NESTED)) {
        Err(error) => Err(Problem::at(root, &error.path().to_string(), &error.inner().to_string())),
        Ok(_) => Err(Problem::new(root, "more than one value")),
    }
}

/// Checks how deep the containers of JSON stand in each other, in one pass and without memory, whether or not it is JSON. What is read is
/// limited already, less strictly for what is around an ABI value; MessagePack is limited by that alone.
///
/// # Errors
/// They stand deeper. The path is that of the whole body.
pub fn check_depth(format: Format, bytes: &[u8], deepest: usize) -> Result<(), Problem> {
    if format == Format::MessagePack {
        return Ok(());
    }
    let (mut depth, mut rest) = (0_usize, bytes);
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'[' | b'{' if depth == deepest => {
                return Err(Problem::new(
                    crate::problem::ROOT,
                    format!("nested deeper than {deepest} containers"),
                ));
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = behind_string(rest),
            _ => {}
        }
    }
    Ok(())
}

/// What follows a string that has begun.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    while let Some(found) = memchr::memchr2(b'"', b'\\', rest) {
        match rest.get(found..).unwrap_or_default() {
            [b'\\', _, after @ ..] => rest = after,
            [b'"', after @ ..] => return after,
            _ => break,
        }
    }
    &[]
}

/// Whether somebody has to look whether a body is an object with an entry `payload`, or no object at all. Nobody has to where nothing in it
/// can spell that key; whether it is right in itself is not looked at.
#[must_use]
pub fn may_have_payload(format: Format, bytes: &[u8]) -> bool {
    static SPELLINGS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| ["payload", "\\u"].map(Finder::new));
    let seems_object = matches!(bytes.trim_ascii(), [b'{', .., b'}']);
    let spelled = || SPELLINGS.iter().any(|spelling| spelling.find(bytes).is_some());
    format == Format::MessagePack || !seems_object || spelled()
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let format = if deserializer.is_human_readable() { Format::Json } else { Format::MessagePack };
        let bytes = deserializer.deserialize_newtype_struct(RAW, Slice { format })?;
        Ok(Self { format, bytes })
    }
}

/// Takes the bytes of a value from our readers.
struct Slice {
    format: Format,
}

impl<'de> Visitor<'de> for Slice {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, value: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(value)
    }

    /// What serde_json gives, and our reader of MessagePack where the value is none of JSON: says where.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de [u8], D::Error> {
        if self.format == Format::Json {
            let text = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
            // How deep it is was looked at before.
            let whole = json::is_value(text);
            return if whole { Ok(text.as_bytes()) } else { Err(safe("a lone surrogate in an escape")) };
        }
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
