//! `script:check`: what a parser says of a file's text. Workers have Python, so one of them is asked. The same question decides
//! whether a script may be saved enabled.

use std::rc::Rc;

use protocol::Problem;
use protocol::abi::LARGEST_BODY;
use protocol::actions::{Action as _, script_compile};
use protocol::channels::script_check::Request;

use super::{State, file};
use crate::call::Origin;
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
    let mut found = ask(&state, &call.origin, parts.body).await?;
    // The caller counts lines of the text that was sent, the worker those of the body.
    for problem in &mut found.problems {
        problem.line += parts.lines_before;
        problem.end_line += parts.lines_before;
    }
    Ok(ChannelAnswer::of(&found))
}

async fn ask(state: &State, origin: &Origin, body: &str) -> Result<script_compile::Reply, ChannelFailure> {
    let question = script_compile::Request { body: body.to_owned() };
    Ok(state.bus.ask(script_compile::ScriptCompile::NAME, &question, origin).await?)
}

/// Refuses a body that does not parse.
///
/// # Errors
/// `VALIDATION_ERROR` at `path`, with the first place; or no worker answers, and then nothing is known.
pub async fn must_parse(
    state: &State,
    origin: &Origin,
    body: &str,
    path: &str,
) -> Result<(), ChannelFailure> {
    let found = ask(state, origin, body).await?;
    let Some(first) = found.problems.first() else { return Ok(()) };
    let place =
        format!("does not parse at line {}, column {}: save it with enabled false", first.line, first.column);
    Err(ChannelFailure::validation(Problem::new(path, place)))
}
