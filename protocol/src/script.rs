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
}
