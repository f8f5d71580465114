//! `script.compile`: what a Python parser says of a text. Nothing of it runs, and the cell that read it is not used
//! again.

use std::rc::Rc;

use protocol::Failure;
use protocol::abi::LARGEST_BODY;
use protocol::actions::script_compile::{Reply, Request};
use protocol::writer::Writer;

use crate::call::{Answer, Call};
use crate::worker::State;
use crate::worker::death;
use crate::worker::job::{Done, Work};
use crate::worker::pool::Runs;

/// Handles the action.
///
/// # Errors
/// How it failed.
pub async fn handle(worker: Rc<State>, call: Call) -> Answer {
    let Request { body } = call.read()?;
    if body.len() > LARGEST_BODY {
        return Err(Failure::request("payload.body", "larger than 1 MiB"));
    }
    match worker.pool.run(Runs::Compiler, Work::Compile { body }, call.origin).await? {
        Done::Compiled(found) => {
            let mut writer = Writer::new(call.format, 1_024);
            writer.value(&Reply { problems: found.problems, functions: found.functions });
            Ok(writer.finish().into())
        }
        Done::Returned(_) | Done::Loaded | Done::Attempted(_) => Err(death::no_process("protocol")),
    }
}
