//! `supervisor:pool`: changes how many cells of scripts a worker runs and keeps; its other pools stay as they are.

use serde::{Deserialize, Serialize};

use super::Channel;
use super::supervisor_status::Pool;
use crate::actions::Role;
use crate::problem::safe;

/// Most cells that run at once.
pub const MOST_PLACES: u32 = 1_024;
/// Most cells that are kept.
pub const MOST_WARM: u32 = 100_000;

/// Names the types of `supervisor:pool`.
#[derive(Debug)]
pub struct SupervisorPool;

impl Channel for SupervisorPool {
    const NAME: &'static str = "supervisor:pool";
    const ROLE: Role = Role::Supervisor;
    const KEEPS: bool = true;
    type Request = Request;
    type Reply = Reply;
}

/// The payload. Nodes of other names stay silent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SupervisorPoolRequest")]
pub struct Request {
    /// The worker.
    pub node: String,
    /// What is to change in its pool of scripts, until the node is started anew or has to replace its pools.
    pub resize: Resize,
}

/// New limits; what is left out stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// How many cells may run at once. Those beyond a smaller number run to the end of their calls.
    #[serde(default, deserialize_with = "places")]
    #[schemars(range(min = 1, max = 1_024))]
    pub places: Option<u32>,
    /// How many cells are kept. Idle ones beyond a smaller number end at once.
    #[serde(default, deserialize_with = "warm")]
    #[schemars(range(min = 1, max = 100_000))]
    pub warm: Option<u32>,
}

fn places<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, MOST_PLACES)
}

fn warm<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, MOST_WARM)
}

fn within<'de, D: serde::Deserializer<'de>>(deserializer: D, most: u32) -> Result<Option<u32>, D::Error> {
    let figure = Option::<u32>::deserialize(deserializer)?;
    match figure {
        Some(figure) if !(1..=most).contains(&figure) => Err(safe(format_args!("expected 1 to {most}"))),
        figure => Ok(figure),
    }
}

/// The data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "SupervisorPoolReply")]
pub struct Reply {
    /// The node.
    pub node: String,
    /// The pool as it is now.
    pub pool: Pool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::raw;

    #[test]
    fn limits_are_held_with_the_path_of_what_breaks_them() {
        for (resize, path) in [
            (r#"{"places":0}"#, "payload.resize.places"),
            (r#"{"places":1025}"#, "payload.resize.places"),
            (r#"{"warm":100001}"#, "payload.resize.warm"),
            (r#"{"warm":-1}"#, "payload.resize.warm"),
            (r#"{"room":1}"#, "payload.resize.room"),
        ] {
            let body = format!(r#"{{"node":"a","resize":{resize}}}"#);
            let problem = raw::read_object::<Request>(Format::Json, body.as_bytes(), "payload").unwrap_err();
            assert_eq!(problem.path, path, "{resize}: {problem}");
        }
        let body = br#"{"node":"a","resize":{"places":1024}}"#;
        let read: Request = raw::read_object(Format::Json, body, "payload").unwrap();
        assert_eq!(read.resize, Resize { places: Some(1_024), warm: None });
    }
}
