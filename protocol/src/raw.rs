//! A value that is carried through unread, and the reading of typed values from either format.
//!
//! What a caller sends is decoded once, in the cell; on the way there a value is a slice of the message it came in.
//! Writing lives in `writer`.

use std::borrow::Cow;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor,
};

use crate::format::Format;
use crate::problem::{Problem, safe};

/// Deepest nesting of an ABI value, in containers. JSON parsers of other languages stop at 100 to 1 000;
/// templates do not go past ten.
pub const DEEPEST: usize = 64;

/// MessagePack extension type of integers beyond 64 bits; its data are decimal digits.
pub const BIG_INTEGER: i8 = 1;

/// One encoded value that nobody on the way needs to understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw<'a> {
    format: Format,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Raw<'a> {
    /// Bytes that are already known to be one value of `format`, as a cell's reply is once its frame was accepted.
    #[must_use]
    pub fn trusted(format: Format, bytes: &'a [u8]) -> Self {
        Self { format, bytes: Cow::Borrowed(bytes) }
    }

    /// The encoding of [`Raw::bytes`].
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value's bytes without a copy where they are a part of `message`.
    #[must_use]
    pub fn into_bytes(self, message: &bytes::Bytes) -> bytes::Bytes {
        match self.bytes {
            Cow::Borrowed(part) => message.slice_ref(part),
            Cow::Owned(bytes) => bytes.into(),
        }
    }

    /// Reads the value as the object `T`; `root` is its path in messages.
    ///
    /// # Errors
    /// Says where the value is not a `T`.
    pub fn read_object<'b, T: Deserialize<'b>>(&'b self, root: &str) -> Result<T, Problem> {
        read_object(self.format, &self.bytes, root)
    }

    /// Reads the value as `T`; `root` is its path in messages.
    ///
    /// # Errors
    /// Says where the value is not a `T`.
    pub fn read<'b, T: Deserialize<'b>>(&'b self, root: &str) -> Result<T, Problem> {
        read(self.format, &self.bytes, root)
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
struct Object<T>(T);

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
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEEPEST * 2);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => Err(Problem::at(root, &error.path().to_string(), &error.inner().to_string())),
        Ok(value) if at_end(&mut deserializer) => Ok(value),
        Ok(_) => Err(Problem::new(root, "more than one value")),
    }
}

/// Checks how deep the containers of a body stand in each other, in one pass and without memory. Raw values are passed
/// over by serde without a limit, so whoever lets a body in looks here first. MessagePack is limited where it is read.
///
/// # Errors
/// Names the first key path prefix that is known without parsing: the whole body.
pub fn check_depth(format: Format, bytes: &[u8], deepest: usize) -> Result<(), Problem> {
    if format == Format::MessagePack {
        return Ok(());
    }
    let mut depth = 0_usize;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > deepest {
                    return Err(Problem::new(
                        crate::problem::ROOT,
                        format!("nested deeper than {deepest} containers"),
                    ));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// Whether a MessagePack reader has taken all its input. It does not tell its position; the next marker cannot be
/// read exactly when nothing is left.
pub(crate) fn at_end<'de, R: rmp_serde::decode::ReadSlice<'de>>(
    deserializer: &mut rmp_serde::Deserializer<R>,
) -> bool {
    let next = de::IgnoredAny::deserialize(deserializer);
    matches!(next, Err(rmp_serde::decode::Error::InvalidMarkerRead(_)))
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let value = <&'a serde_json::value::RawValue>::deserialize(deserializer)?;
            return Ok(Self { format: Format::Json, bytes: Cow::Borrowed(value.get().as_bytes()) });
        }
        let mut bytes = Vec::new();
        Copy(&mut bytes).deserialize(deserializer)?;
        Ok(Self { format: Format::MessagePack, bytes: Cow::Owned(bytes) })
    }
}

