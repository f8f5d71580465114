//! Our reader of JSON against serde_json's.

use std::collections::HashMap;

use serde_json::Value;

use super::super::{AnyObject, Raw, read};
use super::*;
use crate::format::Format;
use crate::problem::Problem;

/// What serde_json alone makes of a text as `T`.
fn of_serde_json<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// What our reader alone makes of it.
fn of_reader<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let mut reader = Reader::new(text);
    T::deserialize(&mut reader).ok().filter(|_| reader.at_end())
}

#[derive(Debug, PartialEq, serde::Deserialize)]
enum Shape {
    Point,
    Circle(u8),
    Line(u8, Option<u8>),
    Box { wide: u8 },
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict<'a> {
    #[serde(borrow)]
    a: Cow<'a, str>,
    b: Option<Vec<f64>>,
    c: Option<AnyObject>,
    #[serde(borrow)]
    d: Option<Raw<'a>>,
    e: Option<Shape>,
}

/// Holds our reader against serde_json on one text, as several types. What ours takes, serde_json takes for the same.
fn compare(text: &str, takes_all: bool) -> Result<(), proptest::test_runner::TestCaseError> {
    macro_rules! compare {
        ($($type:ty),*) => {$(
            let (ours, theirs) = (of_reader::<$type>(text), of_serde_json::<$type>(text));
            if takes_all || ours.is_some() {
                proptest::prop_assert_eq!(ours, theirs, "{} as {}", text, stringify!($type));
            }
        )*};
    }
    compare!(
        Value,
        Strict<'_>,
        Vec<u8>,
        Vec<i64>,
        Vec<Option<bool>>,
        (u8, String),
        Shape,
        Vec<Shape>,
        f64,
        u64,
        i8,
        String,
        AnyObject,
        Vec<AnyObject>
    );
    compare!(HashMap<String, Value>, HashMap<Cow<'_, str>, Shape>);
    let (ours, theirs) = (of_reader::<Raw<'_>>(text), of_serde_json::<&serde_json::value::RawValue>(text));
    if takes_all || ours.is_some() {
        let bytes = |raw: &Raw<'_>| raw.bytes().to_vec();
        proptest::prop_assert_eq!(
            ours.as_ref().map(bytes),
            theirs.map(|raw| raw.get().as_bytes().to_vec()),
            "{}",
            text
        );
    }
    // Keys that are read as something else than text are left to serde_json.
    let (ours, theirs) = (of_reader::<HashMap<u64, Value>>(text), of_serde_json::<HashMap<u64, Value>>(text));
    proptest::prop_assert!(ours.is_none() || ours == theirs, "{}", text);
    let (ours, theirs) = (of_reader::<de::IgnoredAny>(text), of_serde_json::<de::IgnoredAny>(text));
    proptest::prop_assert!(theirs.is_some() || ours.is_none(), "{}", text);
    Ok(())
}

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "7",
    "255",
    "256",
    "00",
    "01",
    "-01",
    "-",
    "+1",
    "1.",
    ".5",
    "1.5",
    "-1.5e3",
    "1e",
    "1e+",
    "1E-7",
    "1e400",
    "0e1",
    "0.0",
    "999999999999999999",
    "-999999999999999999",
    "1000000000000000000",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "1_0",
    "0x1",
    "NaN",
    "Infinity",
    "1 2",
    "1a",
];
const STRINGS: &[&str] = &[
    r#""""#,
    r#""a""#,
    r#""é😀""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u00e9\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00\ud83d""#,
    r#""\u12g4""#,
    r#""\u12""#,
    r#""\x""#,
    r#""\"#,
    r#"""#,
    "\"\n\"",
    "\"\u{7f}\"",
    "\"a\0\"",
    "'a'",
];
const OTHERS: &[&str] = &[
    "",
    " ",
    "null",
    "nul",
    "nulll",
    "true",
    "false",
    "True",
    "tru",
    "[1}",
    "[[1}]",
    "{\"a\":1]",
    "{\"a\":[1}}",
    "[1,\"a\"]",
    "[1,\"a\"x",
    "{\"1\":2}",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[}",
    "{]",
    "[,]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1,2]",
    " [ 1 , 2 ] ",
    "[[1],[2]]",
    "[1]]",
    "[[1]",
    "]",
    "}",
    ",",
    ":",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\" 1}",
    "{a:1}",
    "{1:2}",
    "{null:1}",
    "{\"a\":\"x\"}",
    "{ \"a\" : \"x\" , \"b\" : [ 1 , 2.5 ] }",
    "{\"a\":\"\\u0041\",\"c\":{\"x\":[{}]},\"d\": [ {\"y\":null} ] }",
    "{\"a\":\"x\",\"a\":\"y\"}",
    "{\"\\u0061\":\"x\"}",
    "{\"a\":\"x\",\"e\":\"Point\"}",
    "{\"a\":\"x\",\"e\":{\"Circle\":3}}",
    "\"Point\"",
    "\"Circle\"",
    "{\"Point\":null}",
    "{\"Point\":1}",
    "{\"Circle\":1}",
    "{ \"Circle\" : 1 }",
    "{\"Circle\":1,\"Point\":null}",
    "{\"Circle\"}",
    "{\"Line\":[1,null]}",
    "{\"Line\":[1]}",
    "{\"Line\":{}}",
    "{\"Box\":{\"wide\":3}}",
    "{\"Box\":[3]}",
    "[\"Point\",{\"Circle\":1}]",
    "\u{feff}[]",
    "[1]\u{a0}",
    "/**/[]",
    "[1]#",
    "[true,null,false]",
];

#[test]
fn json_is_read_as_serde_json_reads_it() {
    for text in NUMBERS.iter().chain(STRINGS).chain(OTHERS) {
        for text in
            [(*text).to_owned(), format!("[{text}]"), format!("{{\"a\":{text}}}"), format!(" {text}\n")]
        {
            compare(&text, false).unwrap();
            // Lone surrogates, and keys that are read as something else than text, are all that ours leaves to serde_json.
            compare(&text, of_serde_json::<Value>(&text).is_some()).unwrap();
        }
    }
}

#[test]
fn what_stands_side_by_side_is_not_deep() {
    let wide = format!("[{}]", vec!["[[]],{}"; 500].join(","));
    compare(&wide, true).unwrap();
}

#[test]
fn no_reader_goes_deeper_than_it_may() {
    for (begin, end) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let per = begin.matches(['[', '{']).count();
        let nested = |depth: usize| format!("{}1{}", begin.repeat(depth / per), end.repeat(depth / per));
        let (deep, deeper) = (nested(NESTED), nested(NESTED + per));
        assert!(of_reader::<Raw<'_>>(&deep).is_some() && of_reader::<Raw<'_>>(&deeper).is_none());
        assert!(of_reader::<Value>(&deep).is_some() && of_reader::<Value>(&deeper).is_none());
        read::<Raw<'_>>(Format::Json, deep.as_bytes(), "$").unwrap();
        let problem = read::<Raw<'_>>(Format::Json, deeper.as_bytes(), "payload").unwrap_err();
        assert_eq!(problem, Problem::new("payload", "nested deeper than 128 containers"));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2_000))]

    #[test]
    fn any_text_of_json_is_read_as_serde_json_reads_it(text in r#"([\[\]{}:, \n"\\]|"[a-e]"|null|true|1|-0|2\.5e1|\\u00e9|é|Point|Circle){0,24}"#) {
        compare(&text, false)?;
        if let Some(value) = of_serde_json::<Value>(&text) {
            compare(&value.to_string(), true)?;
        }
    }
}
