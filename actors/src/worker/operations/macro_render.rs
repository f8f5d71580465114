//! `macro.render`: one macro in one context.

use std::rc::Rc;

use protocol::abi::Kind;
use protocol::actions::macro_render::Request;
use protocol::frame::cell::Function;

use crate::call::{Answer, Call};
use crate::worker::{Input, State, clean};

/// Handles the action.
///
/// # Errors
/// How it failed.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let request: Request<'_> = call.read()?;
    let context = request.context.raw("payload.context")?;
    let script = worker.scripts.find(&call.origin, Kind::Macro, &request.script).await?;
    let input =
        Input { format: call.format, bytes: context.into_bytes(&call.payload), origin: call.origin.clone() };
    let returned = worker.call(&script, Function::Render, None, input).await?;
    if request.raw {
        clean::read(call.format, &returned.value)?;
        return Ok(returned.value);
    }
    worker.cleaning.result(call.format, &returned.value).await
}
