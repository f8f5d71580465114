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

/// What stands in a file.
pub(super) struct Contents {
    /// All values but those of services.
    pub(super) items: Vec<Item>,
    /// The line and the values of each `[[service]]`.
    pub(super) services: Vec<(usize, Vec<Item>)>,
}

/// All of `file`.
pub(super) fn read(file: File<'_>) -> Result<Contents, Error> {
    let table = DeTable::parse(file.text).map_err(|error| Error::Syntax {
        path: file.path.to_owned(),
        line: error.span().map_or(1, |span| line_of(file.text, span.start)),
        problem: error.message().to_owned(),
    })?;
    let mut items = Vec::new();
    flatten(file.text, "", table.get_ref(), &mut items);
    let found = match table.get_ref().get("service").map(Spanned::get_ref) {
        Some(DeValue::Array(tables)) => tables.iter().map(|table| service(file.text, table)).collect(),
        _ => None,
    };
    // What is no list of tables stays the unknown setting that it is.
    let services: Vec<_> = match found {
        Some(services) => {
            items.retain(|item| item.key != "service");
            services
        }
        None => Vec::new(),
    };
    Ok(Contents { items, services })
}

fn service(text: &str, table: &Spanned<DeValue<'_>>) -> Option<(usize, Vec<Item>)> {
    let DeValue::Table(values) = table.get_ref() else { return None };
    let mut items = Vec::new();
    flatten(text, "", values, &mut items);
    // The first of its values, since the table itself may be said to begin behind its heading.
    let line = items.iter().map(|item| item.line).min().unwrap_or_else(|| line_of(text, table.span().start));
    Some((line, items))
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
        DeValue::Float(digits) => digits.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Datetime(_) => Value::Null,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
