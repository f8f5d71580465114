//! `script.compile`: what a Python parser says of a text. Nothing of it runs. The scripts role asks it of workers,
//! because only they have Python.

use serde::{Deserialize, Serialize};

use super::{Action, Role};

/// Names the types of `script.compile`.
#[derive(Debug)]
pub struct ScriptCompile;

impl Action for ScriptCompile {
    const NAME: &'static str = "script.compile";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 5_000;
    const BETWEEN_PARTS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ScriptCompileRequest")]
pub struct Request {
    /// The source without its metadata docstring, at most 1 MiB.
    pub body: String,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptCompileReply")]
pub struct Reply {
    /// What is wrong; empty when the text parses.
    pub problems: Vec<SyntaxProblem>,
    /// The top-level functions that can be entrypoints.
    pub functions: Vec<String>,
}

/// A syntax problem. Lines and columns (in characters) count from 1; the end is exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyntaxProblem {
    /// Where it begins.
    pub line: u32,
    /// Where it begins.
    pub column: u32,
    /// Where it ends.
    pub end_line: u32,
    /// Where it ends.
    pub end_column: u32,
    /// What the parser says, for the caller only: it may quote the text.
    pub message: String,
}
