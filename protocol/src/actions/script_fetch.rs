//! `script.fetch`: how a worker gets scripts. What a name means it keeps until `script.changed` says otherwise; a body, which is
//! known by its hash, never changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Action, Role};
use crate::Id;
use crate::abi::Kind;
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
    /// Hashes of bodies that an earlier answer left out, at most [`MOST`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub contents: Vec<String>,
    /// A kind of which the enabled scripts are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptFetchReply")]
pub struct Reply {
    /// One item a name, in order; null where no script bears it. Names at the end for which there is no item did not fit and are
    /// to be asked for again.
    pub scripts: Vec<Option<Fetched>>,
    /// Bodies by their hash, of those that were asked for: as many as fit, and at least one if any is there.
    #[serde(default)]
    pub contents: BTreeMap<String, String>,
    /// The enabled scripts of the kind that was asked for, in the order in which they run: by `order`, then by slug.
    #[serde(default)]
    pub listed: Vec<Id>,
}

/// A script, with its body if that fits the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "FetchedScript")]
pub struct Fetched {
    /// What is known of it.
    pub record: Record,
    /// The source without its metadata docstring; left out where it did not fit, to be asked for by its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A script with its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptWithBody")]
pub struct Script {
    /// What is known of it.
    pub record: Record,
    /// The source without its metadata docstring.
    pub body: String,
}
