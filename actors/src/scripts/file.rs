//! A script file: metadata in a leading docstring, then the body. The reader is its own small one with a cap,
//! because general YAML costs seconds on hostile input. Where files lie is the business of `folder`.

use protocol::Id;
use protocol::abi::Kind;
use protocol::actions::script_fetch::Script;
use protocol::script::Record;
use sha2::{Digest as _, Sha256};

/// Largest metadata docstring, in bytes.
const LARGEST: usize = 8 * 1024;
const OPEN: &str = "\"\"\"\n---\n";
const CLOSE: &str = "\n---\n\"\"\"";

/// The two parts of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The lines between the `---`; empty if the file has no metadata docstring.
    pub metadata: &'a str,
    /// What follows; line 1 of it is the editor's line 1.
    pub body: &'a str,
    /// How many lines of the file come before the body.
    pub lines_before: u32,
}

/// Parts a file's text. A docstring that is not closed, or too large, is body.
#[must_use]
pub fn parts(text: &str) -> Parts<'_> {
    let whole = Parts { metadata: "", body: text, lines_before: 0 };
    let Some(rest) = text.strip_prefix(OPEN) else { return whole };
    // An empty block closes right where it opens.
    let (metadata, after) = match rest.strip_prefix(CLOSE.trim_start()) {
        Some(after) => ("", after),
        None => match rest.split_once(CLOSE) {
            Some(found) => found,
            None => return whole,
        },
    };
    if metadata.len() > LARGEST {
        return whole;
    }
    let body = after.strip_prefix('\n').unwrap_or(after);
    let before = text.len() - body.len();
    let lines = text.bytes().take(before).filter(|byte| *byte == b'\n').count();
    Parts { metadata, body, lines_before: u32::try_from(lines).unwrap_or(0) }
}

/// A value in the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
}

/// The script that a file's text is, under the slug that its name gives. Metadata that is missing or broken falls
/// back to defaults: kind `utility`, enabled, version 1, title = slug.
#[must_use]
pub fn script(project: &str, slug: &str, text: &str) -> Script {
    let Parts { metadata, body, .. } = parts(text);
    let entries: Vec<(&str, Value)> = metadata.lines().filter_map(entry).collect();
    let find = |key: &str| entries.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value);
    let text_of = |key: &str| match find(key) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let bool_of = |key: &str, default: bool| match find(key) {
        Some(Value::Bool(value)) => *value,
        _ => default,
    };
    let int_of = |key: &str| match find(key) {
        Some(Value::Int(value)) => Some(*value),
        _ => None,
    };
    let list_of = |key: &str| {
        let text = text_of(key).unwrap_or_default();
        // Both `"a, b"` and `["a", "b"]` are lists.
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        let items = inner.split(',').map(|item| item.trim().trim_matches('"'));
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let kind = match text_of("kind").as_deref() {
        Some("macro") => Kind::Macro,
        Some("transform") => Kind::Transform,
        _ => Kind::Utility,
    };
    let record = Record {
        id: text_of("id").and_then(|id| Id::new(&id)).unwrap_or_else(|| id_of_place(project, slug)),
        project: project.to_owned(),
        slug: slug.to_owned(),
        title: text_of("title").unwrap_or_else(|| slug.to_owned()),
        kind,
        entrypoint: text_of("entrypoint").unwrap_or_else(|| kind.entrypoint().to_owned()),
        enabled: bool_of("enabled", true),
        version: int_of("version").and_then(|version| u64::try_from(version).ok()).unwrap_or(1),
        content_hash: hash(body),
        aliases: list_of("aliases"),
        order: int_of("order").unwrap_or(0),
        fresh: bool_of("fresh", false),
        capabilities: list_of("capabilities"),
    };
    Script { record, body: body.to_owned() }
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a script whose file names none: the same one at every reading, another one in another place.
fn id_of_place(project: &str, slug: &str) -> Id {
    let digest = Sha256::digest(format!("{project}/{slug}"));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(byte, digest)| *byte = *digest);
    Id::from(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// `key: value`; strings in double quotes, bool and int bare, other bare words are text.
fn entry(line: &str) -> Option<(&str, Value)> {
    let (key, value) = line.split_once(':')?;
    let value = value.trim();
    let value = match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match value.strip_prefix('"') {
            Some(rest) => Value::Text(unquote(rest)?),
            None => value.parse().map_or_else(|_| Value::Text(value.to_owned()), Value::Int),
        },
    };
    Some((key.trim(), value))
}

/// The text up to the closing quote, `\"` and `\\` undone; `None` if it is not closed or more follows.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().trim().is_empty().then_some(text),
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\') => text.push(escaped),
                other => text.extend(['\\', other]),
            },
            other => text.push(other),
        }
    }
}

/// The slug that a file's stem gives: lower case, other characters become `_`, trimmed, empty → `script`.
#[must_use]
pub fn slug(stem: &str) -> String {
    let lower = stem.to_lowercase();
    let plain: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .take(100)
        .collect();
    match plain.trim_matches('_') {
        "" => "script".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000001\"\ntitle: \"A \\\"b\\\" \\\\\"\nkind: macro\nenabled: false\nversion: 3\norder: -2\nunknown: 5\n---\n\"\"\"\nimport re\n";

    #[test]
    fn metadata_and_body_are_told_apart() {
        let found = script("default", "gallery", FILE);
        assert_eq!(found.record.title, "A \"b\" \\");
        assert_eq!(
            (found.record.kind, found.record.enabled, found.record.version, found.record.order),
            (Kind::Macro, false, 3, -2)
        );
        assert_eq!(found.record.entrypoint, "render");
        assert_eq!(found.body, "import re\n");
        assert_eq!(parts(FILE).lines_before, 11);
    }

    #[test]
    fn broken_metadata_falls_back_to_defaults() {
        for text in [
            "x = 1\n",
            "\"\"\"\n---\nno end\n",
            "\"\"\"\n---\n---\n\"\"\"\nx = 1\n",
            "\"\"\"\n---\nkind\ntitle: \"open\nversion: many\n---\n\"\"\"\n",
        ] {
            let record = script("default", "a", text).record;
            assert_eq!(
                (record.kind, record.enabled, record.version, record.title.as_str()),
                (Kind::Utility, true, 1, "a"),
                "{text}"
            );
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
            let text = format!("{OPEN}capabilities: {written}{CLOSE}\n");
            assert_eq!(script("p", "a", &text).record.capabilities, expected, "{written}");
        }
    }

    #[test]
    fn a_huge_docstring_is_no_metadata() {
        let text = format!("{OPEN}{}{CLOSE}\n", "a: 1\n".repeat(10_000));
        assert_eq!(parts(&text).metadata, "");
    }

    #[test]
    fn a_file_without_an_id_keeps_the_one_of_its_place() {
        assert_eq!(script("p", "a", "x").record.id, script("p", "a", "y").record.id);
        assert_ne!(script("p", "a", "x").record.id, script("q", "a", "x").record.id);
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
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,200}") {
            let framed = format!("{OPEN}{text}{CLOSE}\nbody");
            let _ = script("p", "s", &framed);
            let found = parts(&text);
            proptest::prop_assert_eq!(found.body, &text);
        }
    }
}
