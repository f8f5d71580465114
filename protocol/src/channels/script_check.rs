//! `script:check`: looks at the text of a script file without running or saving it.

use serde::{Deserialize, Serialize};

use super::Channel;
use crate::actions::{Role, script_compile};

/// Names the types of `script:check`.
#[derive(Debug)]
pub struct ScriptCheck;

impl Channel for ScriptCheck {
    const NAME: &'static str = "script:check";
    const ROLE: Role = Role::Scripts;
    type Request = Request;
    type Reply = script_compile::Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ScriptCheckRequest")]
pub struct Request {
    /// The file's text, with or without its metadata docstring, at most 1 MiB. Lines in the answer count from
    /// the beginning of this text.
    pub content: String,
}
