//! What a script or an action may do beyond its own memory: asked for by its author, in force only where the
//! configuration grants it. Who is granted what is the node's business, how it loosens the lock the cell's.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

/// Longest folder of `files:read`, in bytes.
const LONGEST: usize = 1024;

/// How capabilities are written.
const FORMS: &str = "expected llm, network, network:PORT,PORT or files:read:/folder";

/// Most ports of `network:…`.
pub const MOST_PORTS: usize = 16;

/// One capability. As text: `llm`, `network`, `network:53,443`, `files:read:/folder`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Asks models, through the node.
    Llm,
    /// Opens connections and sends datagrams. Who has it counts as trusted: it reaches whatever the machine reaches.
    Network,
    /// Opens TCP connections to these ports of any host, and nothing else. In ascending order, 1 to 16 of them.
    Ports(Vec<u16>),
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
            _ => match text.strip_prefix("network:") {
                Some(list) => ports(list).map(Self::Ports),
                None => text
                    .strip_prefix("files:read:")
                    .filter(|path| is_plain(path))
                    .map(|path| Self::FilesRead(path.to_owned())),
            },
        }
    }

    /// Whether it opens the network, wholly or in part.
    #[must_use]
    pub const fn is_network(&self) -> bool {
        matches!(self, Self::Network | Self::Ports(_))
    }

    /// Whether only Landlock, the kernel's own list, can tell what of this is granted from what is not.
    #[must_use]
    pub const fn needs_list(&self) -> bool {
        !matches!(self, Self::Llm)
    }

    /// What of it is in force where those were `offered`. Whoever asks for the network is content with the ports that
    /// there are; all else must have been offered as it is asked for, or be a part of what was.
    #[must_use]
    pub fn among<'a>(&self, offered: impl Iterator<Item = &'a Self> + Clone) -> Option<Self> {
        let open: Vec<u16> = offered
            .clone()
            .filter_map(|offered| if let Self::Ports(ports) = offered { Some(ports) } else { None })
            .flatten()
            .copied()
            .collect();
        match self {
            _ if offered.clone().any(|offered| offered == self) => Some(self.clone()),
            Self::Ports(asked) => {
                let all = offered.clone().any(|offered| *offered == Self::Network);
                (all || asked.iter().all(|port| open.contains(port))).then(|| self.clone())
            }
            Self::Network if !open.is_empty() => Some(Self::Ports(ordered(open))),
            Self::Network | Self::Llm | Self::FilesRead(_) => None,
        }
    }
}

fn ordered(mut ports: Vec<u16>) -> Vec<u16> {
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Ports divided by commas, each once, in any order.
fn ports(list: &str) -> Option<Vec<u16>> {
    let is_plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    let port = |digits: &str| digits.parse().ok().filter(|_| is_plain(digits));
    let found: Vec<u16> = list.split(',').map(port).collect::<Option<_>>()?;
    let ports = ordered(found.clone());
    (ports.len() == found.len() && ports.len() <= MOST_PORTS).then_some(ports)
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
            Self::Ports(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                write!(f, "network:{}", ports.join(","))
            }
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
        Self::new(&text).ok_or_else(|| D::Error::custom(FORMS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_read_only_as_it_is_written() {
        for text in [
            "llm",
            "network",
            "network:443",
            "network:53,443,65535",
            "files:read:/a",
            "files:read:/a/b c/..d",
        ] {
            assert_eq!(Capability::new(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "LLM",
            "llm ",
            "network:",
            "network:0",
            "network:65536",
            "network:080",
            "network:+80",
            "network:80,",
            "network:80,80",
            "network:80, 443",
            "network:http",
            "network:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
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

    #[test]
    fn ports_are_put_in_order() {
        assert_eq!(Capability::new("network:443,80").unwrap(), Capability::Ports(vec![80, 443]));
    }

    #[test]
    fn in_force_is_never_more_than_was_offered_nor_than_was_asked_for() {
        for (asked, offered, in_force) in [
            ("llm", &["llm"][..], Some("llm")),
            ("llm", &["network"], None),
            ("network", &["network"], Some("network")),
            ("network", &["llm"], None),
            ("network", &["network:443", "network:53,443"], Some("network:53,443")),
            ("network", &["network:443", "network"], Some("network")),
            ("network:443", &["network"], Some("network:443")),
            ("network:443", &["network:53,443"], Some("network:443")),
            ("network:443", &["network:80"], None),
            ("network:80,443", &["network:80", "network:443"], Some("network:80,443")),
            ("network:80,443", &["network:80"], None),
            ("files:read:/a", &["files:read:/a/b"], None),
            ("files:read:/a/b", &["files:read:/a"], None),
        ] {
            let offered: Vec<Capability> =
                offered.iter().map(|text| Capability::new(text).unwrap()).collect();
            let found = Capability::new(asked).unwrap().among(offered.iter());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), in_force, "{asked} of {offered:?}");
        }
    }
}
