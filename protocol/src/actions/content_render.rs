//! `content.render`: a whole page with macros in it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Action, Role};
use crate::abi;
use crate::raw::Raw;

/// Largest content, in bytes.
pub const LARGEST: usize = 1 << 20;

/// Names the types of `content.render`.
#[derive(Debug)]
pub struct ContentRender;

impl Action for ContentRender {
    const NAME: &'static str = "content.render";
    const ROLE: Role = Role::Worker;
    const TIMEOUT_MS: u64 = 30_000;
    type Request = Request<'static>;
    type Reply = Reply;
}

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ContentFormat")]
pub enum Syntax {
    /// CommonMark with tables, footnotes, strikethrough and task lists.
    Markdown,
    /// HTML.
    Html,
}

/// What stands in the place of a macro that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ContentOnError")]
pub enum OnError {
    /// A visible `<span class="macro-error">`; the default in a preview.
    Marker,
    /// Nothing; the default otherwise.
    Empty,
    /// Fails the whole request.
    Fail,
}

/// The payload.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ContentRenderRequest")]
pub struct Request<'a> {
    /// The page, at most [`LARGEST`] bytes.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// How it is written.
    #[serde(rename = "format")]
    pub syntax: Syntax,
    /// Goes to every macro.
    #[serde(borrow)]
    #[schemars(with = "abi::Env")]
    pub env: Raw<'a>,
    /// Goes to every macro.
    #[serde(borrow)]
    #[schemars(with = "Option<crate::raw::AnyObject>")]
    pub data: Option<Raw<'a>>,
    /// What stands in the place of a macro that failed.
    pub on_error: Option<OnError>,
}

/// What became of one macro of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ContentMacroStatus")]
pub enum Status {
    /// Its HTML stands in the page.
    Ok,
    /// It failed.
    Error,
    /// It did not end in time.
    Timeout,
    /// No enabled macro bears the name; it was left as it stands.
    Unknown,
    /// It stands where HTML cannot (inside an attribute); it was left as it stands.
    Misplaced,
}

/// One macro of the page, in the order in which they stand there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ContentMacro")]
pub struct Macro {
    /// The name as the author wrote it.
    pub name: String,
    /// The slug of the script that it resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// That script's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What became of it.
    pub status: Status,
    /// How long it ran, in ms; its share where it ran in a batch.
    pub duration_ms: f64,
    /// What the author should know.
    pub warnings: Vec<String>,
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ContentRenderReply")]
pub struct Reply {
    /// The page.
    pub html: String,
    /// Its macros.
    pub macros: Vec<Macro>,
}
