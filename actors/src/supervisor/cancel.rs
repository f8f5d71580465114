//! `supervisor:cancel`: which calls there are is known to the bus, what they hold to their handlers.

use std::rc::Rc;
use std::time::Duration;

use protocol::channels::supervisor_cancel::{Reply, Request};

use super::Watched;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// How long a node that does not hold a call leaves the answer to the one that does.
const OTHERS_FIRST: Duration = Duration::from_millis(250);

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let found = watched.bus.held.cancel(&request.request_id, request.token.as_ref());
    if !found {
        tokio::time::sleep(OTHERS_FIRST).await;
    }
    Ok(ChannelAnswer::of(&Reply { found }))
}
