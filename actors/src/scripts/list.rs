//! `script:list`: the scripts of a project, page by page.

use std::rc::Rc;

use protocol::Problem;
use protocol::channels::script_list::{MOST, Reply, Request, USUAL};

use super::State;
use super::disk::Script;
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Longest cursor, in bytes.
const LONGEST_CURSOR: usize = 200;
/// Scripts whose bodies are looked through at a time.
const AT_ONCE: usize = 500;

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let limit = request.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(ChannelFailure::validation(Problem::new("payload.limit", "expected 1 to 1000")));
    }
    if request.cursor.as_ref().is_some_and(|cursor| cursor.len() > LONGEST_CURSOR) {
        return Err(ChannelFailure::validation(Problem::new(
            "payload.cursor",
            "no cursor of an earlier page",
        )));
    }
    let project = call.origin.project.as_str();
    state.first_use(project).await;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = match &request.text {
        Some(text) => search(&state, project, &request, &text.to_lowercase(), limit + 1).await?,
        None => narrowed(&state, project, &request, request.cursor.as_deref(), limit + 1),
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|script| script.record.slug.clone());
    let errors = match (&request.cursor, state.library.index.borrow().project(project)) {
        (None, Some(project)) => project.errors.clone(),
        _ => Vec::new(),
    };
    let scripts = found.iter().map(|script| script.record.clone()).collect();
    Ok(ChannelAnswer::of(&Reply { scripts, errors, next_cursor }))
}

/// The first scripts after `cursor` that have the kind and the state that are asked for.
fn narrowed(
    state: &State,
    project: &str,
    request: &Request,
    cursor: Option<&str>,
    most: usize,
) -> Vec<Rc<Script>> {
    let fits = |script: &&Rc<Script>| {
        let record = &script.record;
        request.kind.is_none_or(|kind| record.kind == kind)
            && request.enabled.is_none_or(|enabled| record.enabled == enabled)
    };
    let index = state.library.index.borrow();
    let scripts = index.project(project).into_iter().flat_map(|project| project.scripts_after(cursor));
    scripts.filter(fits).take(most).cloned().collect()
}

/// Those of them that have `text` in slug, title or body.
async fn search(
    state: &State,
    project: &str,
    request: &Request,
    text: &str,
    most: usize,
) -> Result<Vec<Rc<Script>>, ChannelFailure> {
    let mut found = Vec::new();
    let mut cursor = request.cursor.clone();
    loop {
        let candidates = narrowed(state, project, request, cursor.as_deref(), AT_ONCE);
        let Some(last) = candidates.last() else { return Ok(found) };
        cursor = Some(last.record.slug.clone());
        let hashes = candidates.iter().map(|script| script.record.content_hash.clone()).collect();
        let holding = state.library.bodies().holding(hashes, text.to_owned()).await?;
        for (script, in_body) in candidates.into_iter().zip(holding) {
            let record = &script.record;
            if in_body || record.slug.contains(text) || record.title.to_lowercase().contains(text) {
                found.push(script);
            }
            if found.len() >= most {
                return Ok(found);
            }
        }
    }
}
