//! What the store holds of scripts: records, their versions, and which defaults a project was given. Each value names the
//! version of its form; all forms are read, the newest is written. Bodies are in files by their hash (`store::objects`).

use protocol::Id;
use protocol::channels::script_history::By;
use protocol::script::{Change, Record};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Keys of records begin with this, then project and id.
pub const SCRIPTS: &str = "script/";
/// Keys of versions begin with this, then project, id and number.
pub const VERSIONS: &str = "version/";
/// Keys of defaults that were given begin with this, then project and slug.
pub const GIVEN: &str = "default/";

/// Keys of bodies that a deletion has left begin with this, then the hash.
pub const LEFT: &str = "left/";

/// A script in the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// What is known of it.
    pub record: Record,
    /// The lines of its metadata docstring. With the body they are the text of its file.
    pub metadata: String,
    /// The name that its file should have.
    pub file: String,
    /// The file when both sides were last the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Whether its file was deleted from outside. It is off then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// A file as both sides knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its name in the project's folder.
    pub file: String,
    /// SHA-256 of its whole text.
    pub hash: String,
}

/// A version of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The script as it was.
    pub record: Record,
    /// Its metadata as they were.
    pub metadata: String,
    /// What happened.
    pub change: Change,
    /// Who did it.
    pub by: By,
}

/// The text of a default that a project was last given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// SHA-256 of the whole file.
    pub hash: String,
    /// SHA-256 of its body, which is among the objects; empty if it is not known.
    #[serde(default)]
    pub body: String,
    /// The version of the bundle it came with.
    pub bundle: u32,
}

/// When a deletion left a body that it may have been the last to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// In ms since the epoch.
    pub at: u64,
}

/// The newest form of a value.
#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum Form<T> {
    #[serde(rename = "1")]
    V1(T),
}

/// A value that cannot be read: a newer version of the program wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record {0} is of a form that this version does not know")]
pub struct Unknown(pub String);

/// The bytes of a value.
#[must_use]
pub fn write<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(&Form::V1(value)).unwrap_or_default()
}

/// The value in `bytes`, which stand under `key`.
///
/// # Errors
/// They are of a form that is not known.
pub fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Unknown> {
    let Form::V1(value) = serde_json::from_slice(bytes).map_err(|_| Unknown(key.to_owned()))?;
    Ok(value)
}

/// The key of a script.
#[must_use]
pub fn script_key(project: &str, id: Id) -> String {
    format!("{SCRIPTS}{project}/{id}")
}

/// What the keys of a script's versions begin with.
#[must_use]
pub fn versions_key(project: &str, id: Id) -> String {
    format!("{VERSIONS}{project}/{id}/")
}

/// The key of a version. Keys of one script are in the order of their numbers.
#[must_use]
pub fn version_key(project: &str, id: Id, version: u64) -> String {
    format!("{}{version:020}", versions_key(project, id))
}

/// The key of a default that was given.
#[must_use]
pub fn given_key(project: &str, slug: &str) -> String {
    format!("{GIVEN}{project}/{slug}")
}

/// The key of a body that a deletion has left.
#[must_use]
pub fn left_key(hash: &str) -> String {
    format!("{LEFT}{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that the first version of the program wrote. They are never changed: a new form gets a new file.
    const SCRIPT_1: &[u8] = include_bytes!("golden/script.1.json");
    const VERSION_1: &[u8] = include_bytes!("golden/version.1.json");
    const LEFT_1: &[u8] = include_bytes!("golden/left.1.json");
    const GIVEN_1: &[u8] = include_bytes!("golden/given.1.json");

    #[test]
    fn the_first_forms_are_still_read_and_written() {
        let script: Script = read("k", SCRIPT_1).unwrap();
        assert_eq!((script.record.slug.as_str(), script.record.version, script.gone), ("gallery", 4, false));
        assert_eq!(script.base.as_ref().map(|base| base.file.as_str()), Some("My Gallery.py"));
        assert_eq!(String::from_utf8(write(&script)).unwrap(), String::from_utf8(SCRIPT_1.to_vec()).unwrap());
        let version: Version = read("k", VERSION_1).unwrap();
        assert_eq!((version.by, version.change), (By::File, Change::Changed));
        assert_eq!(write(&version), VERSION_1);
        let left: Left = read("k", LEFT_1).unwrap();
        assert_eq!((left.at, write(&left)), (1_790_000_000_000, LEFT_1.to_vec()));
        let given: Given = read("k", GIVEN_1).unwrap();
        assert_eq!((given.bundle, write(&given)), (1, GIVEN_1.to_vec()));
    }

    #[test]
    fn a_newer_form_is_refused_and_names_its_key() {
        let newer = br#"{"version":"2","record":{}}"#;
        assert_eq!(read::<Script>("script/a/b", newer), Err(Unknown("script/a/b".to_owned())));
        assert_eq!(read::<Script>("k", b"\xff"), Err(Unknown("k".to_owned())));
    }

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let id = Id::generate();
        let keys = [9, 10, 100].map(|version| version_key("default", id, version));
        assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with(&versions_key("default", id))));
    }
}
