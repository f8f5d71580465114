//! `script:check`: what a parser says of a file's text. Workers have Python, so one of them is asked.

use std::rc::Rc;

use protocol::Problem;
use protocol::abi::LARGEST_BODY;
use protocol::actions::{Action as _, script_compile};
use protocol::channels::script_check::Request;

use super::{State, file};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema, or no worker answers.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    if request.content.len() > LARGEST_BODY {
        return Err(ChannelFailure::validation(Problem::new("payload.content", "larger than 1 MiB")));
    }
    let parts = file::parts(&request.content);
    let question = script_compile::Request { body: parts.body.to_owned() };
    let name = script_compile::ScriptCompile::NAME;
    let mut found: script_compile::Reply = state.bus.ask(name, &question, &call.origin).await?;
    // The caller counts lines of the text that was sent, the worker those of the body.
    for problem in &mut found.problems {
        problem.line += parts.lines_before;
        problem.end_line += parts.lines_before;
    }
    Ok(ChannelAnswer::of(&found))
}
