//! `script:delete`: the end of a script, its history and its file.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;

/// Names the types of `script:delete`.
#[derive(Debug)]
pub struct ScriptDelete;

impl Channel for ScriptDelete {
    const NAME: &'static str = "script:delete";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptDeleteRequest")]
pub struct Request {
    /// The script.
    pub id: crate::Id,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptDeleteReply")]
pub struct Reply {
    /// The script.
    pub deleted_id: crate::Id,
    /// The slug it had.
    pub slug: String,
}
