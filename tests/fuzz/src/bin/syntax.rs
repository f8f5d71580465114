//! Any text as content with macros, in both of its formats: macros stand where they say, in order and apart from each other,
//! and each is, alone, the same macro. The page around them is `page`'s business.

#![no_main]

use callboard::worker::content::Format::{self, Html, Markdown};
use callboard::worker::content::syntax::{MAX_MACROS, MAX_PARAMS, Value, find};
use libfuzzer_sys::fuzz_target;

fn stands(content: &str, format: Format) {
    let Ok(macros) = find(content, format) else { return };
    assert!(macros.len() <= MAX_MACROS);
    let mut end = 0;
    for call in macros {
        assert!(call.span.start >= end, "macros that overlap");
        end = call.span.end;
        let source = content.get(call.span.clone()).expect("a place in the content");
        assert!(source.starts_with("[[") && source.ends_with("]]"), "{source:?}");
        assert!(source[2..].starts_with(&call.name) && !call.name.is_empty());
        assert!(call.params.len() <= MAX_PARAMS);
        for (index, (key, value)) in call.params.iter().enumerate() {
            assert!(!call.params[..index].iter().any(|(other, _)| other == key), "a key twice");
            if let Value::Int(digits) = value {
                let number = digits.strip_prefix('-').unwrap_or(digits);
                assert!(number == "0" || !number.starts_with('0'), "{digits}");
                assert!(!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
        let alone = find(source, format).expect("no more than the whole");
        assert_eq!(alone.len(), 1, "{source:?}");
        assert_eq!((&alone[0].name, &alone[0].params), (&call.name, &call.params));
    }
}

fuzz_target!(|content: &str| {
    stands(content, Markdown);
    stands(content, Html);
});
