//! What files mean, and that what is written is read as it was meant.

use proptest::prelude::*;

use super::write::{rewrite, whole, with_id};
use super::*;

const FILE: &str = "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000001\"\ntitle: \"A \\\"b\\\" \\\\\"\nkind: macro\nenabled: false\nversion: 3\norder: -2\nunknown: 5\n---\n\"\"\"\nimport re\n";

fn record(slug: &str, text: &str) -> Record {
    describe("default", slug, Id::generate(), &parts(text), None)
}

#[test]
fn metadata_and_body_are_told_apart() {
    let found = record("gallery", FILE);
    assert_eq!(found.title, "A \"b\" \\");
    assert_eq!((found.kind, found.enabled, found.version, found.order), (Kind::Macro, false, 3, -2));
    assert_eq!(found.entrypoint, "render");
    assert_eq!((parts(FILE).body, parts(FILE).lines_before), ("import re\n", 11));
    let id = Entries::read(parts(FILE).metadata.unwrap()).id();
    assert_eq!(id, Id::new("0192f1c0-0000-7000-8000-000000000001"));
}

#[test]
fn editors_of_other_systems_write_the_same_metadata() {
    let other = format!("\u{feff}{}", FILE.replace('\n', "\r\n"));
    let found = parts(&other);
    assert_eq!((found.body, found.lines_before), ("import re\r\n", 11));
    let (one, two) = (record("gallery", FILE), record("gallery", &other));
    assert_eq!((one.title, one.kind, one.order), (two.title, two.kind, two.order));
}

#[test]
fn broken_metadata_falls_back_to_defaults() {
    for text in [
        "x = 1\n",
        "\"\"\"\n---\nno end\n",
        "\"\"\"\n---\n---\n\"\"\"\nx = 1\n",
        "\"\"\"\n---\nkind\ntitle: \"open\nversion: many\n---\n\"\"\"\n",
        "\"\"\"\n---\nversion: -5\nversion: 99999999999999999999\n---\n\"\"\"\n",
    ] {
        let record = record("a", text);
        let found = (record.kind, record.enabled, record.version, record.title.as_str());
        assert_eq!(found, (Kind::Utility, true, 1, "a"), "{text}");
    }
}

#[test]
fn what_metadata_leave_out_is_as_it_was() {
    let before =
        Record { aliases: vec!["old".into()], origin: "default@1".into(), ..record("gallery", FILE) };
    let bare = describe("default", "gallery", before.id, &parts("x = 1\n"), Some(&before));
    assert_eq!(
        (bare.title.as_str(), bare.kind, bare.enabled, bare.order),
        ("A \"b\" \\", Kind::Macro, false, -2)
    );
    assert_eq!((&bare.aliases, &bare.origin), (&before.aliases, &before.origin));
    // Metadata that are there say that there are no aliases by not naming any.
    let some = parts("\"\"\"\n---\ntitle: \"T\"\n---\n\"\"\"\n");
    let some = describe("default", "gallery", before.id, &some, Some(&before));
    assert_eq!((some.title.as_str(), some.kind, some.order, some.aliases.len()), ("T", Kind::Macro, 0, 0));
}

#[test]
fn a_huge_docstring_is_no_metadata() {
    assert_eq!(parts(&format!("\"\"\"\n---\n{}---\n\"\"\"\n", "a: 1\n".repeat(10_000))).metadata, None);
}

#[test]
fn a_slug_never_leaves_the_folder() {
    for (stem, expected) in [
        ("My Macro", "my_macro"),
        ("../../etc/passwd", "etc_passwd"),
        ("ÄÖ", "script"),
        ("", "script"),
        ("a.b", "a_b"),
    ] {
        assert_eq!(slug(stem), expected);
    }
    assert_eq!(slug(&"x".repeat(500)).len(), 100);
}

#[test]
fn unknown_lines_stay_where_they_are() {
    let mut changed = record("gallery", FILE);
    changed.id = Id::new("0192f1c0-0000-7000-8000-000000000001").unwrap();
    changed.title = "New".into();
    changed.version = 4;
    changed.order = 0;
    let text = whole(&rewrite(parts(FILE).metadata.unwrap(), &changed), parts(FILE).body);
    assert_eq!(
        text,
        "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000001\"\ntitle: \"New\"\nkind: macro\nenabled: false\nversion: 4\nunknown: 5\n\
         slug: \"gallery\"\nentrypoint: render\n---\n\"\"\"\nimport re\n"
    );
}

#[test]
fn an_id_is_added_and_nothing_else() {
    let id = Id::new("0192f1c0-0000-7000-8000-000000000001").unwrap();
    assert_eq!(with_id("", id), format!("id: \"{id}\""));
    assert_eq!(with_id("title: \"x\"\nid: 5\n# note", id), format!("id: \"{id}\"\ntitle: \"x\"\n# note"));
}

fn any_record() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![Just(Kind::Macro), Just(Kind::Transform), Just(Kind::Utility)];
    let word = "[a-zA-Z_][a-zA-Z0-9_]{0,10}";
    let words = || proptest::collection::vec("[a-z0-9_-]{1,10}", 0..4);
    let texts = ("[a-z0-9_]{1,20}", r#"[^\p{Cc}]{1,40}"#, word);
    (texts, kind, any::<(bool, bool, u32, i16)>(), words(), words()).prop_map(
        |((slug, title, entrypoint), kind, (enabled, fresh, version, order), aliases, capabilities)| Record {
            slug,
            title: if title.trim().is_empty() { "x".into() } else { title },
            kind,
            entrypoint,
            enabled,
            fresh,
            version: u64::from(version % 1_000_000) + 1,
            order: i64::from(order),
            aliases,
            capabilities,
            ..record("a", "")
        },
    )
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in ".{0,200}") {
        let framed = format!("\"\"\"\n---\n{text}\n---\n\"\"\"\nbody");
        let _ = record("s", &framed);
        let found = parts(&text);
        prop_assert_eq!(found.body, text.strip_prefix('\u{feff}').unwrap_or(&text));
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant(record in any_record(), body in "(\"\"\"|---|\n|\r|.){0,40}", other in "[a-z]{1,5}: [^\r\n]{0,20}") {
        let other = if other.starts_with("id") || other.starts_with("slug") { "x: 1".to_owned() } else { other };
        let metadata = rewrite(&format!("{other}\ntitle: 5"), &record);
        let text = whole(&metadata, &body);
        let found = parts(&text);
        prop_assert_eq!(found.body, body.as_str());
        prop_assert_eq!(found.metadata, Some(metadata.as_str()));
        prop_assert_eq!(Entries::read(&metadata).id(), Some(record.id));
        let read = describe("default", &record.slug, record.id, &found, None);
        let expected = Record { content_hash: read.content_hash.clone(), ..record.clone() };
        prop_assert_eq!(read, expected);
        prop_assert_eq!(rewrite(&metadata, &record), metadata);
    }
}

#[test]
fn a_list_is_written_as_one_text_or_in_brackets() {
    for (written, expected) in [
        ("\"llm, files:read:/a b\"", vec!["llm", "files:read:/a b"]),
        ("[\"llm\", \"files:read:/a b\"]", vec!["llm", "files:read:/a b"]),
        ("[llm]", vec!["llm"]),
        ("[]", vec![]),
        ("\"\"", vec![]),
    ] {
        let text = format!("\"\"\"\n---\ncapabilities: {written}\n---\n\"\"\"\n");
        assert_eq!(record("a", &text).capabilities, expected, "{written}");
    }
}
