//! A typed complaint about a value: where it stands and what is wrong, never what it holds.
//!
//! Errors of serde quote the offending value; `Problem::describe` keeps the part that speaks of the schema and drops the rest.

use serde::{Deserialize, Serialize};

/// Longest text of either field, in characters; both can carry key names that a caller chose.
const LONGEST: usize = 200;

/// What is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Problem {
    /// Key path such as `payload.context.env.isPreview`; `$` is the whole body.
    pub path: String,
    /// What the schema asks for, in words without the value.
    pub problem: String,
}

impl Problem {
    /// A complaint at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: cut(path.into()), problem: cut(problem.into()) }
    }

    /// A complaint at `root` followed by a path as serde_path_to_error writes it (`.` is the root itself).
    pub(crate) fn at(root: &str, path: &str, message: &str) -> Self {
        // `?` is where the text broke off before a key was known.
        let path = path.strip_suffix('?').unwrap_or(path);
        let joined = match path.strip_suffix('.').unwrap_or(path) {
            "" => root.to_owned(),
            below if below.starts_with('[') => format!("{root}{below}"),
            below if root == ROOT => below.to_owned(),
            below => format!("{root}.{below}"),
        };
        Self::new(joined, Self::describe(message))
    }

    /// The part of a serde message that is about the schema. `invalid type: string "…", expected u64` quotes
    /// content; what comes after `expected` does not.
    fn describe(message: &str) -> String {
        let message = message.split(" at line ").next().unwrap_or(message);
        if let Some(ours) = message.strip_prefix(SAFE) {
            return ours.to_owned();
        }
        let quotes =
            ["invalid type", "invalid value", "invalid length", "unknown variant", "wrong msgpack marker"];
        if quotes.iter().any(|start| message.starts_with(start)) {
            return match message.rfind("expected ").and_then(|start| message.get(start..)) {
                Some(expected) => expected.to_owned(),
                None => "wrong type".to_owned(),
            };
        }
        let known = [
            "missing field",
            "unknown field",
            "duplicate field",
            "expected",
            "EOF",
            "trailing",
            "invalid",
            "key must",
            "lone",
            "unexpected end",
            "control character",
            "recursion limit",
            "number out",
        ];
        if known.iter().any(|start| message.starts_with(start)) {
            return message.to_owned();
        }
        "malformed".to_owned()
    }
}

/// The path of a whole body.
pub const ROOT: &str = "$";

/// Marks messages of our own deserializers as free of content, so that `Problem::describe` passes them on.
pub(crate) const SAFE: &str = "\u{1}";

/// An error of one of our own `Deserialize` implementations whose text holds no content.
pub(crate) fn safe<E: serde::de::Error>(problem: impl std::fmt::Display) -> E {
    E::custom(format!("{SAFE}{problem}"))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_serde_quotes_is_left_out() {
        let problem = Problem::at(
            "payload",
            "text",
            "invalid type: string \"my essay, expected by nobody\", expected u64 at line 1 column 9",
        );
        assert_eq!(problem, Problem::new("payload.text", "expected u64"));
    }

    #[test]
    fn an_unknown_variant_is_left_out() {
        let problem = Problem::at("$", "kind", "unknown variant `secret`, expected `macro` or `utility`");
        assert_eq!(problem, Problem::new("kind", "expected `macro` or `utility`"));
    }

    #[test]
    fn a_message_nobody_has_vouched_for_is_left_out() {
        assert_eq!(Problem::at("$", ".", "the essay said hello").problem, "malformed");
    }

    #[test]
    fn a_path_of_hostile_length_is_cut() {
        assert!(Problem::new("k".repeat(10_000), "x").path.chars().count() <= LONGEST + 1);
    }
}
