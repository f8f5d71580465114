//! `supervisor:drain`: a node takes no more calls, finishes those that run and ends.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;

/// Names the types of `supervisor:drain`.
#[derive(Debug)]
pub struct SupervisorDrain;

impl Channel for SupervisorDrain {
    const NAME: &'static str = "supervisor:drain";
    const ROLE: Role = Role::Supervisor;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload. Nodes of other names stay silent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorDrainRequest")]
pub struct Request {
    /// The node to end.
    pub node: String,
}

/// The data, which is sent before the node begins to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SupervisorDrainReply")]
pub struct Reply {
    /// The node.
    pub node: String,
    /// How long running calls may go on at most before they are cancelled, in ms.
    pub drain_ms: u64,
}
