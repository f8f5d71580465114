//! `script:update`: other metadata or another body for a script, and its file.

use std::rc::Rc;

use protocol::Problem;
use protocol::channels::script_update::{Changes, Reply, Request};

use super::create::ATTEMPTS;
use super::library::change::Refused;
use super::{State, check, fields};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// There is no such script, it has another version, a field breaks a rule, the body does not parse, the slug is taken, the file
/// has changed, or it cannot be stored.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let Request { id, changes, expected_version } = call.read()?;
    if changes == Changes::default() {
        return Err(ChannelFailure::validation(Problem::new(
            "payload.changes",
            "expected at least one change",
        )));
    }
    fields::check(&changes, "payload.changes").map_err(ChannelFailure::validation)?;
    let project = call.origin.project.as_str();
    let path = if changes.body.is_some() { "payload.changes.body" } else { "payload.changes" };
    for _ in 0..ATTEMPTS {
        let draft = state.library.draft_update(project, id, &changes, expected_version).await?;
        if draft.script.record.enabled {
            check::must_parse(&state, &call.origin, &draft.body, path).await?;
        }
        let done = state.library.commit_draft(draft).await;
        state.tell().await;
        match done {
            Err(Refused::Stale) => {}
            // The file is the version that the caller did not know.
            Err(Refused::SyncConflict)
                if expected_version.is_some() && state.version_of(project, id) != expected_version =>
            {
                return Err(Refused::VersionConflict.into());
            }
            done => return Ok(ChannelAnswer::of(&Reply { record: done? })),
        }
    }
    Err(Refused::VersionConflict.into())
}

impl State {
    fn version_of(&self, project: &str, id: protocol::Id) -> Option<u64> {
        self.library.index.borrow().get(project, id).map(|held| held.script.record.version)
    }
}
