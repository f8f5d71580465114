//! Answers that a cell keeps back while another call stands in its pipe: they reach their callers although that call does
//! not end, or ends the cell.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::json;

/// Longest time that an answer may take behind which a call does not end, and well below that call's deadline.
const SOON: Duration = Duration::from_millis(500);
/// When that one ends, in ms; what stands behind it has more time.
const DEADLINE: u64 = 1_000;

const CASES: &str = "
import os

def main(case):
    if case == 'loop':
        while True:
            pass
    if case == 'leave':
        os._exit(3)
    if case == 'raise':
        raise ValueError('on purpose')
    return case
";

/// One place, so that all calls stand in one pipe.
async fn stage() -> Stage {
    let options = Options::new().setting("WORKER__PLACES", "1").setting("WORKER__CIRCUIT_DEATHS", "0");
    Stage::with(options.script("cases.py", script::main("cases", CASES))).await
}

/// The codes of calls that are made at once, and how long each took.
async fn at_once(stage: &Stage, cases: &[&str]) -> Vec<(String, Duration)> {
    let calls = cases.iter().map(|case| async move {
        let payload = json!({"script": "cases", "input": case});
        let begin = Instant::now();
        let timeout = if *case == "loop" { DEADLINE } else { 20 * DEADLINE };
        let answer = stage.client.call_whole("utility.run", &payload, &json!({"timeoutMs": timeout})).await;
        if answer.is_ok() {
            assert_eq!(answer.data()["result"], *case, "the answer of another call");
        }
        (answer.code().to_owned(), begin.elapsed())
    });
    join_all(calls).await
}

/// Makes the cell known for short calls: only then several stand in its pipe.
async fn warm(stage: &Stage) {
    for _ in 0..3 {
        assert_eq!(at_once(stage, &["warm"]).await[0].0, "OK");
    }
}

#[tokio::test]
async fn an_answer_behind_which_a_call_never_ends_comes_at_once() {
    let stage = stage().await;
    for _ in 0..3 {
        warm(&stage).await;
        let ended = at_once(&stage, &["raise", "a", "b", "loop", "c", "d"]).await;
        let codes: Vec<_> = ended.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, ["PY_ACTION_FAILED", "OK", "OK", "PY_TIMEOUT", "OK", "OK"]);
        for (code, took) in &ended[..3] {
            assert!(*took < SOON, "{code} after {took:?}");
        }
    }
    stage.close();
}

#[tokio::test]
async fn an_answer_behind_which_a_call_ends_the_cell_is_not_lost() {
    let stage = stage().await;
    for _ in 0..10 {
        warm(&stage).await;
        let ended = at_once(&stage, &["raise", "a", "leave", "c", "d"]).await;
        let codes: Vec<_> = ended.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, ["PY_ACTION_FAILED", "OK", "PY_PROCESS_DOWN", "OK", "OK"]);
    }
    stage.close();
}

#[tokio::test]
async fn a_cell_that_goes_on_after_all_sends_what_was_found_on_its_page_to_nobody() {
    let stage = stage().await;
    let slow = "
import time

def main(case):
    if case == 'slow':
        time.sleep(0.3)
    return case
";
    stage.node.write_script("cases.py", &script::main("cases", slow));
    harness::wait::eventually("the new version", Duration::from_secs(10), || async {
        let ended = at_once(&stage, &["slow"]).await;
        (ended[0].1 > Duration::from_millis(250)).then_some(())
    })
    .await;
    for _ in 0..40 {
        at_once(&stage, &["warm"]).await;
    }
    let pids = || -> Vec<u32> { stage.node.cells().iter().map(|cell| cell.pid).collect() };
    let before = pids();
    for _ in 0..3 {
        let ended = at_once(&stage, &["a", "slow", "c", "d"]).await;
        assert!(ended.iter().all(|(code, _)| code == "OK"), "{ended:?}");
        assert!(ended[0].1 < SOON / 2, "{ended:?}");
        for _ in 0..40 {
            assert_eq!(at_once(&stage, &["warm"]).await[0].0, "OK");
        }
    }
    assert!(pids().iter().all(|pid| before.contains(pid)), "the cell was taken for a hostile one");
    stage.close();
}
