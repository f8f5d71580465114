//! Cells and zygotes killed at random while calls go on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::client::{Answer, Client};
use harness::node::Options;
use harness::processes::Process;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::json;

use crate::{alone, form};

/// How long faults go on.
const RUN: Duration = Duration::from_secs(form(8, 120));
/// Between two faults.
const EVERY: Duration = Duration::from_millis(form(50, 100));
/// More than are kept warm, so that cells come and go as well.
const SCRIPTS: usize = 256;
/// Callers that each have one call at a time.
const CALLERS: usize = 8;

const WORK: &str = "
import time

def render(context):
    end = time.monotonic() + 0.004
    while time.monotonic() < end:
        pass
    return {'html': str(context['params']['n'])}
";

async fn call(client: &Client, n: usize) -> Answer {
    let slug = format!("work_{}", n % SCRIPTS);
    let payload = json!({"script": slug, "context": script::context(&json!({"n": n}))});
    // Far more time than it needs on any machine: a call that is forgotten shows as one that ran out of it.
    client.call_whole("macro.render", &payload, &json!({"timeoutMs": 30_000})).await
}

/// Calls one script after the other until `end` and counts the replies by code. Each call must get exactly its own reply.
async fn caller(client: &Client, first: usize, end: Instant) -> BTreeMap<String, u64> {
    let mut codes = BTreeMap::new();
    let mut n = first;
    while Instant::now() < end {
        n += CALLERS;
        let answer = call(client, n).await;
        if answer.is_ok() {
            assert_eq!(answer.data()["html"], n.to_string(), "the reply to another call");
        }
        *codes.entry(answer.code().to_owned()).or_default() += 1;
    }
    codes
}

/// So many cells are killed for one zygote.
const CELLS_A_ZYGOTE: u64 = form(40, 150);

/// Kills a cell at each tick until `end`, another one each time; now and then the zygote. Gives both counts.
async fn faults(stage: &Stage, end: Instant) -> (u64, u64) {
    let (mut cells, mut zygotes) = (0, 0);
    let mut tick = tokio::time::interval(EVERY);
    while Instant::now() < end {
        tick.tick().await;
        let family = stage.node.cells();
        let choice = usize::try_from(cells).unwrap_or_default();
        let Some(victim) = family.get(choice % family.len().max(1)) else { continue };
        if cells % CELLS_A_ZYGOTE == CELLS_A_ZYGOTE - 1 {
            let zygote = stage.node.family().into_iter().find(|process| !family.contains(process));
            zygote.iter().for_each(Process::kill);
            zygotes += 1;
        } else if victim.runs() {
            victim.kill();
        }
        cells += 1;
    }
    (cells, zygotes)
}

#[tokio::test]
async fn every_call_gets_its_own_reply_while_cells_and_zygotes_are_killed() {
    let _alone = alone().await;
    let options = (0..SCRIPTS)
        .map(|n| format!("work_{n}"))
        .fold(Options::new().setting("WORKER__CIRCUIT_DEATHS", "0"), |options, slug| {
            options.script(&format!("{slug}.py"), script::render(&slug, WORK))
        });
    let stage = Stage::with(options).await;
    let end = Instant::now() + RUN;
    let callers = join_all((0..CALLERS).map(|first| caller(&stage.client, first, end)));
    let (codes, (cells, zygotes)) = tokio::join!(callers, faults(&stage, end));
    let mut sum = BTreeMap::<String, u64>::new();
    for (code, count) in codes.into_iter().flatten() {
        *sum.entry(code).or_default() += count;
    }
    println!("{cells} cells and {zygotes} zygotes killed; replies by code: {sum:?}");
    assert!(cells > form(40, 500) && zygotes >= form(1, 3), "too few faults to tell");
    assert!(sum.get("PY_PROCESS_DOWN") > Some(&0), "no fault met a call");
    assert!(sum.get("OK") > Some(&form(20, 500)), "hardly a call got through");
    let known = ["OK", "PY_PROCESS_DOWN"];
    assert!(sum.keys().all(|code| known.contains(&code.as_str())), "{sum:?}");

    for n in 0..SCRIPTS {
        wait::eventually("every script to run again", Duration::from_secs(30), || async {
            call(&stage.client, n).await.is_ok().then_some(())
        })
        .await;
    }
    stage.close();
}
