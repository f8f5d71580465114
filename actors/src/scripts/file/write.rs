//! Writing metadata: lines that are known are brought up to date where they stand, all others stay as they are.

use protocol::Id;
use protocol::script::Record;

use super::{Value, value_of};

/// Keys whose lines every file that is written has, in this order.
const ALWAYS: [&str; 7] = ["id", "slug", "title", "kind", "entrypoint", "enabled", "version"];
/// Keys whose lines are there only where they say something.
const SOMETIMES: [&str; 4] = ["aliases", "order", "fresh", "capabilities"];

/// The text of a file.
#[must_use]
pub fn whole(metadata: &str, body: &str) -> String {
    let newline = if metadata.is_empty() { "" } else { "\n" };
    format!("\"\"\"\n---\n{metadata}{newline}---\n\"\"\"\n{body}")
}

/// The metadata of `record` in the place of what `metadata` say; unknown lines stay.
#[must_use]
pub fn rewrite(metadata: &str, record: &Record) -> String {
    let mut said: Vec<&str> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    for line in metadata.lines() {
        let key = line.split_once(':').map(|(key, _)| key.trim()).unwrap_or_default();
        let known = ALWAYS.iter().chain(&SOMETIMES).find(|known| **known == key);
        match known {
            None => lines.push(line.to_owned()),
            Some(known) if !said.contains(known) => {
                said.push(known);
                lines.extend(line_of(known, record));
            }
            Some(_) => {}
        }
    }
    let missing = ALWAYS.iter().chain(&SOMETIMES).filter(|known| !said.contains(known));
    let missing: Vec<String> = missing.filter_map(|known| line_of(known, record)).collect();
    // What a file never said comes before what we do not know, but after what it said.
    match said.is_empty() {
        true => missing.into_iter().chain(lines).collect::<Vec<_>>().join("\n"),
        false => lines.into_iter().chain(missing).collect::<Vec<_>>().join("\n"),
    }
}

/// `metadata` with this id and nothing else changed.
#[must_use]
pub fn with_id(metadata: &str, id: Id) -> String {
    let others =
        metadata.lines().filter(|line| line.split_once(':').is_none_or(|(key, _)| key.trim() != "id"));
    std::iter::once(format!("id: {}", quoted(&id.to_string())))
        .chain(others.map(str::to_owned))
        .collect::<Vec<_>>()
        .join("\n")
}

fn line_of(key: &str, record: &Record) -> Option<String> {
    let list = |items: &[String]| (!items.is_empty()).then(|| quoted(&items.join(", ")));
    let value = match key {
        "id" => quoted(&record.id.to_string()),
        "slug" => quoted(&record.slug),
        "title" => quoted(&record.title),
        "kind" => record.kind.as_str().to_owned(),
        "entrypoint" => match value_of(&record.entrypoint) {
            Some(Value::Text(text)) if text == record.entrypoint => text,
            _ => quoted(&record.entrypoint),
        },
        "enabled" => record.enabled.to_string(),
        "version" => record.version.to_string(),
        "aliases" => list(&record.aliases)?,
        "order" => (record.order != 0).then(|| record.order.to_string())?,
        "fresh" => record.fresh.then(|| "true".to_owned())?,
        "capabilities" => list(&record.capabilities)?,
        _ => return None,
    };
    Some(format!("{key}: {value}"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
