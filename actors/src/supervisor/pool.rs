//! `supervisor:pool`: other limits for the cells of this node. What that means for cells is the pool's business.

use std::rc::Rc;

use protocol::channels::supervisor_pool::{Reply, Request};

use super::{Watched, not_here};
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema, or the node is no worker.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if !watched.is_called(&request.node) {
        return Ok(ChannelAnswer::Silence);
    }
    let resized = (watched.resize)(request.resize);
    let pool = (watched.pool)().filter(|_| resized);
    let pool = pool.ok_or_else(|| not_here("payload.node", "this node has no pool: it is no worker"))?;
    tracing::info!(places = pool.places, warm = pool.warm, "the pool was resized");
    Ok(ChannelAnswer::of(&Reply { node: watched.bus.node.clone(), pool }))
}
