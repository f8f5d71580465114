//! Tests of the syntax: a table of what is a macro and what is not, and hostile content.

use super::reader::Reader;
use super::{MAX_MACROS, MAX_PARAMS, Macro, TooMany, Value, find, scan};
use crate::worker::content::Error;
use crate::worker::content::Format::{self, Html, Markdown};
use proptest::prelude::*;

fn calls(content: &str, format: Format) -> Vec<Macro> {
    find(content, format).unwrap()
}

/// The macros' sources.
fn sources(content: &str, format: Format) -> Vec<&str> {
    calls(content, format).into_iter().map(|call| content.get(call.span).unwrap()).collect()
}

fn params(content: &str) -> Vec<(String, Value)> {
    let calls = calls(content, Markdown);
    assert_eq!(calls.len(), 1, "{content}");
    calls.into_iter().next().unwrap().params
}

fn int(digits: &str) -> Value {
    Value::Int(digits.to_owned())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_macro_has_a_name_a_place_and_parameters_in_order() {
    let content = "a [[Photo_Archive2 year=2024 lead-text='x' wide]] b";
    let call = &calls(content, Markdown)[0];
    assert_eq!((call.name.as_str(), call.key().as_str()), ("Photo_Archive2", "photo_archive2"));
    assert_eq!(content.get(call.span.clone()).unwrap(), "[[Photo_Archive2 year=2024 lead-text='x' wide]]");
    let expect = [("year", int("2024")), ("lead-text", text("x")), ("wide", Value::Bool(true))];
    assert_eq!(call.params, expect.map(|(key, value)| (key.to_owned(), value)));
}

#[test]
fn values_have_the_type_that_their_spelling_gives_them() {
    let long = "9".repeat(100);
    for (written, value) in [
        ("0", int("0")),
        ("-7", int("-7")),
        (long.as_str(), int(&long)),
        ("1.50", Value::Float(1.5)),
        ("-0.25", Value::Float(-0.25)),
        ("00.5", Value::Float(0.5)),
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("007", text("007")),
        ("-01", text("-01")),
        ("1e3", text("1e3")),
        ("+1", text("+1")),
        ("1.", text("1.")),
        (".5", text(".5")),
        ("1.2.3", text("1.2.3")),
        ("-", text("-")),
        ("--1", text("--1")),
        ("True", text("True")),
        ("٣", text("٣")),
        ("https://a.example/b?c=d&e", text("https://a.example/b?c=d&e")),
        ("`x`", text("`x`")),
        ("\"5\"", text("5")),
        ("'true'", text("true")),
        ("\"\"", text("")),
        (r#""a \"b\" \'c\' \\ \n ]] [[x]] 'd'""#, text(r#"a "b" 'c' \ \n ]] [[x]] 'd'"#)),
        (r"'\\'", text(r"\")),
        ("\"two\nlines\"", text("two\nlines")),
        ("\"ünïcode\"", text("ünïcode")),
    ] {
        let found = params(&format!("[[m k={written}]]"));
        assert_eq!(found, [("k".to_owned(), value)], "{written}");
    }
    let huge = format!("{}.0", "9".repeat(400));
    assert_eq!(params(&format!("[[m k={huge}]]")), [("k".to_owned(), text(&huge))]);
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let found = params("[[m a=1 b=2 a=3 b A]]");
    let expect = [("a", int("3")), ("b", Value::Bool(true)), ("A", Value::Bool(true))];
    assert_eq!(found, expect.map(|(key, value)| (key.to_owned(), value)));
}

#[test]
fn what_is_not_well_formed_is_text() {
    for content in [
        "[[",
        "[[]]",
        "[[ m]]",
        "[[m",
        "[[m]",
        "[[m] ]",
        "[[m-n]]",
        "[[m.n]]",
        "[[m=1]]",
        "[[m a=]]",
        "[[m a= b]]",
        "[[m =1]]",
        "[[m a=\"x]]",
        "[[m a='x\"]]",
        "[[m a=\"x\"b]]",
        "[[m a=\"x\"b=1]]",
        "[[m a=b\"c\"]]",
        "[[m \"x\"]]",
        "[[m a=[x]]]",
        "[[m a b=c]d]]",
        "[[m\n\na=1]]",
        "[[m a=1\n \t\nb]]",
        "[[m a=\"x\n\ny\"]]",
        "[[m a=\"x\r\n\r\ny\"]]",
        "[[m\r\ra]]",
        "[[1,2],[3,4]]",
        "[m]",
        "[ [m]]",
        "[[é]]",
        "[[m é]]",
    ] {
        for format in [Markdown, Html] {
            assert_eq!(sources(content, format), Vec::<&str>::new(), "{content:?}");
        }
    }
}

#[test]
fn well_formed_macros_are_found_in_odd_company() {
    for (content, expect) in [
        ("[[m]]", vec!["[[m]]"]),
        ("[[m ]]x[[ n]][[o]]", vec!["[[m ]]", "[[o]]"]),
        ("[[[m]]]", vec!["[[m]]"]),
        ("[[[[m]]]]", vec!["[[m]]"]),
        ("[[a [[b]]", vec!["[[b]]"]),
        ("[[a k=\"[[b]]\" [[c]]", vec!["[[b]]", "[[c]]"]),
        ("[[a k=\"[[b]]\"]] [[c]]", vec!["[[a k=\"[[b]]\"]]", "[[c]]"]),
        ("[[m\n  a=1\r\n  b='x\ny'\n]]", vec!["[[m\n  a=1\r\n  b='x\ny'\n]]"]),
        ("*[[m]]* _[[n]]_ ~~[[o]]~~ [[[p]]](/x)", vec!["[[m]]", "[[n]]", "[[o]]", "[[p]]"]),
        ("\\[[m]] \\\\[[n]] \\\\\\[[o]]", vec!["[[n]]"]),
        ("é[[m]]é", vec!["[[m]]"]),
        ("[[__]] [[0]]", vec!["[[__]]", "[[0]]"]),
    ] {
        assert_eq!(sources(content, Markdown), expect, "{content}");
        assert_eq!(sources(content, Html), expect, "{content}");
    }
}

#[test]
fn no_macro_is_seen_in_markdown_code() {
    for (content, expect) in [
        ("`[[a]]` [[b]]", vec!["[[b]]"]),
        ("``[[a]] ` [[b]]`` [[c]]", vec!["[[c]]"]),
        ("` [[a]]", vec!["[[a]]"]),
        ("```\n[[a]]\n```\n[[b]]", vec!["[[b]]"]),
        ("~~~html\n[[a]]\n\n[[b]]", vec![]),
        ("    [[a]]\n\n[[b]]", vec!["[[b]]"]),
        ("para\n    [[a]]", vec!["[[a]]"]),
        ("- item\n\n      [[a]]\n\n  [[b]]", vec!["[[b]]"]),
        ("> ```\n> [[a]]\n> ```\n> [[b]]", vec!["[[b]]"]),
        ("<pre>\n[[a]]\n</pre>\n\n[[b]]", vec!["[[b]]"]),
        ("x <code>[[a]]</code> [[b]]", vec!["[[b]]"]),
        ("<div>\n<code>\n\n[[a]]\n\n</code>\n</div>\n\n[[b]]", vec!["[[b]]"]),
        ("<div title=\"[[a]]\">[[b]]</div>", vec!["[[b]]"]),
        ("x <b title=\"[[a]]\">[[b]]</b>", vec!["[[b]]"]),
        ("<!-- [[a]] --> [[b]]\n\n[[c]]", vec!["[[b]]", "[[c]]"]),
        ("x <!-- [[a]] --> [[b]]", vec!["[[b]]"]),
        ("<script>\n[[a]]\n</script>\n[[b]]", vec!["[[b]]"]),
        ("<style>[[a]]</style>\n\n[[b]]", vec!["[[b]]"]),
        ("[[a k=\"`\"]] [[b]]", vec!["[[a k=\"`\"]]", "[[b]]"]),
        (
            "# [[a]]\n\n| [[b]] |\n|---|\n| [[c]] |\n\n- [ ] [[d]]\n\n[^1]\n\n[^1]: [[e]]",
            vec!["[[a]]", "[[b]]", "[[c]]", "[[d]]", "[[e]]"],
        ),
    ] {
        assert_eq!(sources(content, Markdown), expect, "{content}");
    }
}

#[test]
fn no_macro_is_seen_in_html_code_tags_and_comments() {
    for (content, expect) in [
        ("<p>[[a]]</p>", vec!["[[a]]"]),
        ("<code>[[a]]</code>[[b]]", vec!["[[b]]"]),
        ("<PRE class=x>[[a]]<b>[[b]]</b></PRE>[[c]]", vec!["[[c]]"]),
        ("<pre><code>[[a]]</code>[[b]]</pre>[[c]]", vec!["[[c]]"]),
        ("</code></pre>[[a]]", vec!["[[a]]"]),
        ("<code>[[a]]", vec![]),
        ("<script>'[[a]]'</script>[[b]]", vec!["[[b]]"]),
        ("<script>'</style>[[a]]'</script>[[b]]", vec!["[[b]]"]),
        ("<style>[[a]]</style>[[b]]<title>[[c]]</title><textarea>[[d]]</textarea>", vec!["[[b]]"]),
        ("<!-- [[a]] -->[[b]]<!doctype [[c]]><? [[d]]>", vec!["[[b]]"]),
        ("<a title=\"[[a]]\" href='[[b]]' x=[[c]] [[d]]>[[e]]</a>", vec!["[[e]]"]),
        ("<a title=\"[[a]]", vec![]),
        ("a < b [[a]] > c", vec!["[[a]]"]),
        ("[[a k=\"<code>\"]] [[b]]", vec!["[[a k=\"<code>\"]]", "[[b]]"]),
        (
            "[[a k='<!--']] [[b]] [[c k=\"</p><x y='\"]]",
            vec!["[[a k='<!--']]", "[[b]]", "[[c k=\"</p><x y='\"]]"],
        ),
        ("`[[a]]`\n\n    [[b]]", vec!["[[a]]", "[[b]]"]),
    ] {
        assert_eq!(sources(content, Html), expect, "{content}");
    }
}

#[test]
fn escapes_are_known_by_the_place_of_their_backslash() {
    let found = scan("\\[[m]] \\[[ \\\\[[n]]", Html).unwrap();
    assert_eq!(found.escapes, [0]);
    assert_eq!(found.macros.len(), 1);
}

#[test]
fn too_many_are_refused() {
    let content = |count: usize| "[[m]]".repeat(count);
    assert_eq!(calls(&content(MAX_MACROS), Markdown).len(), MAX_MACROS);
    assert_eq!(find(&content(MAX_MACROS + 1), Html), Err(Error::TooMany(TooMany::Macros)));
    let content = |count: usize| {
        format!("[[m{}]]", (0..count).map(|key| format!(" a{key} a{key}")).collect::<String>())
    };
    assert_eq!(params(&content(MAX_PARAMS)).len(), MAX_PARAMS);
    assert_eq!(find(&content(MAX_PARAMS + 1), Markdown), Err(Error::TooMany(TooMany::Params)));
    assert_eq!(find(content(MAX_PARAMS + 1).trim_end_matches(']'), Markdown), Ok(vec![]));
}

/// How many bytes are read for all that may be a macro, per byte of content.
fn work(content: &str) -> usize {
    let starts = content.match_indices('[').map(|(at, _)| at);
    let starts = starts.filter(|at| content.get(*at..).unwrap().starts_with("[["));
    let read = starts.map(|start| {
        let mut reader = Reader::new(content, start);
        let _ = reader.call();
        reader.read()
    });
    read.sum::<usize>() / content.len()
}

#[test]
fn hostile_content_is_read_a_few_times_at_most() {
    for unit in [
        "[[",
        "[[a \"",
        "[[a b=\"",
        "[[a b='[[a b=\"",
        "[[a b=\"\\",
        "[[a b=\\\"",
        "[[a ",
        "[[a b ",
        "[[a b=c ",
        "[[a\n",
        "`",
        "`[[a",
        "]]",
        "\\[[",
        "[[a b=\"\\\"",
        "[[a b='\\\"\\'",
        "[[a b=\"'[[c d='\"",
        "<",
        "<[[a b=\"",
        "[[a b=\"x\" c='y' ",
    ] {
        let content = unit.repeat(48 * 1024 / unit.len());
        assert!(work(&content) <= 8, "{unit}");
        for format in [Markdown, Html] {
            assert!(find(&content, format).is_ok_and(|calls| calls.is_empty()), "{unit}");
        }
    }
}

proptest! {
    #[test]
    fn a_written_text_is_read_back(value in "[^\\r\\n]{0,20}", single: bool) {
        let quote = if single { '\'' } else { '"' };
        let escaped: String = value.chars().flat_map(|char| {
            let backslash = (char == '\\' || char == quote).then_some('\\');
            backslash.into_iter().chain([char])
        }).collect();
        let content = format!("[[m k={quote}{escaped}{quote}]]");
        prop_assert_eq!(&params(&content)[0].1, &Value::Text(value));
    }

    #[test]
    fn integers_of_any_size_are_read_back(value in "-?[1-9][0-9]{0,60}") {
        prop_assert_eq!(&params(&format!("[[m k={value}]]"))[0].1, &Value::Int(value));
    }

    #[test]
    fn macros_are_found_in_order_and_stand_where_they_say(
        content in "([a-c=\"'\\\\ `<>!\\n-]|\\[\\[a|\\]\\]|\\[\\[b c=1\\]\\]|<code>|</code>){0,40}"
    ) {
        for format in [Markdown, Html] {
            let mut end = 0;
            for call in calls(&content, format) {
                prop_assert!(call.span.start >= end);
                end = call.span.end;
                let source = content.get(call.span).unwrap();
                prop_assert!(source.starts_with("[[") && source.ends_with("]]"));
                let again = calls(source, format);
                prop_assert_eq!(again.len(), 1);
                prop_assert_eq!(&again[0].params, &call.params);
            }
        }
    }
}
