//! `script:history`: the versions of a script, the newest first.

use std::rc::Rc;

use protocol::channels::script_history::{MOST, Reply, Request, Version};

use super::State;
use super::library::change::Refused;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// There is no such script, or the store failed.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let project = call.origin.project.as_str();
    if state.library.index.borrow().get(project, request.id).is_none() {
        return Err(Refused::NotFound.into());
    }
    let versions = state.library.versions(project, request.id).await?;
    let newest = versions.into_iter().rev().take(MOST);
    let versions = newest
        .map(|version| Version { record: version.record, change: version.change, by: version.by })
        .collect();
    Ok(ChannelAnswer::of(&Reply { versions }))
}
