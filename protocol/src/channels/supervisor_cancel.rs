//! `supervisor:cancel`: ends a call, wherever it waits or runs.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::Role;
use crate::envelope::{RequestId, Token};

/// Names the types of `supervisor:cancel`.
#[derive(Debug)]
pub struct SupervisorCancel;

impl Channel for SupervisorCancel {
    const NAME: &'static str = "supervisor:cancel";
    const ROLE: Role = Role::Supervisor;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SupervisorCancelRequest")]
pub struct Request {
    /// The request to end.
    pub request_id: RequestId,
    /// The call's token, where it has one.
    pub token: Option<Token>,
}

/// The data. The node that holds the call answers at once; the others answer `false` after a quarter of a second,
/// so that the first answer is the right one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "SupervisorCancelReply")]
pub struct Reply {
    /// Whether this node holds such a call, and the token is the call's.
    pub found: bool,
}
