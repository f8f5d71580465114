//! `supervisor:counters`: what this worker has counted of calls of scripts, or the sum over all workers. Which node adds up
//! is decided in `cluster`; what is counted is the worker's business.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use protocol::Id;
use protocol::abi::Kind;
use protocol::channels::Channel as _;
use protocol::channels::supervisor_counters::{
    Counted, MOST, OfKind, Reply, Request, Script, Sources, SupervisorCounters,
};
use protocol::counters::Counter;

use super::{Watched, cluster, not_here, status};
use crate::router::{ChannelAnswer, ChannelCall, ChannelOutcome};

/// How long a worker's figures are waited for; it ends as soon as all have answered.
const WINDOW: Duration = Duration::from_millis(250);

/// Handles the channel.
///
/// # Errors
/// The payload breaks its schema.
pub async fn handle(watched: Rc<Watched>, call: ChannelCall) -> ChannelOutcome {
    let mut request: Request = call.read()?;
    if request.node.as_ref().is_some_and(|node| !watched.is_called(node)) {
        return Ok(ChannelAnswer::Silence);
    }
    if request.scripts.as_ref().is_some_and(|scripts| scripts.len() > MOST) {
        return Err(not_here("payload.scripts", "expected at most 250 ids"));
    }
    if let Some(gathering) = request.gathering.take() {
        status::note_gathering(&watched, gathering)?;
        // Only workers are waited for.
        return Ok(counted(&watched, &request, true)
            .map_or(ChannelAnswer::Silence, |counted| ChannelAnswer::of(&reply(&watched, counted, None))));
    }
    if request.cluster == Some(true) {
        let question = status::question(&call);
        let Some(reply) = gather(&watched, request, &question).await else {
            return Ok(ChannelAnswer::Silence);
        };
        return Ok(ChannelAnswer::of(&reply));
    }
    let counted = counted(&watched, &request, false).unwrap_or_default();
    Ok(ChannelAnswer::of(&reply(&watched, counted, None)))
}

fn counted(watched: &Watched, request: &Request, parts: bool) -> Option<Counted> {
    (watched.counted)(request, parts)
}

fn reply(watched: &Watched, counted: Counted, sources: Option<Sources>) -> Reply {
    Reply { node: watched.bus.node.clone(), id: watched.bus.id, counted, sources }
}

/// The sum over all workers, if it is for this node to say.
async fn gather(watched: &Watched, request: Request, question: &str) -> Option<Reply> {
    let named = request.node.is_some();
    let gathering = cluster::take(watched, question, named).await?;
    let workers = watched.cluster.workers();
    let asked = Request { node: None, cluster: None, gathering: Some(gathering), ..request };
    let all_are_there =
        |answers: &[Reply]| workers.iter().all(|(id, _)| answers.iter().any(|answer| answer.id == *id));
    let mut answers: Vec<Reply> = match workers.is_empty() {
        // Who gathers is made known all the same.
        true => watched.bus.gather_until(SupervisorCounters::NAME, &asked, Duration::ZERO, |_| true).await,
        false => watched.bus.gather_until(SupervisorCounters::NAME, &asked, WINDOW, all_are_there).await,
    };
    if cluster::gives_way(watched, question, named) {
        return None;
    }
    // Its own may not have come in time, and it is here.
    answers.retain(|answer| answer.id != watched.bus.id);
    if let Some(own) = counted(watched, &asked, true) {
        answers.push(reply(watched, own, None));
    }
    let mut seen = std::collections::HashSet::new();
    answers.retain(|answer| seen.insert(answer.id));
    let mut nodes: Vec<String> = answers.iter().map(|answer| answer.node.clone()).collect();
    let silent = workers.into_iter().filter(|(id, _)| !seen.contains(id));
    let mut missing: Vec<String> = silent.map(|(_, name)| name).collect();
    nodes.sort();
    missing.sort();
    let sources = Sources { partial: !missing.is_empty(), nodes, missing };
    Some(reply(watched, sum(answers), Some(sources)))
}

/// The figures of several workers as one.
fn sum(answers: Vec<Reply>) -> Counted {
    let mut scripts: HashMap<(String, Id), (Script, Counter)> = HashMap::new();
    let mut kinds: Vec<(Kind, Counter)> = Vec::new();
    let mut forgotten = 0_u64;
    for Counted { scripts: of_node, kinds: all, forgotten: given_up } in
        answers.into_iter().map(|a| a.counted)
    {
        forgotten = forgotten.saturating_add(given_up);
        for script in of_node {
            let place = (script.project.clone(), script.id);
            let (known, counter) =
                scripts.entry(place).or_insert_with(|| (script.clone(), Counter::default()));
            counter.add(&script.figures);
            if known.version < script.version {
                *known = script;
            }
        }
        for OfKind { kind, figures } in all {
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, counter)) => counter.add(&figures),
                None => {
                    let mut counter = Counter::default();
                    counter.add(&figures);
                    kinds.push((kind, counter));
                }
            }
        }
    }
    let mut scripts: Vec<(Script, Counter)> = scripts.into_values().collect();
    scripts.sort_by_key(|(script, counter)| (std::cmp::Reverse(counter.calls), script.id));
    scripts.truncate(MOST);
    let told = scripts.into_iter().map(|(script, sum)| Script { figures: sum.figures(false), ..script });
    let kinds = kinds.into_iter().map(|(kind, sum)| OfKind { kind, figures: sum.figures(false) });
    Counted { scripts: told.collect(), kinds: kinds.collect(), forgotten }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::counters::Ended;

    use super::*;

    fn answer(node: &str, script: Id, version: u64, calls: u64) -> Reply {
        let mut counter = Counter::default();
        for _ in 0..calls {
            let took = Duration::from_millis(version);
            let error = None;
            counter.note(Ended { took, bytes_in: 1, bytes_out: 1, error, died: false, ran: true, at: 0 });
        }
        let figures = counter.figures(true);
        let script =
            Script { project: "p".into(), id: script, slug: node.into(), version, figures: figures.clone() };
        let kinds = vec![OfKind { kind: Kind::Macro, figures }];
        let counted = Counted { scripts: vec![script], kinds, forgotten: 1 };
        Reply { node: node.into(), id: Id::generate(), counted, sources: None }
    }

    #[test]
    fn what_several_workers_counted_of_a_script_is_added_up_under_its_newest_name() {
        let (one, other) = (Id::generate(), Id::generate());
        let sum = sum(vec![answer("old", one, 1, 3), answer("new", one, 9, 4), answer("b", other, 1, 1)]);
        let told: Vec<_> = sum
            .scripts
            .iter()
            .map(|script| (script.id, script.slug.as_str(), script.version, script.figures.calls))
            .collect();
        assert_eq!(told, [(one, "new", 9, 7), (other, "b", 1, 1)]);
        assert!(sum.scripts[0].figures.times.is_empty());
        assert!((8.0..10.0).contains(&sum.scripts[0].figures.p95_ms.unwrap()));
        assert_eq!((sum.kinds.len(), sum.kinds[0].figures.calls, sum.forgotten), (1, 8, 3));
    }
}
