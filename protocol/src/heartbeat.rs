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
    /// Places in all; none where the node is no worker.
    #[serde(default)]
    pub places: Option<u32>,
    /// Places that are free.
    #[serde(default)]
    pub free: Option<u32>,
    /// Calls that wait for one.
    #[serde(default)]
    pub queued: Option<u32>,
    /// The scripts that have a warm cell, by project and slug.
    #[serde(default)]
    pub warm: Vec<String>,
}
