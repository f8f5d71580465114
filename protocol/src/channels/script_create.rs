//! `script:create`: a new script, and its file.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::abi::Kind;
use crate::actions::Role;
use crate::script::Record;

/// Names the types of `script:create`.
#[derive(Debug)]
pub struct ScriptCreate;

impl Channel for ScriptCreate {
    const NAME: &'static str = "script:create";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload. What is left out is as for a file without metadata: a utility, enabled, titled like its slug. Without a slug the
/// title gives one that is free.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptCreateRequest")]
pub struct Request {
    /// The body, without the metadata docstring; at most 1 MiB with it.
    pub body: String,
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
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptCreateReply")]
pub struct Reply {
    /// What is known of it now.
    pub record: Record,
}
