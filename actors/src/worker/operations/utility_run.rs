//! `utility.run`: a script that a person runs by hand.

use std::rc::Rc;

use bytes::Bytes;
use protocol::abi::Kind;
use protocol::actions::utility_run::Request;
use protocol::frame::cell::Function;
use protocol::writer::Writer;
use protocol::{Failure, Raw, raw};

use crate::call::{Answer, Call};
use crate::worker::{Input, State, printed};

/// Longest name of a function.
const LONGEST: usize = 100;

/// Handles the action.
///
/// # Errors
/// How it failed.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let request: Request<'_> = call.read()?;
    let entrypoint = request.entrypoint.map(std::borrow::Cow::into_owned);
    if entrypoint.as_ref().is_some_and(|name| !is_function_name(name)) {
        return Err(Failure::request("payload.entrypoint", "expected the name of a function"));
    }
    let script = worker.scripts.find(&call.origin, Kind::Utility, &request.script).await?;
    let bytes = match request.input {
        Some(input) => input.into_bytes(&call.payload),
        None => {
            let mut nothing = Writer::new(call.format, 4);
            nothing.value(&());
            Bytes::from(nothing.finish())
        }
    };
    let input = Input { format: call.format, bytes, origin: call.origin.clone() };
    let running = worker.call(&script, Function::Main, entrypoint, input);
    let returned = printed::follow(worker.pool_of(&script), &script.key, &call.origin, running).await?;
    // The cell may have sent anything: what goes on as one value must be one.
    raw::check_depth(call.format, &returned.value, raw::DEEPEST).map_err(broken)?;
    let result: Raw<'_> = raw::read(call.format, &returned.value, "result").map_err(broken)?;
    let mut writer = Writer::new(call.format, returned.value.len() + returned.output.stdout.len() + 128);
    writer.object(4);
    writer.key("result");
    writer.raw(&result);
    writer.key("stdout");
    writer.text(&returned.output.stdout);
    writer.key("stderr");
    writer.text(&returned.output.stderr);
    writer.key("truncated");
    writer.value(&returned.output.truncated);
    writer.end_object();
    Ok(writer.finish().into())
}

fn broken(problem: protocol::Problem) -> Failure {
    Failure::response(problem.path, problem.problem)
}

fn is_function_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= LONGEST
        && chars.next().is_some_and(|first| first.is_alphabetic())
        && chars.all(|rest| rest.is_alphanumeric() || rest == '_')
}
