//! What crosses a process border in Callboard: subjects, envelopes, codes, the script ABI and the pipe's frames.
//!
//! Everything here is data and pure functions over data. There is no I/O, no clock and no other crate of ours:
//! the node and the cell, which share nothing else, meet here.

#![forbid(unsafe_code)]

pub mod abi;
pub mod actions;
pub mod added;
pub mod capability;
pub mod channel;
pub mod channels;
pub mod code;
pub mod counters;
pub mod envelope;
pub mod failure;
pub mod format;
pub mod frame;
#[cfg(test)]
mod golden;
pub mod heartbeat;
pub mod id;
pub mod problem;
pub mod raw;
pub mod scan;
pub mod schema;
pub mod script;
pub mod stream;
pub mod subject;
pub mod writer;

pub use failure::Failure;
pub use format::Format;
pub use id::Id;
pub use problem::Problem;
pub use raw::Raw;
