//! The rules of the repository that no compiler knows. Each is a function from files to complaints, and each is shown a
//! file that breaks it, so that a rule which has gone blind is found out.

mod documents;
mod doors;
mod layout;
mod source;

use source::{Source, repository};

/// What a rule says of files: one line a breach.
type Rule = fn(&[Source]) -> Vec<String>;

/// Holds the repository to `rule`, after the rule has found fault with each of `bad`, alone, and none with each of `good`.
fn hold(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        let complaints = rule(&[Source::new(path, text)]);
        assert!(!complaints.is_empty(), "the rule is blind to {path}:\n{text}");
    }
    for (path, text) in good {
        let complaints = rule(&[Source::new(path, text)]);
        assert!(complaints.is_empty(), "the rule sees ghosts in {path}:\n{text}\n{complaints:?}");
    }
    let complaints = rule(&repository());
    assert!(complaints.is_empty(), "{} breaches:\n{}", complaints.len(), complaints.join("\n"));
}