/// MessagePack has no raw values in serde; the value is copied token by token instead, and checked on the way:
/// string keys, no binary, no extension but big integers.
struct Copy<'b>(&'b mut Vec<u8>);

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
struct Name;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Holder<'a> {
        #[serde(borrow)]
        value: Raw<'a>,
        #[allow(dead_code, reason = "only its type is looked at")]
        count: Option<u8>,
    }

    fn message_pack(json: &str) -> Vec<u8> {
        rmp_serde::to_vec_named(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
    }

    #[test]
    fn a_json_value_is_the_slice_it_came_in() {
        let holder: Holder<'_> = read(Format::Json, br#"{"value": [1, {"a" : 2.50}] }"#, "$").unwrap();
        assert_eq!(holder.value.bytes(), br#"[1, {"a" : 2.50}]"#);
        assert!(matches!(holder.value.bytes, Cow::Borrowed(_)));
    }

    #[test]
    fn a_message_pack_value_is_copied_unchanged() {
        let inner = r#"[1,-70000,18446744073709551615,{"a":2.5,"b":[true,null,"é"]}]"#;
        let bytes = message_pack(&format!(r#"{{"value":{inner}}}"#));
        let holder: Holder<'_> = read(Format::MessagePack, &bytes, "$").unwrap();
        assert_eq!(holder.value.bytes(), message_pack(inner));
    }

    #[test]
    fn a_big_integer_extension_survives_and_others_are_refused() {
        let mut bytes = vec![0x81, 0xa5];
        bytes.extend_from_slice(b"value");
        let mut good = bytes.clone();
        put_extension(&mut good, BIG_INTEGER, b"-123456789012345678901234567890").unwrap();
        let holder: Holder<'_> = read(Format::MessagePack, &good, "$").unwrap();
        assert_eq!(holder.value.bytes(), &good[7..]);
        for (kind, digits) in [(2, b"12".as_slice()), (1, b"1x"), (1, b""), (1, b"-")] {
            let mut bad = bytes.clone();
            put_extension(&mut bad, kind, digits).unwrap();
            let problem = read::<Holder<'_>>(Format::MessagePack, &bad, "$").unwrap_err();
            assert_eq!(problem, Problem::new("value", "an extension type that is not a big integer"));
        }
    }

    #[test]
    fn bytes_and_keys_that_are_not_text_are_refused_with_their_path() {
        let problem = read::<Holder<'_>>(Format::MessagePack, b"\x81\xa5value\xc4\x01x", "$").unwrap_err();
        assert_eq!(problem, Problem::new("value", "bytes are not allowed: encode them as text"));
        let problem = read::<Holder<'_>>(Format::MessagePack, b"\x81\xa5value\x81\x01\x01", "$").unwrap_err();
        assert_eq!(problem.problem, "expected a key that is a string");
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path_in_both_formats() {
        let json = r#"{"value": 1, "count": "my secret"}"#;
        let expected = Problem::new("payload.count", "expected u8");
        assert_eq!(read::<Holder<'_>>(Format::Json, json.as_bytes(), "payload").unwrap_err(), expected);
        let packed = read::<Holder<'_>>(Format::MessagePack, &message_pack(json), "payload").unwrap_err();
        assert_eq!(packed, Problem::new("payload.count", "wrong type"));
    }

    #[test]
    fn what_is_not_one_value_is_a_problem_at_the_root() {
        for (format, bytes, problem) in [
            (Format::Json, b"{\"value\":1} x".as_slice(), "more than one value"),
            (Format::Json, b"", "empty: send a JSON object, {} if there is nothing to say"),
            (Format::Json, b"\xff\xfe", "not UTF-8"),
            (Format::MessagePack, b"\x81\xa5value\x01\x01", "more than one value"),
        ] {
            assert_eq!(read::<Holder<'_>>(format, bytes, "$").unwrap_err(), Problem::new("$", problem));
        }
        read::<Holder<'_>>(Format::MessagePack, b"\x82\xa5value\x01", "$").unwrap_err();
    }

    #[test]
    fn a_megabyte_of_brackets_ends_in_a_problem_in_both_formats() {
        let json = format!("{{\"value\":{}", "[".repeat(1 << 20));
        read::<Holder<'_>>(Format::Json, json.as_bytes(), "$").unwrap_err();
        let mut bytes = b"\x81\xa5value".to_vec();
        bytes.extend(std::iter::repeat_n(0x91, 1 << 20));
        read::<Holder<'_>>(Format::MessagePack, &bytes, "$").unwrap_err();
    }

    #[test]
    fn an_object_is_not_taken_from_a_list() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[serde(deserialize_with = "object")]
            _inner: Inner,
            #[serde(default, deserialize_with = "optional_object")]
            other: Option<Inner>,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            _a: u8,
        }
        for (json, path) in [
            (r#"[{"_a":1}]"#, Some("$")),
            (r#"{"_inner":[1]}"#, Some("_inner")),
            (r#"{"_inner":{"_a":1},"other":[1]}"#, Some("other")),
            (r#"{"_inner":{"_a":1},"other":null}"#, None),
            (r#"{"_inner":{"_a":1},"other":{"_a":2}}"#, None),
        ] {
            for (format, bytes) in
                [(Format::Json, json.as_bytes().to_vec()), (Format::MessagePack, message_pack(json))]
            {
                let problem =
                    read_object::<Outer>(format, &bytes, "$").map(|outer| outer.other.is_some()).err();
                assert_eq!(problem.map(|problem| problem.path).as_deref(), path, "{json} {format:?}");
            }
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        let nested = format!("{}1{}", "[".repeat(5), "]".repeat(5));
        check_depth(Format::Json, nested.as_bytes(), 5).unwrap();
        check_depth(Format::Json, nested.as_bytes(), 4).unwrap_err();
        check_depth(Format::Json, br#"["[[[[[[\"[[[["]"#, 1).unwrap();
        check_depth(Format::Json, b"[],[],[],{}", 1).unwrap();
    }

    #[test]
    fn a_message_pack_length_that_lies_costs_no_memory() {
        let problem = read::<Holder<'_>>(Format::MessagePack, b"\x81\xa5value\xdd\xff\xff\xff\xff", "$");
        problem.unwrap_err();
    }
}
