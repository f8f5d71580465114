//! `supervisor:restart`: a part of a node is made anew; what the old one runs comes to its end.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;

/// Names the types of `supervisor:restart`.
#[derive(Debug)]
pub struct SupervisorRestart;

impl Channel for SupervisorRestart {
    const NAME: &'static str = "supervisor:restart";
    const ROLE: Role = Role::Supervisor;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload. Nodes of other names stay silent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorRestartRequest")]
pub struct Request {
    /// The node of the part.
    pub node: String,
    /// An actor of the node (`worker`, `scripts`), `zygote`, or a program of the configuration (`service:NAME`).
    pub part: String,
}

/// The data. The new part is being started; `supervisor:status` says how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "SupervisorRestartReply")]
pub struct Reply {
    /// The node.
    pub node: String,
    /// The part.
    pub part: String,
}
