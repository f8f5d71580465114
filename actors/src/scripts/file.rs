//! A script file: metadata in a leading docstring, then the body. The reader is its own small one with a cap,
//! because general YAML costs seconds on hostile input. How metadata are written is in `file::write`; where files lie is the
//! business of `folder`.

pub mod write;

use protocol::Id;
use protocol::abi::Kind;
use protocol::script::Record;

/// Largest metadata docstring, in bytes.
pub const LARGEST: usize = 8 * 1024;
/// Largest version that a file can begin with.
const LAST_VERSION: u64 = 1_000_000_000;
/// Most characters of a title, and of any other text in a list; what is longer is cut.
const LONGEST_TITLE: usize = 200;
const LONGEST_WORD: usize = 100;
/// Most items of a list; the others are left out.
const MOST_WORDS: usize = 20;
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The two parts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The lines between the `---`; `None` if the file has no metadata docstring.
    pub metadata: Option<&'a str>,
    /// What follows; line 1 of it is the editor's line 1.
    pub body: &'a str,
    /// How many lines of the file come before the body.
    pub lines_before: u32,
}

/// Parts a file's text. A docstring that is not closed, or too large, is body.
#[must_use]
pub fn parts(text: &str) -> Parts<'_> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let whole = Parts { metadata: None, body: text, lines_before: 0 };
    let Some(rest) = line(text, "\"\"\"").and_then(|rest| line(rest, "---")) else { return whole };
    let (mut at, mut before) = (rest, 2);
    let metadata = loop {
        let length = rest.len() - at.len();
        if length > LARGEST {
            return whole;
        }
        before += 1;
        if let Some(after) = line(at, "---").filter(|after| after.starts_with("\"\"\"")) {
            at = after.strip_prefix("\"\"\"").unwrap_or(after);
            break rest.get(..length).unwrap_or_default();
        }
        let Some((_, next)) = at.split_once('\n') else { return whole };
        at = next;
    };
    let body = at.strip_prefix("\r\n").or_else(|| at.strip_prefix('\n'));
    let metadata = metadata.strip_suffix('\n').unwrap_or(metadata);
    Parts {
        metadata: Some(metadata.strip_suffix('\r').unwrap_or(metadata)),
        body: body.unwrap_or(at),
        lines_before: before + u32::from(body.is_some()),
    }
}

/// What follows the line `expected`, if `text` begins with it.
fn line<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(expected)?;
    rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))
}

/// A value in the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
}

/// The entries of metadata.
#[derive(Debug)]
pub struct Entries<'a>(Vec<(&'a str, Value)>);

impl<'a> Entries<'a> {
    /// Reads metadata; lines that are no entries say nothing.
    #[must_use]
    pub fn read(metadata: &'a str) -> Self {
        Self(metadata.lines().filter_map(entry).collect())
    }

    /// The last of that key.
    fn find(&self, key: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str, longest: usize) -> Option<String> {
        let Some(Value::Text(text)) = self.find(key) else { return None };
        let text: String = text.chars().filter(|c| !c.is_control()).take(longest).collect();
        (!text.trim().is_empty()).then_some(text)
    }

    fn bool(&self, key: &str) -> Option<bool> {
        if let Some(Value::Bool(value)) = self.find(key) { Some(*value) } else { None }
    }

    fn int(&self, key: &str) -> Option<i64> {
        if let Some(Value::Int(value)) = self.find(key) { Some(*value) } else { None }
    }

    fn list(&self, key: &str) -> Vec<String> {
        let text = self.text(key, LARGEST).unwrap_or_default();
        // Both `"a, b"` and `["a", "b"]` are lists.
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        let items =
            inner.split(',').map(|item| item.trim().trim_matches('"')).filter(|item| !item.is_empty());
        items.map(|item| item.chars().take(LONGEST_WORD).collect()).take(MOST_WORDS).collect()
    }

    /// The id that the file claims.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.text("id", LONGEST_WORD).and_then(|id| Id::new(&id))
    }
}

/// What is known of a script whose file has these parts. What the metadata do not say, `before` says; else a script is a
/// utility, enabled, version 1, titled like its slug. Without metadata all of it is as before.
#[must_use]
pub fn describe(project: &str, slug: &str, id: Id, found: &Parts<'_>, before: Option<&Record>) -> Record {
    let entries = Entries::read(found.metadata.unwrap_or_default());
    let said = found.metadata.is_some();
    let kind = match entries.text("kind", LONGEST_WORD).as_deref() {
        Some("macro") => Kind::Macro,
        Some("transform") => Kind::Transform,
        Some("utility") => Kind::Utility,
        _ => before.map_or(Kind::Utility, |record| record.kind),
    };
    let same_kind = before.filter(|record| record.kind == kind);
    let unsaid = before.filter(|_| !said);
    let first = entries.int("version").and_then(|version| u64::try_from(version).ok());
    Record {
        id,
        project: project.to_owned(),
        slug: slug.to_owned(),
        title: entries
            .text("title", LONGEST_TITLE)
            .or_else(|| before.map(|record| record.title.clone()))
            .unwrap_or_else(|| slug.to_owned()),
        kind,
        entrypoint: entries
            .text("entrypoint", LONGEST_WORD)
            .or_else(|| same_kind.map(|record| record.entrypoint.clone()))
            .unwrap_or_else(|| kind.entrypoint().to_owned()),
        enabled: entries.bool("enabled").or(before.map(|record| record.enabled)).unwrap_or(true),
        version: first.filter(|version| (1..=LAST_VERSION).contains(version)).unwrap_or(1),
        content_hash: crate::store::objects::hash(found.body.as_bytes()),
        aliases: unsaid.map_or_else(|| entries.list("aliases"), |record| record.aliases.clone()),
        order: unsaid.map_or_else(|| entries.int("order").unwrap_or(0), |record| record.order),
        fresh: unsaid.map_or_else(|| entries.bool("fresh").unwrap_or(false), |record| record.fresh),
        capabilities: unsaid
            .map_or_else(|| entries.list("capabilities"), |record| record.capabilities.clone()),
        created_at: 0,
        updated_at: 0,
        file_hash: String::new(),
        origin: before.map_or_else(|| "user".to_owned(), |record| record.origin.clone()),
    }
}

/// `key: value`; strings in double quotes, bool and int bare, other bare words are text.
fn entry(line: &str) -> Option<(&str, Value)> {
    let (key, value) = line.split_once(':')?;
    Some((key.trim(), value_of(value.trim())?))
}

fn value_of(value: &str) -> Option<Value> {
    Some(match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match value.strip_prefix('"') {
            Some(rest) => Value::Text(unquote(rest)?),
            None => value.parse().map_or_else(|_| Value::Text(value.to_owned()), Value::Int),
        },
    })
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

/// The slug that a name gives: lower case, other characters become `_`, trimmed, empty → `script`.
#[must_use]
pub fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let plain: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' })
        .take(LONGEST_WORD)
        .collect();
    match plain.trim_matches('_') {
        "" => "script".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// The slug that a file's name gives.
#[must_use]
pub fn slug_of_file(file: &str) -> String {
    slug(file.strip_suffix(".py").unwrap_or(file))
}

/// `wanted`, or the first of `wanted_2`, `wanted_3` … that is free.
pub fn free(wanted: &str, mut is_free: impl FnMut(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|n| format!("{wanted}_{n}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| is_free(name)).unwrap_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests;
