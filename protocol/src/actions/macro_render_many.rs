//! `macro.renderMany`: one macro in many contexts.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Action, Role};
use crate::raw::Checked;
use crate::{abi, failure};

/// Most contexts in one request.
pub const MOST: usize = 1_000;

/// Names the types of `macro.renderMany`.
#[derive(Debug)]
pub struct MacroRenderMany;

impl Action for MacroRenderMany {
    const NAME: &'static str = "macro.renderMany";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 30_000;
    type Request = Request<'static>;
    type Reply = Reply;
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacroRenderManyRequest")]
pub struct Request<'a> {
    /// Slug, alias or id.
    #[serde(borrow)]
    pub script: Cow<'a, str>,
    /// At most [`MOST`]; each goes to the script as it came.
    #[serde(borrow)]
    #[schemars(length(max = 1_000))]
    pub contexts: Vec<Checked<'a, abi::Context<'a>>>,
    /// Leaves the HTML as the script gave it.
    #[serde(default)]
    pub raw: bool,
}

/// The data: one item a context, in order.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "MacroRenderManyReply")]
pub struct Reply {
    /// One item a context.
    pub results: Vec<Item>,
}

/// What became of one context.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "MacroRenderManyItem")]
pub struct Item {
    /// Whether `data` or `error` is there.
    pub ok: bool,
    /// The macro's result.
    #[schemars(with = "Option<abi::MacroResult>")]
    pub data: Option<serde_json::Value>,
    /// Why there is none.
    pub error: Option<failure::Body>,
}
