//! `supervisor:status`: this node, or all of them. Which node answers for all is decided in `cluster`.

use std::rc::Rc;

use protocol::channels::supervisor_status::{Gathering, Reply, Request};
use sha2::{Digest as _, Sha256};

use super::{Watched, cluster, not_here};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Longest name of a question, in bytes.
const LONGEST: usize = 64;

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if request.node.as_ref().is_some_and(|node| !watched.is_called(node)) {
        return Ok(ChannelAnswer::Silence);
    }
    if let Some(gathering) = request.gathering {
        note_gathering(&watched, gathering)?;
        return Ok(ChannelAnswer::of(&of(&watched)));
    }
    let mut reply = of(&watched);
    if request.cluster == Some(true) {
        let gathered = cluster::gather(&watched, &question(&call), request.node.is_some()).await;
        let Some(nodes) = gathered else { return Ok(ChannelAnswer::Silence) };
        reply.nodes = Some(nodes);
    }
    Ok(ChannelAnswer::of(&reply))
}

/// Notes that a node gathers.
///
/// # Errors
/// What it says of itself is too long.
pub(super) fn note_gathering(watched: &Watched, gathering: Gathering) -> Result<(), ChannelFailure> {
    if gathering.question.len() > LONGEST || gathering.node.len() > LONGEST {
        return Err(not_here("payload.gathering", "expected at most 64 bytes"));
    }
    watched.cluster.note_gathering(gathering);
    Ok(())
}

/// What tells this question from others on every node that hears it: where its answer goes, unreadable.
pub(super) fn question(call: &ChannelCall) -> String {
    Sha256::digest(&call.reply_to).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// How this node is.
pub(super) fn of(watched: &Watched) -> Reply {
    Reply {
        node: watched.bus.node.clone(),
        id: watched.bus.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: watched.bus.started.to_string(),
        roles: watched.roles.clone(),
        ready: watched.ready(),
        parts: watched.all_parts(),
        pool: (watched.pool)(),
        pools: (watched.pools)(),
        actions: watched.actions.clone(),
        nodes: None,
    }
}
