//! `supervisor:status`: what a node is and how it is, and how all nodes are.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;
use crate::heartbeat::Room;
use crate::id::Id;

/// Names the types of `supervisor:status`.
#[derive(Debug)]
pub struct SupervisorStatus;

impl Channel for SupervisorStatus {
    const NAME: &'static str = "supervisor:status";
    const ROLE: Role = Role::Supervisor;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorStatusRequest")]
pub struct Request {
    /// Only the node of this name answers; without it every node does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Asks for all nodes at once: one of them asks the others and answers for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<bool>,
    /// A node's own question to the others while it gathers what is asked with `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathering: Option<Gathering>,
}

/// Who gathers answers, and for which question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gathering {
    /// The name of the node that gathers.
    pub node: String,
    /// That node's own id.
    pub id: Id,
    /// What tells the question from others.
    #[schemars(length(min = 1, max = 64))]
    pub question: String,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SupervisorStatusReply")]
pub struct Reply {
    /// The node's name.
    pub node: String,
    /// The node's own id, a new one at each start.
    pub id: Id,
    /// Callboard's version.
    pub version: String,
    /// The node's process id.
    pub pid: u32,
    /// When it became ready, RFC 3339.
    pub started_at: String,
    /// What it serves.
    pub roles: Vec<Role>,
    /// Whether it takes calls and all of its parts are up.
    pub ready: bool,
    /// Its actors, and the programs of its configuration as `service:NAME`.
    pub parts: Vec<Part>,
    /// Its cells of scripts, where it is a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Its other pools, where it has any: `files` of scripts that were granted folders, `actions` of those that its
    /// configuration adds, `network` of those of them that were granted it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<NamedPool>,
    /// The actions that its configuration adds, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Every node, by name, where `cluster` was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<Member>>,
}

/// A node in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The node's name.
    pub node: String,
    /// The node's own id, a new one at each start.
    pub id: Id,
    /// Callboard's version.
    pub version: String,
    /// What it serves.
    pub roles: Vec<Role>,
    /// Whether it takes calls and all of its parts are up; false for one that has not answered.
    pub ready: bool,
    /// Whether it has answered. What is said of one that has not is from its last heartbeat.
    pub answered: bool,
    /// How long ago its last heartbeat was heard, in ms; none if none was yet.
    pub beat_age_ms: Option<u64>,
    /// Its actors and programs, if it has answered.
    pub parts: Vec<Part>,
    /// Places of the pool of scripts; none where the node is no worker.
    pub places: Option<u32>,
    /// Those of them that are free.
    pub free: Option<u32>,
    /// Calls that wait for one.
    pub queued: Option<u32>,
    /// Warm cells of that pool.
    pub warm: Option<u32>,
    /// Its other pools, where it has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Room>,
}

/// How an actor is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: State,
    /// How often it was started again.
    pub restarts: u64,
}

/// How an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PartState")]
pub enum State {
    /// It answers.
    Up,
    /// It is about to be started again.
    Restarting,
    /// It failed too often and stays down.
    Failed,
}

/// The cells of a zygote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// The interpreter's version.
    pub python: Option<String>,
    /// The zygote's process id.
    pub zygote: Option<u32>,
    /// The layers of the lock that are in force in a cell, as the newest one reported them.
    pub layers: Vec<String>,
    /// What came of the forbidden things that a throw-away cell tried when the node started.
    #[serde(default)]
    pub forbidden: Option<Forbidden>,
    /// How many cells may run at once.
    pub places: u32,
    /// How many cells are kept.
    pub warm: u32,
    /// How many run.
    pub running: u32,
    /// Calls that wait for a place.
    pub queued: u32,
    /// Cells, with the script or action that each holds.
    pub cells: Vec<Cell>,
    /// Cells started since the node's start.
    pub started: u64,
    /// Cells killed at a deadline.
    pub killed: u64,
    /// Cells that died by themselves.
    pub died: u64,
    /// Cells that made room for others.
    pub evicted: u64,
}

impl Pool {
    /// Places that are free.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.places.saturating_sub(self.running)
    }

    /// Cells that there are.
    #[must_use]
    pub fn kept(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }
}

/// A pool besides that of scripts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NamedPool {
    /// What runs in it: `files`, `actions` or `network`.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub pool: Pool,
}

impl NamedPool {
    /// The same in short.
    #[must_use]
    pub fn room(&self) -> Room {
        let Self { name, pool } = self;
        Room {
            name: name.clone(),
            places: pool.places,
            free: pool.free(),
            queued: pool.queued,
            warm: pool.kept(),
        }
    }
}

/// Forbidden things that a cell tried, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forbidden {
    /// What the lock refused.
    pub refused: Vec<String>,
    /// What it did not; nothing, unless the node was told to run scripts unlocked.
    pub allowed: Vec<String>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// Its process id.
    pub pid: u32,
    /// Whose script it holds; empty for an action, which is the node's.
    pub project: String,
    /// The script, or the action.
    pub script: String,
    /// The script's version; 0 for an action.
    pub version: u64,
    /// Calls that it has answered.
    pub calls: u64,
    /// Whether it runs one.
    pub busy: bool,
}
