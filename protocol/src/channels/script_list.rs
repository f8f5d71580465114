//! `script:list`: the scripts of a project.

use serde::{Deserialize, Serialize};

use super::Channel;
use super::supervisor_counters::Sources;
use crate::abi::Kind;
use crate::actions::Role;
use crate::counters::Figures;
use crate::script::Record;

/// Names the types of `script:list`.
#[derive(Debug)]
pub struct ScriptList;

impl Channel for ScriptList {
    const NAME: &'static str = "script:list";
    const ROLE: Role = Role::Scripts;
    type Request = Request;
    type Reply = Reply;
}

/// Most scripts in one page.
pub const MOST: u32 = 1_000;
/// Scripts in a page of a request that does not say.
pub const USUAL: u32 = 100;

/// The payload. Every field narrows the list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptListRequest")]
pub struct Request {
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Only those that run, or only those that do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Only those with this text in slug, title or body, without regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Asks for what the workers have counted of each script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_stats: Option<bool>,
    /// At most this many, 1 to 1000; 100 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub cursor: Option<String>,
}

/// The data, by slug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptListReply")]
pub struct Reply {
    /// What fits the request.
    pub scripts: Vec<Listed>,
    /// Whose figures the scripts' `stats` are the sum of, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_sources: Option<Sources>,
    /// Files in the folder that are no scripts, and why.
    /// Only with the first page.
    pub errors: Vec<FileError>,
    /// Where the next page begins; left out with the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A script in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ListedScript")]
pub struct Listed {
    /// The script.
    #[serde(flatten)]
    pub record: Record,
    /// What the workers have counted of it since their start, over all of its versions. Only where it was asked for; a
    /// script that was not called has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Figures>,
}

/// A file that cannot be taken as a script. It is reported, never skipped in silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileError {
    /// The file's name below the project's folder.
    pub file: String,
    /// Why.
    pub problem: String,
}
