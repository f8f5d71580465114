//! `script:history`: the versions of a script.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;
use crate::script::{Change, Record};

/// Names the types of `script:history`.
#[derive(Debug)]
pub struct ScriptHistory;

impl Channel for ScriptHistory {
    const NAME: &'static str = "script:history";
    const ROLE: Role = Role::Scripts;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptHistoryRequest")]
pub struct Request {
    /// The script.
    pub id: crate::Id,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptHistoryReply")]
pub struct Reply {
    /// The newest first, at most 1000.
    pub versions: Vec<Version>,
}

/// Most versions in an answer.
pub const MOST: usize = 1_000;

/// Who made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A file that was edited, renamed or deleted.
    File,
    /// A request.
    Request,
    /// The bundle of default scripts.
    Bundle,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptVersion")]
pub struct Version {
    /// The script as it was.
    pub record: Record,
    /// What happened.
    pub change: Change,
    /// Who made it.
    pub by: By,
}
