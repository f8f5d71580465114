//! Bodies of the messages between the node and the zygote. Their socket keeps message borders (`SOCK_SEQPACKET`)
//! and carries descriptors, so a message is one [`ToZygote`] or [`FromZygote`] without a frame header.

use serde::{Deserialize, Serialize};

use crate::capability::Capability;

/// Largest control message, in bytes.
pub const LARGEST: usize = 16 * 1024;

/// What the node asks of the zygote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "op")]
pub enum ToZygote {
    /// Fork a cell. With the message come two descriptors: the cell's end of its pipe, and its page.
    Fork {
        /// The node's number for the cell.
        cell: u64,
        /// What the cell may use.
        limits: Limits,
    },
}

/// Most capabilities of one cell: their folders must fit into a message.
pub const MOST_CAPABILITIES: usize = 8;

/// Limits of a cell; set before any user code runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Address space, in bytes, counted on top of what the zygote itself has mapped.
    pub memory: u64,
    /// What it may do beyond computing: the lock is loosened by exactly that. At most [`MOST_CAPABILITIES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

/// What the zygote tells the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "op")]
pub enum FromZygote {
    /// The zygote is preloaded and forks from now on.
    Ready(Ready),
    /// A cell was forked. With the message comes its pidfd.
    Forked {
        /// The node's number for the cell.
        cell: u64,
        /// Its process id.
        pid: i32,
    },
    /// A cell could not be forked.
    Failed {
        /// The node's number for the cell.
        cell: u64,
        /// What `fork` said.
        errno: i32,
    },
    /// A cell has ended and was reaped.
    Exited {
        /// The node's number for the cell.
        cell: u64,
        /// Its exit status, if it exited.
        status: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// The most memory it had at once, in bytes.
        peak: u64,
    },
}

/// What the zygote is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ready {
    /// Its [`super::VERSION`].
    pub protocol: u32,
    /// Its [`crate::abi::VERSION`].
    pub abi: u32,
    /// The interpreter's version, such as `3.11.7`.
    pub python: String,
    /// How many modules are preloaded.
    pub modules: u32,
}
