//! `script:list`: the scripts of a project, page by page, and what the workers have counted of them.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::channels::Channel as _;
use protocol::channels::script_list::{Listed, MOST, Reply, Request, USUAL};
use protocol::channels::supervisor_counters::{self, Sources, SupervisorCounters};
use protocol::counters::Figures;
use protocol::envelope::Project;
use protocol::script::Record;
use protocol::{Id, Problem};

use super::State;
use super::disk::Script;
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};

/// Longest cursor, in bytes.
const LONGEST_CURSOR: usize = 200;
/// How long the workers' figures are waited for: who adds them up, and who would if that one had just died, answers sooner.
const STATS: Duration = Duration::from_secs(1);
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
    let records: Vec<Record> = found.iter().map(|script| script.record.clone()).collect();
    let (mut stats, stats_sources) = match request.include_stats {
        Some(true) => {
            let (stats, sources) = counted(&state, &call.origin.project, &records).await;
            (stats, Some(sources))
        }
        _ => (HashMap::new(), None),
    };
    let listed = records.into_iter().map(|record| Listed { stats: stats.remove(&record.id), record });
    Ok(ChannelAnswer::of(&Reply { scripts: listed.collect(), stats_sources, errors, next_cursor }))
}

/// What the workers have counted of these scripts, and which workers those are.
async fn counted(state: &State, project: &Project, records: &[Record]) -> (HashMap<Id, Figures>, Sources) {
    let parts = records.chunks(supervisor_counters::MOST).map(async |part| {
        let question = supervisor_counters::Request {
            cluster: Some(true),
            project: Some(project.clone()),
            scripts: Some(part.iter().map(|record| record.id).collect()),
            ..supervisor_counters::Request::default()
        };
        let one_is_enough = |answers: &[supervisor_counters::Reply]| !answers.is_empty();
        let asked = state.bus.gather_until(SupervisorCounters::NAME, &question, STATS, one_is_enough);
        asked.await.into_iter().next()
    });
    let mut figures = HashMap::new();
    let mut sources = Sources::default();
    for answer in join_all(parts).await {
        let Some(supervisor_counters::Reply { counted, sources: Some(of_part), .. }) = answer else {
            sources.partial = true;
            continue;
        };
        figures.extend(counted.scripts.into_iter().map(|script| (script.id, script.figures)));
        sources.partial |= of_part.partial;
        sources.nodes.extend(of_part.nodes);
        sources.missing.extend(of_part.missing);
    }
    for names in [&mut sources.nodes, &mut sources.missing] {
        names.sort();
        names.dedup();
    }
    (figures, sources)
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
