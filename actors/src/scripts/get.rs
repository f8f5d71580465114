//! `script:get`: one script with its body.

use std::rc::Rc;

use protocol::Problem;
use protocol::channel::Code;
use protocol::channels::script_get::Request;

use super::State;
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema, or no script is meant by it.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let name = match (request.id, request.slug) {
        (Some(id), None) => id.to_string(),
        (None, Some(slug)) => slug,
        _ => return Err(ChannelFailure::validation(Problem::new("payload", "expected either id or slug"))),
    };
    let catalog = state.catalog.borrow();
    let found = catalog.find(call.origin.project.as_str(), &name);
    let script = found.ok_or_else(|| ChannelFailure::of(Code::ScriptNotFound))?;
    Ok(ChannelAnswer::of(script))
}
