//! `script:update`: other metadata or another body for a script, and its file.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::abi::Kind;
use crate::actions::Role;
use crate::script::Record;

/// Names the types of `script:update`.
#[derive(Debug)]
pub struct ScriptUpdate;

impl Channel for ScriptUpdate {
    const NAME: &'static str = "script:update";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptUpdateRequest")]
pub struct Request {
    /// The script.
    pub id: crate::Id,
    /// What is to be different; at least one.
    pub changes: Changes,
    /// The version that the caller knows; another one is `VERSION_CONFLICT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
}

/// What is to be different.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptChanges")]
pub struct Changes {
    /// Its name in requests and of its file: lower case, other characters than letters, digits and _ become _.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub slug: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The function that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub entrypoint: Option<String>,
    /// Whether it runs. One that does not parse can only be off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Other names that macros may call it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub aliases: Option<Vec<String>>,
    /// Its place among transforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// Whether every call gets a new cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
    /// What it asks to be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub capabilities: Option<Vec<String>>,
    /// The body, without the metadata docstring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptUpdateReply")]
pub struct Reply {
    /// What is known of it now.
    pub record: Record,
}
