//! The record of a script, as channels and workers see it. Its file's form is the business of the scripts role.

use serde::{Deserialize, Serialize};

use crate::abi::Kind;

/// What is known of a script besides its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its identity; survives a renaming.
    pub id: crate::Id,
    /// Whose it is.
    pub project: String,
    /// Its name in requests and its file's name.
    pub slug: String,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub kind: Kind,
    /// The function that is called.
    pub entrypoint: String,
    /// Whether it runs.
    pub enabled: bool,
    /// Counts its changes, from 1.
    pub version: u64,
    /// SHA-256 of the body, in hexadecimal digits.
    pub content_hash: String,
    /// Other names that macros may call it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its place among transforms.
    #[serde(default)]
    pub order: i64,
    /// Whether every call gets a new cell.
    #[serde(default)]
    pub fresh: bool,
    /// What it asks to be allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// When it came to be, in ms since the epoch.
    #[serde(default)]
    pub created_at: u64,
    /// When this version came to be, in ms since the epoch.
    #[serde(default)]
    pub updated_at: u64,
    /// SHA-256 of the whole file, in hexadecimal digits; what files and index are compared by.
    #[serde(default)]
    pub file_hash: String,
    /// Where it comes from: `user`, or `default@` and the version of the bundle of default scripts.
    #[serde(default = "user")]
    pub origin: String,
}

fn user() -> String {
    "user".to_owned()
}

/// What happened to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ScriptChange")]
pub enum Change {
    /// It is new.
    Created,
    /// Its body or metadata are others.
    Changed,
    /// It has another slug.
    Renamed,
    /// It has gone, or its file has, which switches it off.
    Deleted,
}

/// The event that says that the scripts were read anew: what anybody knows of them may have been missed.
pub const LOADED: &str = "script.loaded";

/// The event `script.changed`, sent once the change is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Whose script.
    pub project: String,
    /// Its id.
    pub id: crate::Id,
    /// Its slug, after the change.
    pub slug: String,
    /// Its version, after the change.
    pub version: u64,
    /// SHA-256 of its body, after the change.
    pub content_hash: String,
    /// What happened.
    pub change: Change,
}

/// The event `script.conflict`, and an item of what `script:sync` answers: file and index had both changed. The file has become
/// the current version; what the index had is a version in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptConflict")]
pub struct Conflict {
    /// Whose script.
    pub project: String,
    /// Its id.
    pub id: crate::Id,
    /// Its slug.
    pub slug: String,
    /// The version that is current now.
    pub version: u64,
    /// The version in the history that gave way.
    pub kept_version: u64,
}
