//! `script:list`: the scripts of a project.

use std::rc::Rc;

use protocol::actions::script_fetch::Script;
use protocol::channels::script_list::{Reply, Request};

use super::State;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let text = request.text.as_ref().map(|text| text.to_lowercase());
    let fits = |script: &&Script| {
        let record = &script.record;
        let holds = |text: &String| {
            [&record.slug, &record.title, &script.body]
                .iter()
                .any(|field| field.to_lowercase().contains(text.as_str()))
        };
        request.kind.is_none_or(|kind| record.kind == kind)
            && request.enabled.is_none_or(|enabled| record.enabled == enabled)
            && text.as_ref().is_none_or(holds)
    };
    let catalog = state.catalog.borrow();
    let project = call.origin.project.as_str();
    let scripts = catalog.scripts(project).filter(fits).map(|script| script.record.clone()).collect();
    Ok(ChannelAnswer::of(&Reply { scripts, errors: catalog.errors(project) }))
}
