//! `script:defaults`: how the default scripts of a project stand to the bundle that this node brings.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;

/// Names the types of `script:defaults`.
#[derive(Debug)]
pub struct ScriptDefaults;

impl Channel for ScriptDefaults {
    const NAME: &'static str = "script:defaults";
    const ROLE: Role = Role::Scripts;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ScriptDefaultsRequest")]
pub struct Request {
    /// Slugs of defaults to take from the bundle as they are. What was there stays in the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub apply: Option<Vec<String>>,
    /// Slugs of defaults whose newer text was looked at: they are no longer said to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub seen: Option<Vec<String>>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptDefaultsReply")]
pub struct Reply {
    /// The bundle's version.
    pub bundle: u32,
    /// Each script of the bundle, by slug.
    pub scripts: Vec<Standing>,
}

/// How a default stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "DefaultState")]
pub enum State {
    /// As the bundle has it.
    Current,
    /// The user changed it. It is left alone.
    Changed,
    /// The user deleted it. It stays deleted.
    Deleted,
    /// Another script has its slug.
    Hidden,
}

/// One default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DefaultStanding")]
pub struct Standing {
    /// Its slug in the bundle.
    pub slug: String,
    /// How it stands.
    pub state: State,
    /// Whether the bundle has a newer text than the one that the project was given.
    pub newer: bool,
    /// The script, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<crate::Id>,
    /// The body that the project was given, where it is still known: what both sides began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// The bundle's body, of those that are not current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
}
