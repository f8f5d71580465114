//! `script:rollback`: an older body and its metadata as a new version. Slug and state stay as they are.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;
use crate::script::Record;

/// Names the types of `script:rollback`.
#[derive(Debug)]
pub struct ScriptRollback;

impl Channel for ScriptRollback {
    const NAME: &'static str = "script:rollback";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptRollbackRequest")]
pub struct Request {
    /// The script.
    pub id: crate::Id,
    /// The version to go back to.
    #[schemars(range(min = 1))]
    pub version: u64,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptRollbackReply")]
pub struct Reply {
    /// What is known of it now.
    pub record: Record,
}
