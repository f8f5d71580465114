//! Reads a TOML file into settings with the line of each. Whether they are settings at all is `settings`' business.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Error, File};

/// A value of the file.
pub(super) struct Item {
    /// Section and key, joined by dots however they were written.
    pub(super) key: String,
    /// The value.
    pub(super) value: Value,
    /// From 1.
    pub(super) line: usize,
}

/// All values of `file`.
pub(super) fn read(file: File<'_>) -> Result<Vec<Item>, Error> {
    let table = DeTable::parse(file.text).map_err(|error| Error::Syntax {
        path: file.path.to_owned(),
        line: error.span().map_or(1, |span| line_of(file.text, span.start)),
        problem: error.message().to_owned(),
    })?;
    let mut items = Vec::new();
    flatten(file.text, "", table.get_ref(), &mut items);
    Ok(items)
}

fn flatten(text: &str, above: &str, table: &DeTable<'_>, items: &mut Vec<Item>) {
    for (key, value) in table {
        let key =
            if above.is_empty() { key.get_ref().to_string() } else { format!("{above}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(table) => flatten(text, &key, table, items),
            other => {
                let line = line_of(text, value.span().start);
                items.push(Item { key, value: plain(other), line });
            }
        }
    }
}

/// The value in JSON's terms. What no setting can hold becomes null, which no setting takes either.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(digits) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Array(values) => values.iter().map(Spanned::get_ref).map(plain).collect(),
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                (key.get_ref().to_string(), plain(value.get_ref()))
            };
            Value::Object(table.iter().map(entry).collect())
        }
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Null,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
