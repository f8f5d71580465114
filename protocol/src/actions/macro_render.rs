//! `macro.render`: one macro in one context.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Action, Role};
use crate::abi;
use crate::raw::Checked;

/// Names the types of `macro.render`.
#[derive(Debug)]
pub struct MacroRender;

impl Action for MacroRender {
    const NAME: &'static str = "macro.render";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 5_000;
    type Request = Request<'static>;
    type Reply = abi::MacroResult<'static>;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacroRenderRequest")]
pub struct Request<'a> {
    /// Slug, alias or id.
    #[serde(borrow)]
    pub script: Cow<'a, str>,
    /// Goes to the script as it came.
    #[serde(borrow)]
    pub context: Checked<'a, abi::Context<'a>>,
    /// Leaves the HTML as the script gave it: the caller cleans for itself.
    #[serde(default)]
    pub raw: bool,
}
