//! `script:sync`: brings files and index in step, in every project.

use serde::{Deserialize, Serialize};

use super::Channel;
use super::script_list::FileError;
use crate::actions::Role;
use crate::script::Conflict;

/// Names the types of `script:sync`.
#[derive(Debug)]
pub struct ScriptSync;

impl Channel for ScriptSync {
    const NAME: &'static str = "script:sync";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    const TIMEOUT_MS: u64 = 60_000;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptSyncRequest")]
pub struct Request {
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptSyncReply")]
pub struct Reply {
    /// What was done now.
    #[serde(flatten)]
    pub now: Report,
    /// What was done when the node started.
    pub at_start: Report,
}

/// Most items in each list of an answer.
pub const MOST: usize = 10_000;

/// What a comparison of files and index came to. Lists longer than [`MOST`] are cut.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptSyncReport")]
pub struct Report {
    /// Scripts of new files.
    pub created: Vec<Touched>,
    /// Scripts whose files had changed, and files whose scripts had.
    pub updated: Vec<Touched>,
    /// Scripts whose files had gone; they are off and keep their history.
    pub deleted: Vec<Touched>,
    /// Scripts whose files bear another name.
    pub renamed: Vec<Touched>,
    /// Scripts that had changed on both sides. Each is also in one of the other lists.
    pub conflicts: Vec<Conflict>,
    /// Files that cannot be taken or written.
    pub errors: Vec<ProjectFileError>,
    /// How many files were looked at.
    pub scanned: u64,
}

/// A script that was touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TouchedScript")]
pub struct Touched {
    /// Whose.
    pub project: String,
    /// Its id.
    pub id: crate::Id,
    /// Its slug, afterwards.
    pub slug: String,
    /// Its version, afterwards.
    pub version: u64,
}

/// A file that cannot be taken or written, and whose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectFileError {
    /// Whose.
    pub project: String,
    /// Which, and why.
    #[serde(flatten)]
    pub error: FileError,
}
