//! What a node says of itself every two seconds on `supervisor.heartbeat.<node>`, for other nodes and for whoever
//! watches. Readers pass over keys that they do not know.

use serde::{Deserialize, Serialize};

use crate::actions::Role;
use crate::id::Id;

/// How often a node says that it lives, in ms.
pub const EVERY_MS: u64 = 2_000;

/// The event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// The node's name.
    pub node: String,
    /// The node's own id, a new one at each start: two nodes may bear one name.
    pub id: Id,
    /// Callboard's version.
    pub version: String,
    /// What it serves.
    pub roles: Vec<Role>,
    /// Whether all of it is there.
    pub ready: bool,
    /// Whether this is the last one: the node stops.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// Places of the pool of scripts; none where the node is no worker.
    #[serde(default)]
    pub places: Option<u32>,
    /// Those of them that are free.
    #[serde(default)]
    pub free: Option<u32>,
    /// Calls that wait for one.
    #[serde(default)]
    pub queued: Option<u32>,
    /// Its other pools, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Room>,
    /// What each warm cell holds, in all pools: a script, by project and slug, or an action, by its name.
    #[serde(default)]
    pub warm: Vec<String>,
}

/// A pool besides that of scripts, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// What runs in it, as `supervisor:status` names it.
    pub name: String,
    /// Places in all.
    pub places: u32,
    /// Places that are free.
    pub free: u32,
    /// Calls that wait for one.
    pub queued: u32,
    /// Warm cells.
    pub warm: u32,
}
