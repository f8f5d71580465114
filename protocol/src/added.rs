//! Names of actions that an installation adds: which there can be, and which are Callboard's own. What such actions take,
//! give and may do is told by their modules.

use crate::actions;
use crate::frame::ask::COMPLETE;

/// Longest name, in bytes.
pub const LONGEST_NAME: usize = 100;

/// First tokens under which Callboard serves what is its own.
const OWN: [&str; 11] = [
    "callboard",
    "chat",
    "content",
    "diagnostics",
    "feedback",
    "llmProfile",
    "macro",
    "script",
    "supervisor",
    "transform",
    "utility",
];

/// Names under `llm.` that are Callboard's own.
const OWN_LLM: [&str; 4] = [COMPLETE, "llm.assessEssay", "llm.chat", "llm.generateFeedbackSummary"];

/// Whether it has the form of a name: two to four words, joined by dots.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_token = |token: &str| {
        token.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    name.len() <= LONGEST_NAME && (2..=4).contains(&name.split('.').count()) && name.split('.').all(is_token)
}

/// Whether Callboard serves it itself, or may one day.
#[must_use]
pub fn is_own(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    OWN.contains(&first) || OWN_LLM.contains(&name) || actions::find(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_added_that_are_words_joined_by_dots_and_not_callboards_own() {
        for name in ["essay.count", "llm.translate", "a.b.c.d", "my-app.do_it"] {
            assert!(is_name(name) && !is_own(name), "{name}");
        }
        for name in ["", "essay", "a.b.c.d.e", "essay.", "es say.count", "essay.*", "$SRV.PING", "1.a"] {
            assert!(!is_name(name), "{name}");
        }
        for name in ["macro.other", "script.fetch", "llm.complete", "llm.chat", "llmProfile.list"] {
            assert!(is_own(name), "{name}");
        }
    }
}
