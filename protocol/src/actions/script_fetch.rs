//! `script.fetch`: how a worker gets scripts. Workers keep the answer until `script.changed` says otherwise.

use serde::{Deserialize, Serialize};

use super::{Action, Role};
use crate::script::Record;

/// Most names in one request.
pub const MOST: usize = 1_000;

/// Names the types of `script.fetch`.
#[derive(Debug)]
pub struct ScriptFetch;

impl Action for ScriptFetch {
    const NAME: &'static str = "script.fetch";
    const ROLE: Role = Role::Scripts;
    const TIMEOUT_MS: u64 = 2_000;
    const BETWEEN_PARTS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ScriptFetchRequest")]
pub struct Request {
    /// Slugs, aliases or ids, at most [`MOST`].
    #[schemars(length(max = 1_000))]
    pub scripts: Vec<String>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptFetchReply")]
pub struct Reply {
    /// One item a name, in order; null where no script bears it.
    pub scripts: Vec<Option<Script>>,
}

/// A script with its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "FetchedScript")]
pub struct Script {
    /// What is known of it.
    pub record: Record,
    /// The source without its metadata docstring.
    pub body: String,
}
