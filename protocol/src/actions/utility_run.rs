//! `utility.run`: a script that a person runs by hand. Parts of a streamed answer are what it prints, on the channels `stdout`
//! and `stderr`; the terminal reply has all of it again.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Action, Role};
use crate::raw::Raw;

/// Names the types of `utility.run`.
#[derive(Debug)]
pub struct UtilityRun;

impl Action for UtilityRun {
    const NAME: &'static str = "utility.run";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 60_000;
    const KEEPS: bool = true;
    const STREAMS: bool = true;
    type Request = Request<'static>;
    type Reply = Reply<'static>;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UtilityRunRequest")]
pub struct Request<'a> {
    /// Slug, alias or id.
    #[serde(borrow)]
    pub script: Cow<'a, str>,
    /// A function of the script other than its entrypoint.
    #[serde(borrow)]
    pub entrypoint: Option<Cow<'a, str>>,
    /// Its one argument; none is `None`.
    #[serde(borrow)]
    pub input: Option<Raw<'a>>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "UtilityRunReply")]
pub struct Reply<'a> {
    /// What the function returned.
    #[serde(borrow)]
    pub result: Raw<'a>,
    /// What it printed, at most 64 KiB.
    pub stdout: String,
    /// What it printed on standard error, at most 64 KiB.
    pub stderr: String,
    /// Whether printed text was cut.
    pub truncated: bool,
}
