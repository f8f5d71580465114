//! `script.fetch`: scripts with their bodies, for workers.

use protocol::Failure;
use protocol::actions::script_fetch::{MOST, Reply, Request};
use protocol::writer::Writer;

use super::State;
use crate::call::{Answer, Call};

/// Handles the action.
///
/// # Errors
/// The payload breaks its schema.
pub fn handle(state: &State, call: &Call) -> Answer {
    let request: Request = call.read()?;
    if request.scripts.len() > MOST {
        return Err(Failure::request("payload.scripts", format!("expected at most {MOST} names")));
    }
    let catalog = state.catalog.borrow();
    let project = call.origin.project.as_str();
    let scripts = request.scripts.iter().map(|name| catalog.find(project, name).cloned()).collect();
    let mut writer = Writer::new(call.format, 4_096);
    writer.value(&Reply { scripts });
    Ok(writer.finish())
}
