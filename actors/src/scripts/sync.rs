//! `script:sync`: brings files and index in step, or says what that would do.

use std::rc::Rc;

use protocol::channels::script_sync::{MOST, Reply, Report, Request};

use super::State;
use super::library::scan::Look;
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// Handles the channel.
///
/// # Errors
/// Folder or store failed.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let done = match request.dry_run {
        Some(true) => state.library.would_sync().await,
        Some(false) | None => state.library.sync(Look::Full).await,
    };
    state.tell().await;
    let at_start = state.at_start.borrow().clone();
    Ok(ChannelAnswer::of(&Reply { now: cut(done?), at_start: cut(at_start) }))
}

fn cut(mut report: Report) -> Report {
    for list in [&mut report.created, &mut report.updated, &mut report.deleted, &mut report.renamed] {
        list.truncate(MOST);
    }
    report.conflicts.truncate(MOST);
    report.errors.truncate(MOST);
    report
}
