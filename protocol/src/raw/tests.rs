//! Tests of reading and measuring raw values.

use serde_json::Value;

use super::*;
use crate::writer::put_extension;

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
}

#[test]
fn a_message_pack_value_is_the_slice_it_came_in() {
    let inner = r#"[1,-70000,18446744073709551615,{"a":2.5,"b":[true,null,"é"]}]"#;
    for (before, after) in [("", ""), (r#""count":7,"#, ""), ("", r#","count":null"#)] {
        let bytes = bytes::Bytes::from(message_pack(&format!(r#"{{{before}"value":{inner}{after}}}"#)));
        let holder: Holder<'_> = read(Format::MessagePack, &bytes, "$").unwrap();
        let value = holder.value.into_bytes(&bytes);
        assert_eq!(value, message_pack(inner));
        assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
    }
}

#[test]
fn message_pack_is_read_as_others_read_it() {
    let text = |length: usize| Value::String("x".repeat(length));
    let list = |length: usize| Value::Array(vec![Value::from(1); length]);
    let object = |length: usize| (0..length).map(|n| (n.to_string(), Value::Null)).collect::<Value>();
    let lengths = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536];
    let mut values: Vec<Value> = lengths.iter().flat_map(|n| [text(*n), list(*n), object(*n)]).collect();
    let integers = [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX];
    values.extend(integers.iter().flat_map(|n| [Value::from(*n), Value::from(-n), Value::from(-n - 1)]));
    values.extend([Value::from(u64::MAX), Value::from(1.5), Value::from(1e300), true.into(), false.into()]);
    for value in values {
        let bytes = rmp_serde::to_vec(&value).unwrap();
        assert_eq!(read::<Value>(Format::MessagePack, &bytes, "$").unwrap(), value);
        let raw: Raw<'_> = read(Format::MessagePack, &bytes, "$").unwrap();
        assert_eq!(raw.bytes(), bytes);
        for end in (0..bytes.len()).filter(|_| bytes.len() < 300) {
            read::<Value>(Format::MessagePack, &bytes[..end], "$").unwrap_err();
            read::<Raw<'_>>(Format::MessagePack, &bytes[..end], "$").unwrap_err();
        }
    }
}

#[test]
fn variants_of_message_pack_are_names_or_objects_of_one_entry() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Shape {
        Point,
        Circle(u8),
        Line(u8, Option<u8>),
        Box { wide: u8 },
    }
    for shape in [Shape::Point, Shape::Circle(1), Shape::Line(1, None), Shape::Box { wide: 3 }] {
        for bytes in [rmp_serde::to_vec(&shape), rmp_serde::to_vec_named(&shape)] {
            assert_eq!(read::<Shape>(Format::MessagePack, &bytes.unwrap(), "$").unwrap(), shape);
        }
    }
    for bytes in [
        &b"\x81\xa6Circle\x01"[..],
        b"\xde\0\x01\xd9\x06Circle\x01",
        b"\xdf\0\0\0\x01\xdb\0\0\0\x06Circle\xcc\x01",
    ] {
        assert_eq!(read::<Shape>(Format::MessagePack, bytes, "$").unwrap(), Shape::Circle(1));
    }
    for bytes in [&b"\xa6Circle"[..], b"\x82\xa5Point\xc0\xa5Point\xc0", b"\x01", b"\x80", b"\xa5Other", b""]
    {
        read::<Shape>(Format::MessagePack, bytes, "$").unwrap_err();
    }
}

proptest::proptest! {
    #[test]
    fn whatever_bytes_there_are_a_raw_value_is_one_value(bytes: Vec<u8>) {
        if let Ok(raw) = read::<Raw<'_>>(Format::MessagePack, &bytes, "$") {
            proptest::prop_assert_eq!(raw.bytes(), &bytes[..]);
        }
        let _any_end = read::<Value>(Format::MessagePack, &bytes, "$");
    }
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
    let problem = read::<Holder<'_>>(Format::MessagePack, b"\x81\xa5value\x91\xa1\xff", "$").unwrap_err();
    assert_eq!(problem, Problem::new("value[0]", "bytes are not allowed: encode them as text"));
}

#[test]
fn a_wrong_type_is_named_by_its_path_in_both_formats() {
    let json = r#"{"value": 1, "count": "my secret"}"#;
    let expected = Problem::new("payload.count", "expected u8");
    assert_eq!(read::<Holder<'_>>(Format::Json, json.as_bytes(), "payload").unwrap_err(), expected);
    let packed = read::<Holder<'_>>(Format::MessagePack, &message_pack(json), "payload").unwrap_err();
    assert_eq!(packed, expected);
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
            let problem = read_object::<Outer>(format, &bytes, "$").map(|outer| outer.other.is_some()).err();
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
fn nobody_need_look_for_a_payload_that_nothing_can_spell() {
    let must = |json: &str| may_have_payload(Format::Json, json.as_bytes());
    for json in [r#"{"a":{"b":1}}"#, r#"{"pay":["\"load"]}"#, "{}", " {\"a\":1} \n"] {
        assert!(!must(json), "{json}");
    }
    for json in [
        r#"{ "payload" :1}"#,
        r#"{"a":"payload"}"#,
        r#"{"p\u0061yload":1}"#,
        "",
        "[]",
        "1",
        "{",
        "}{",
        "{}1",
        "[{}",
    ] {
        assert!(must(json), "{json}");
    }
    assert!(may_have_payload(Format::MessagePack, b"\x80"));
}

#[test]
fn a_message_pack_length_that_lies_costs_no_memory() {
    let problem = read::<Holder<'_>>(Format::MessagePack, b"\x81\xa5value\xdd\xff\xff\xff\xff", "$");
    problem.unwrap_err();
}

#[test]
fn a_lone_surrogate_is_carried_nowhere() {
    for (half, whole) in [
        (r"\ud83d", r"\ud83d\ude00"),
        (r"\ude00\ud83d", r"\uD83D\uDE00"),
        (r"\udc00", r"\ud800\udc00"),
        (r"\ud83dx\ude00", r"\ud7ff"),
        (r"\ud83d\u0041", r"\ue000"),
        (r"\ud83d\n", r"\\ud83d"),
        ("x\\udbff", "\\udbff\\udfffx"),
    ] {
        let json = |text| format!(r#"{{"value":["{text}"]}}"#);
        let holder = json(whole);
        read::<Holder<'_>>(Format::Json, holder.as_bytes(), "$").unwrap();
        let problem = read::<Holder<'_>>(Format::Json, json(half).as_bytes(), "$").unwrap_err();
        assert_eq!(problem, Problem::new("value", "a lone surrogate in an escape"), "{half}");
    }
}

#[test]
fn text_is_read_when_it_is_wanted() {
    for (json, text) in [(r#""""#, ""), (r#" "a\"\u00e9" "#, "a\"é"), (r#""plain""#, "plain")] {
        let read: Text<'_> = read(Format::Json, json.as_bytes(), "$").unwrap();
        assert_eq!(read.read("$").unwrap(), text);
        let packed = rmp_serde::to_vec(text).unwrap();
        let read: Text<'_> = super::read(Format::MessagePack, &packed, "$").unwrap();
        assert_eq!(read.read("$").unwrap(), text);
    }
    for json in ["1", "[\"a\"]", "null", "{}", "true"] {
        let problem = read::<Text<'_>>(Format::Json, json.as_bytes(), "$").unwrap_err();
        assert_eq!(problem, Problem::new("$", "expected a string"));
        assert_eq!(read::<Text<'_>>(Format::MessagePack, &message_pack(json), "$").unwrap_err(), problem);
    }
    let problem = read::<Text<'_>>(Format::MessagePack, b"\xc4\x01x", "$").unwrap_err();
    assert_eq!(problem, Problem::new("$", "bytes are not allowed: encode them as text"));
    for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
        let text = "x".repeat(length);
        let packed = rmp_serde::to_vec(&text).unwrap();
        let read: Text<'_> = read(Format::MessagePack, &packed, "$").unwrap();
        assert_eq!(read.read("$").unwrap(), text);
    }
}
