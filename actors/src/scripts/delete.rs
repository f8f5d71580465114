//! `script:delete`: the end of a script, its history and its file.

use std::rc::Rc;

use protocol::channels::script_delete::{Reply, Request};

use super::State;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// There is no such script, its file has changed, or it cannot be deleted.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let done = state.library.delete(call.origin.project.as_str(), request.id).await;
    state.tell().await;
    let deleted = done?;
    Ok(ChannelAnswer::of(&Reply { deleted_id: deleted.id, slug: deleted.slug }))
}
