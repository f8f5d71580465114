//! JSON Schemas of everything a caller meets, generated from the Rust types. The files in `schemas/` are these,
//! and a test holds them equal; `CALLBOARD_WRITE=1 cargo test -p callboard-protocol` writes them anew.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{actions, channel, channels, envelope, stream};

/// A schema file: its name and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Name below `schemas/`.
    pub name: String,
    /// JSON, indented.
    pub text: String,
}

/// Every schema file.
#[must_use]
pub fn files() -> Vec<File> {
    let mut files = vec![
        file("action.json", "The envelope of actions", |g| {
            [
                ("request", g.subschema_for::<envelope::Envelope<'_>>()),
                ("reply", g.subschema_for::<envelope::Reply>()),
                ("part", g.subschema_for::<stream::Part<'_>>()),
            ]
        }),
        file("channel.json", "The envelope of channels", |g| {
            [
                ("request", g.subschema_for::<channel::Envelope<'_>>()),
                ("reply", g.subschema_for::<channel::Reply>()),
            ]
        }),
    ];
    for spec in actions::ALL {
        let name = format!("actions/{}.json", spec.name);
        files.push(file(&name, spec.name, |g| [("request", (spec.request)(g)), ("reply", (spec.reply)(g))]));
    }
    for spec in channels::ALL {
        let name = format!("channels/{}.json", spec.name.replace(':', "."));
        files.push(file(&name, spec.name, |g| [("request", (spec.request)(g)), ("reply", (spec.reply)(g))]));
    }
    files
}

fn file<const N: usize>(
    name: &str,
    title: &str,
    parts: impl FnOnce(&mut SchemaGenerator) -> [(&'static str, schemars::Schema); N],
) -> File {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let parts = parts(&mut generator);
    let mut definitions: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    for (part, schema) in parts {
        definitions.insert(part.to_owned(), schema.into());
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$comment": "generated; `request` and `reply` are the entry points",
        "$defs": definitions,
    });
    File { name: name.to_owned(), text: format!("{schema:#}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_files_are_what_the_types_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let write = std::env::var_os("CALLBOARD_WRITE").is_some();
        for file in files() {
            let path = folder.join(&file.name);
            if write {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &file.text).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                found, file.text,
                "{}: run with CALLBOARD_WRITE=1 and look at the difference",
                file.name
            );
        }
    }
}
