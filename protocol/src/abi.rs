//! ABI v1: what a script is given and what it answers. How values become Python objects is the cell's business.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::raw::{self, AnyObject, Raw, Text};

/// The version that a cell reports when it starts.
pub const VERSION: u32 = 1;

/// Largest body of a script, in bytes.
pub const LARGEST_BODY: usize = 1 << 20;

/// Most bytes of printed text that are kept of one call; the rest is cut with a mark.
pub const LARGEST_OUTPUT: usize = 64 * 1024;

/// Most notices of one call.
pub const MOST_NOTICES: usize = 5;

/// Most characters of one notice.
pub const LONGEST_NOTICE: usize = 300;

/// Whether these could be the notices of one call.
#[must_use]
pub fn are_notices(notices: &[String]) -> bool {
    notices.len() <= MOST_NOTICES && notices.iter().all(|notice| notice.chars().count() <= LONGEST_NOTICE)
}

/// What a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ScriptKind")]
pub enum Kind {
    /// Turns parameters into HTML while a page is rendered.
    Macro,
    /// Changes a post on its way in.
    Transform,
    /// Run by hand.
    Utility,
}

impl Kind {
    /// The function that is called where the metadata name none.
    #[must_use]
    pub const fn entrypoint(self) -> &'static str {
        match self {
            Self::Macro => "render",
            Self::Transform => "transform",
            Self::Utility => "main",
        }
    }

    /// The name in metadata and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Macro => "macro",
            Self::Transform => "transform",
            Self::Utility => "utility",
        }
    }
}

/// What a macro is rendered in: the shape is checked here, the values are read in the cell.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacroContext")]
pub struct Context<'a> {
    /// Where and how the page is shown.
    #[serde(borrow, deserialize_with = "raw::object")]
    pub env: Env<'a>,
    /// The macro's parameters.
    pub params: Option<AnyObject>,
    /// What the application gives along.
    pub data: Option<AnyObject>,
}

/// Where and how a page is shown.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "MacroEnv")]
pub struct Env<'a> {
    /// Whether an author looks at it, rather than a reader.
    pub is_preview: bool,
    /// The page's language, BCP 47.
    #[serde(borrow)]
    pub main_language: Option<Cow<'a, str>>,
    /// The application's name for the moment of rendering.
    #[serde(borrow)]
    pub hook: Option<Cow<'a, str>>,
    /// What the page is made from.
    #[serde(default, borrow, deserialize_with = "raw::optional_object")]
    pub source: Option<Source<'a>>,
}

/// What a page is made from.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacroSource")]
pub struct Source<'a> {
    /// The application's word for it, such as `post`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The application's id of it.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
}

/// What a macro answers.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MacroResult")]
pub struct MacroResult<'a> {
    /// The HTML that stands in the macro's place.
    #[serde(borrow)]
    pub html: Text<'a>,
    /// What the application wants to know besides.
    #[serde(borrow)]
    #[schemars(with = "Option<AnyObject>")]
    pub data: Option<Raw<'a>>,
    /// What the author should know.
    pub warnings: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::problem::Problem;

    fn context(json: &str) -> Result<(), Problem> {
        let packed =
            rmp_serde::to_vec_named(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap();
        let of_json = raw::read_object::<Context<'_>>(Format::Json, json.as_bytes(), "context").map(|_| ());
        let of_message_pack =
            raw::read_object::<Context<'_>>(Format::MessagePack, &packed, "context").map(|_| ());
        assert_eq!(of_json.as_ref().err().map(|p| &p.path), of_message_pack.as_ref().err().map(|p| &p.path));
        of_json
    }

    #[test]
    fn a_context_is_strict() {
        assert_eq!(
            context(
                r#"{"env":{"isPreview":true,"source":{"kind":"post","id":"1"}},"params":{"a":[1]},"data":{}}"#
            ),
            Ok(())
        );
        for (json, path) in [
            (r#"{"env":{"isPreview":"yes"}}"#, "context.env.isPreview"),
            (r#"{"env":{"isPreview":true,"source":{"kind":1}}}"#, "context.env.source.kind"),
            (r#"{"env":{"isPreview":true},"params":[1]}"#, "context.params"),
            (r#"{"env":{"isPreview":true},"more":1}"#, "context.more"),
            (r#"{"env":{}}"#, "context.env"),
            (r#"{}"#, "context"),
        ] {
            assert_eq!(context(json).unwrap_err().path, path, "{json}");
        }
    }
}
