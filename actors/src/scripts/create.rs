//! `script:create`: a new script, and its file.

use std::rc::Rc;

use protocol::channels::script_create::{Reply, Request};

use super::library::change::Refused;
use super::{State, check, fields};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// How often another draft is made because somebody else was faster.
pub(super) const ATTEMPTS: usize = 5;

/// Handles the channel.
///
/// # Errors
/// A field breaks a rule, the body does not parse, the slug is taken, or it cannot be stored.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let wanted = fields::of_new(call.read::<Request>()?);
    fields::check(&wanted, "payload").map_err(ChannelFailure::validation)?;
    let project = call.origin.project.as_str();
    state.first_use(project).await;
    let mut parsed = false;
    for _ in 0..ATTEMPTS {
        let draft = state.library.draft_new(project, &wanted)?;
        if draft.script.record.enabled && !parsed {
            check::must_parse(&state, &call.origin, &draft.body, "payload.body").await?;
            parsed = true;
        }
        let done = state.library.commit_draft(draft).await;
        state.tell().await;
        match done {
            Err(Refused::Stale) => {}
            done => return Ok(ChannelAnswer::of(&Reply { record: done? })),
        }
    }
    Err(Refused::SlugTaken.into())
}
