//! `script:get`: one script with its body.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::{Role, script_fetch};

/// Names the types of `script:get`.
#[derive(Debug)]
pub struct ScriptGet;

impl Channel for ScriptGet {
    const NAME: &'static str = "script:get";
    const ROLE: Role = Role::Scripts;
    type Request = Request;
    type Reply = script_fetch::Script;
}

/// The payload: exactly one of id and slug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptGetRequest")]
pub struct Request {
    /// The script's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<crate::Id>,
    /// The script's slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// One of its versions; the current one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<u64>,
}
