//! `script:rollback`: an older body and its metadata as a new version.

use std::rc::Rc;

use protocol::channels::script_rollback::{Reply, Request};

use super::create::ATTEMPTS;
use super::library::change::Refused;
use super::{State, check};
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// There is no such script or version, its body does not parse, the file has changed, or it cannot be stored.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let project = call.origin.project.as_str();
    for _ in 0..ATTEMPTS {
        let draft = state.library.draft_rollback(project, request.id, request.version).await?;
        if draft.script.record.enabled {
            check::must_parse(&state, &call.origin, &draft.body, "payload.version").await?;
        }
        let done = state.library.commit_draft(draft).await;
        state.tell().await;
        match done {
            Err(Refused::Stale) => {}
            done => return Ok(ChannelAnswer::of(&Reply { record: done? })),
        }
    }
    Err(Refused::VersionConflict.into())
}
