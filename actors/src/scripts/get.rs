//! `script:get`: one script with its body, as it is or as it was.

use std::rc::Rc;

use protocol::Problem;
use protocol::actions::script_fetch::Script;
use protocol::channels::script_get::Request;

use super::State;
use super::library::change::Refused;
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema, no script or version is meant by it, or the store failed.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let name = match (request.id, request.slug) {
        (Some(id), None) => id.to_string(),
        (None, Some(slug)) => slug,
        _ => return Err(ChannelFailure::validation(Problem::new("payload", "expected either id or slug"))),
    };
    let project = call.origin.project.as_str();
    state.first_use(project).await;
    let found = state.library.index.borrow().find(project, &name).map(|held| Rc::clone(&held.script));
    let script = found.ok_or(Refused::NotFound)?;
    let (record, body) = match request.version.filter(|version| *version != script.record.version) {
        None => (script.record.clone(), state.library.body_of(&script).await?),
        Some(version) => {
            let old =
                state.library.version(project, script.record.id, version).await?.ok_or(Refused::NotFound)?;
            let body = state.library.body(&old.record.content_hash).await?;
            (old.record, body)
        }
    };
    Ok(ChannelAnswer::of(&Script { record, body: body.to_string() }))
}
