//! `supervisor:drain`: as SIGTERM. How a node stops is in `node`.

use std::rc::Rc;

use protocol::channels::supervisor_drain::{Reply, Request};

use super::Watched;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel. The answer goes out first: a node that stops waits for the calls that it has.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if !watched.is_called(&request.node) {
        return Ok(ChannelAnswer::Silence);
    }
    tracing::warn!("told to stop by supervisor:drain");
    watched.drain.notify_one();
    Ok(ChannelAnswer::of(&Reply { node: watched.bus.node.clone(), drain_ms: watched.drain_ms }))
}
