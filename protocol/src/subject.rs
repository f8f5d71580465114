//! The grammar of NATS subjects as Callboard uses them: a name of two tokens behind an optional prefix. Routing lives in the node.

/// Longest prefix in bytes; NATS itself allows more, but subjects stand in every message.
pub const LONGEST_PREFIX: usize = 64;

/// Why a prefix or a name is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too long for what it is.
    #[error("longer than {LONGEST_PREFIX} bytes")]
    TooLong,
    /// An empty token: two dots side by side, or one at an end.
    #[error("an empty token: write tokens of letters, digits, _ and -, divided by single dots")]
    EmptyToken,
    /// A character that a subject token cannot hold, or that has a meaning in NATS (`*`, `>`, `$`).
    #[error("a character outside letters, digits, _ and -")]
    Character,
}

/// The prefix that stands in front of every subject of an installation; may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix(String);

impl Prefix {
    /// Checks `text`: tokens of letters, digits, `_` and `-`, divided by dots. Empty text is no prefix.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LONGEST_PREFIX {
            return Err(Error::TooLong);
        }
        for token in text.split('.') {
            check_token(token)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The subject that bears `name` in this installation.
    #[must_use]
    pub fn subject(&self, name: &str) -> String {
        if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) }
    }

    /// The name that a subject bears, if it has this prefix.
    #[must_use]
    pub fn name<'a>(&self, subject: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            return Some(subject);
        }
        subject.strip_prefix(self.0.as_str())?.strip_prefix('.')
    }

    /// The prefix itself, without the dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_token(token: &str) -> Result<(), Error> {
    if token.is_empty() {
        return Err(Error::EmptyToken);
    }
    if token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        Ok(())
    } else {
        Err(Error::Character)
    }
}

/// The subject token form of a channel: `llmProfile:list` is called on `llmProfile.list`, because a colon
/// stands inside one token and would be out of reach for NATS permissions and wildcards.
#[must_use]
pub fn of_channel(channel: &str) -> String {
    channel.replacen(':', ".", 1)
}

/// Longest subject that is replied to, in bytes.
pub const LONGEST_INBOX: usize = 1_024;

/// Whether `subject` may be published to as a reply. A caller who names another subject could make the node
/// publish with the node's rights (to a JetStream API, say); one who names a very long one could make it write a line
/// that the broker closes the connection over (its lines end at 4 KiB).
#[must_use]
pub fn is_inbox(subject: &str, configured: &[String]) -> bool {
    const INBOXES: [&str; 3] = ["_INBOX.", "_INBOX_", "_R_."];
    let is_in = INBOXES.iter().any(|inbox| subject.starts_with(inbox))
        || configured.iter().any(|inbox| !inbox.is_empty() && subject.starts_with(inbox.as_str()));
    is_in && subject.len() <= LONGEST_INBOX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_prefix() {
        for prefix in ["", "acme", "acme.eu-1"] {
            let prefix = Prefix::new(prefix).unwrap();
            assert_eq!(prefix.name(&prefix.subject("llm.chat")), Some("llm.chat"));
        }
    }

    #[test]
    fn a_prefix_with_a_wildcard_or_an_empty_token_is_refused() {
        for (text, error) in [
            ("a.*", Error::Character),
            (">", Error::Character),
            ("$SRV", Error::Character),
            ("a b", Error::Character),
            ("ä", Error::Character),
            ("a..b", Error::EmptyToken),
            (".a", Error::EmptyToken),
            ("a.", Error::EmptyToken),
        ] {
            assert_eq!(Prefix::new(text), Err(error), "{text}");
        }
        assert_eq!(Prefix::new(&"a".repeat(65)), Err(Error::TooLong));
    }

    #[test]
    fn another_prefix_is_not_ours() {
        let prefix = Prefix::new("acme").unwrap();
        assert_eq!(prefix.name("acmes.llm.chat"), None);
        assert_eq!(prefix.name("llm.chat"), None);
    }

    #[test]
    fn only_inboxes_may_be_replied_to() {
        assert!(is_inbox("_INBOX.abc", &[]));
        assert!(is_inbox("_R_.x.y", &[]));
        assert!(is_inbox("my.inbox.1", &["my.inbox.".to_owned()]));
        let inbox = |length: usize| format!("_INBOX.{}", "a".repeat(length - 7));
        assert!(is_inbox(&inbox(LONGEST_INBOX), &[]) && !is_inbox(&inbox(LONGEST_INBOX + 1), &[]));
        for subject in ["$JS.API.STREAM.DELETE.X", "orders.new", "", "_INBOXX.1"] {
            assert!(!is_inbox(subject, &[]), "{subject}");
        }
    }
}
