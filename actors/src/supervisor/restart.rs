//! `supervisor:restart`: finds the part by its name. How each is made anew is known to whoever made it.

use std::rc::Rc;

use protocol::channels::supervisor_restart::{Reply, Request};

use super::{Watched, not_here, stopping};
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema, the node has no such part, or it stops.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if !watched.is_called(&request.node) {
        return Ok(ChannelAnswer::Silence);
    }
    if watched.leaving.get() {
        return Err(stopping());
    }
    let Some((name, anew)) = watched.anew.iter().find(|(name, _)| *name == request.part) else {
        let known: Vec<&str> = watched.anew.iter().map(|(name, _)| name.as_str()).collect();
        return Err(not_here("payload.part", &format!("expected one of {}", known.join(", "))));
    };
    tracing::warn!(part = name, "made anew by supervisor:restart");
    anew();
    Ok(ChannelAnswer::of(&Reply { node: watched.bus.node.clone(), part: name.clone() }))
}
