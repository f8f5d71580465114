//! What a script or an action may do beyond its own memory: asked for by its author, in force only where the
//! configuration grants it. Who is granted what is the node's business, how it loosens the lock the cell's.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

/// Longest folder of `files:read`, in bytes.
const LONGEST: usize = 1024;

/// One capability. As text: `llm`, `network`, `files:read:/folder`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Asks models, through the node.
    Llm,
    /// Opens connections. Who has it counts as trusted: it reaches whatever the machine reaches.
    Network,
    /// Reads what lies in this folder, an absolute path without `.`, `..` and empty parts, and no link.
    FilesRead(String),
}

impl Capability {
    /// Reads the text of a capability.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        match text {
            "llm" => Some(Self::Llm),
            "network" => Some(Self::Network),
            _ => text
                .strip_prefix("files:read:")
                .filter(|path| is_plain(path))
                .map(|p| Self::FilesRead(p.to_owned())),
        }
    }
}

/// Whether a path is absolute and spelled the one way that it can be. The root itself is none that could be granted.
fn is_plain(path: &str) -> bool {
    path.len() <= LONGEST
        && !path.contains('\0')
        && path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Llm => f.write_str("llm"),
            Self::Network => f.write_str("network"),
            Self::FilesRead(folder) => write!(f, "files:read:{folder}"),
        }
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| D::Error::custom("expected llm, network or files:read:/folder"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_read_only_as_it_is_written() {
        for text in ["llm", "network", "files:read:/a", "files:read:/a/b c/..d"] {
            assert_eq!(Capability::new(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "LLM",
            "llm ",
            "files",
            "files:read",
            "files:read:",
            "files:read:/",
            "files:read:a",
            "files:read:/a/",
            "files:read:/a//b",
            "files:read:/a/./b",
            "files:read:/a/../b",
            "files:read:/a\0",
            "files:write:/a",
        ] {
            assert_eq!(Capability::new(text), None, "{text:?}");
        }
    }
}
