//! Reads the `[[service]]` tables of a file: programs are named in a file only, each key checked as other settings are.

use std::path::Path;

use serde_json::{Map, Value};

use super::file::Item;
use super::settings::{Kind, is_node_name};
use super::{Error, File, Origin};
use crate::config::Service;

/// Most programs of a node.
const MOST: usize = 64;
/// Most words of a command.
const MOST_WORDS: usize = 256;

const HOUR_MS: u64 = 3_600_000;

/// A service and where it was named.
pub(super) type Named = (Service, Origin);

fn kind(key: &str) -> Option<Kind> {
    Some(match key {
        "name" => Kind::Text(is_node_name, "1 to 64 letters, digits, - and _"),
        "folder" => Kind::Path,
        "ready" => Kind::Text(|text| ["ping", "line", "none"].contains(&text), "ping, line or none"),
        "ready_ms" => Kind::Number(1, HOUR_MS),
        "ping_ms" => Kind::Number(100, HOUR_MS),
        "stop_ms" => Kind::Number(0, HOUR_MS),
        _ => return None,
    })
}

/// The services of `file`, of which these are the tables.
pub(super) fn read(file: File<'_>, tables: Vec<(usize, Vec<Item>)>) -> Result<Vec<Named>, Error> {
    let mut services: Vec<Named> = Vec::new();
    for (line, items) in tables {
        let origin = Origin::File { path: file.path.to_owned(), line };
        let service = service(file, items, &origin)?;
        let twice = services.iter().any(|(other, _)| other.name == service.name);
        if twice || services.len() >= MOST {
            let problem = if twice { "given twice".to_owned() } else { format!("expected at most {MOST}") };
            return Err(Error::Value { key: "service.name".to_owned(), problem, origin });
        }
        services.push((service, origin));
    }
    Ok(services)
}

fn service(file: File<'_>, items: Vec<Item>, whole: &Origin) -> Result<Service, Error> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let mut fields = Map::new();
    let mut env = Map::new();
    for Item { key, mut value, line } in items {
        let origin = Origin::File { path: file.path.to_owned(), line };
        let key_of_error = format!("service.{key}");
        let checked = if let Some(name) = key.strip_prefix("env.") {
            let checked = check_variable(name, &value);
            env.insert(name.to_owned(), value);
            checked
        } else if key == "command" {
            let checked = check_command(&value);
            if let Some(program) = value.get_mut(0)
                && let Some(beside) = program.as_str().and_then(|text| Kind::Program.beside(folder, text))
            {
                *program = beside;
            }
            fields.insert(key, value);
            checked
        } else {
            let kind = kind(&key)
                .ok_or_else(|| Error::Unknown { key: key_of_error.clone(), origin: origin.clone() })?;
            let checked = kind.check(&value);
            let beside = value.as_str().and_then(|text| kind.beside(folder, text));
            fields.insert(key, beside.unwrap_or(value));
            checked
        };
        checked.map_err(|problem| Error::Value { key: key_of_error, problem, origin })?;
    }
    fields.entry("folder").or_insert_with(|| Value::from(folder.to_string_lossy()));
    fields.insert("env".to_owned(), Value::Object(env));
    let missing = ["name", "command"].into_iter().find(|key| !fields.contains_key(*key));
    let broken = |key: &str, problem: &str| Error::Value {
        key: format!("service.{key}"),
        problem: problem.to_owned(),
        origin: whole.clone(),
    };
    if let Some(key) = missing {
        return Err(broken(key, "missing"));
    }
    serde_json::from_value(Value::Object(fields)).map_err(|_| broken("name", "not of the setting's type"))
}

fn check_command(value: &Value) -> Result<(), String> {
    let is_word = |word: &Value| word.as_str().is_some_and(|word| !word.contains('\0'));
    let fits = value.as_array().is_some_and(|words| {
        (1..=MOST_WORDS).contains(&words.len())
            && words.iter().all(is_word)
            && words.first().and_then(Value::as_str).is_some_and(|program| !program.is_empty())
    });
    if fits {
        Ok(())
    } else {
        Err(format!("expected a list of a program and at most {} words", MOST_WORDS - 1))
    }
}

fn check_variable(name: &str, value: &Value) -> Result<(), String> {
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && (1..=256).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_text = value.as_str().is_some_and(|text| !text.contains('\0'));
    if is_name && is_text { Ok(()) } else { Err("expected a variable's name and its text".to_owned()) }
}
