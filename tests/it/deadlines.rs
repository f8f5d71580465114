//! Time, and the ends of processes: what a caller learns, how soon, and what is left behind.

mod cancels;
pub(crate) mod deaths;
mod explained;

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::future::join_all;
use harness::client::{Answer, Client};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// How late a caller may hear of a deadline.
const GRACE: Duration = Duration::from_millis(100);

/// Does what its parameter says; what never ends, never ends in a way of its own.
pub(crate) const CASES: &str = "
import re, time

calls = 0

def render(context):
    global calls
    calls += 1
    case = context['params'].get('case', '')
    if case == 'loop':
        while True:
            pass
    if case == 'sleep':
        time.sleep(3600)
    if case == 'expression':
        re.match('(a+)+$', 'a' * 64 + 'b')
    if case == 'number':
        str(10 ** 10 ** 10)
    if case == 'stubborn':
        while True:
            try:
                while True:
                    time.sleep(0.01)
            except BaseException:
                continue
    if case in ('while', 'short'):
        end = time.monotonic() + (context['params']['seconds'] if case == 'while' else 0.002)
        while time.monotonic() < end:
            pass
    return {'html': str(calls)}
";

pub(crate) fn options() -> Options {
    Options::new()
        .script("cases.py", script::render("cases", CASES))
        .script("others.py", script::render("others", CASES))
}

pub(crate) fn request(slug: &str, case: &str) -> Value {
    json!({"script": slug, "context": script::context(&json!({"case": case, "seconds": 20}))})
}

/// A call of `slug` with `timeout` ms.
pub(crate) async fn call(client: &Client, slug: &str, case: &str, timeout: u64) -> Answer {
    client.call_whole("macro.render", &request(slug, case), &json!({"timeoutMs": timeout})).await
}

/// 200 calls a second until `work` is done: how many, and the slowest. Each must succeed.
async fn under_load<T>(client: &Client, work: impl Future<Output = T>) -> (T, usize, Duration) {
    let payload = json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))});
    let mut calls = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = tick.tick() => {
                let (client, payload) = (client.clone(), payload.clone());
                calls.push(tokio::spawn(async move { client.call("macro.render", &payload).await }));
            }
        }
    };
    let mut slowest = Duration::ZERO;
    for answer in join_all(&mut calls).await {
        let answer = answer.expect("a call");
        assert!(answer.is_ok(), "{}", answer.body);
        slowest = slowest.max(answer.took);
    }
    (done, calls.len(), slowest)
}

#[tokio::test]
async fn a_call_that_never_ends_is_answered_at_its_deadline_and_disturbs_nobody() {
    let stage = Stage::with(options()).await;
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    let work = call(&stage.client, "cases", "loop", 1_000);
    let (answer, others, slowest) = under_load(&stage.client, work).await;
    assert_eq!(answer.code(), "PY_TIMEOUT");
    let details = answer.details();
    assert_eq!((&details["timeoutMs"], &details["stage"]), (&json!(1_000), &json!("running")), "{details}");
    assert!(answer.took >= Duration::from_millis(990), "too early: {:?}", answer.took);
    assert!(answer.took <= Duration::from_secs(1) + GRACE, "too late: {:?}", answer.took);
    let death = &details["death"];
    assert!((900.0..1_100.0).contains(&death["phases"]["run"].as_f64().unwrap_or_default()), "{details}");
    assert!(!death["advice"].as_str().unwrap_or_default().is_empty(), "{details}");
    println!("{others} calls beside it, the slowest {slowest:?}");
    assert!(others >= 150, "only {others} calls in a second");
    assert!(slowest < Duration::from_millis(500), "a call beside it took {slowest:?}");
    stage.close();
}

#[tokio::test]
async fn every_way_not_to_end_ends_at_the_deadline_and_the_next_call_is_answered() {
    let stage = Stage::with(options()).await;
    for case in ["loop", "sleep", "expression", "stubborn"] {
        // The number of deaths in a minute is limited for a script's version, so that each case gets its own.
        let slug = format!("own_{case}");
        stage.node.write_script(&format!("{slug}.py"), &script::render(&slug, CASES));
        harness::wait::eventually("the script to be known", Duration::from_secs(10), || async {
            call(&stage.client, &slug, "", 5_000).await.is_ok().then_some(())
        })
        .await;
        let answer = call(&stage.client, &slug, case, 400).await;
        assert_eq!(answer.code(), "PY_TIMEOUT", "{case}: {}", answer.body);
        assert!(answer.took <= Duration::from_millis(400) + GRACE, "{case} took {:?}", answer.took);
        let next = call(&stage.client, &slug, "", 5_000).await;
        assert_eq!(next.data()["html"], "1", "{case}: not a fresh cell");
        assert!(next.took < Duration::from_millis(250), "the call after {case} took {:?}", next.took);
    }
    stage.close();
}

#[tokio::test]
async fn a_cell_that_is_killed_for_its_deadline_is_replaced_before_anyone_calls_again() {
    let stage = Stage::with(options()).await;
    assert_eq!(call(&stage.client, "cases", "loop", 400).await.code(), "PY_TIMEOUT");
    harness::wait::eventually("a warm cell", Duration::from_secs(10), || async {
        let status = stage.client.call("supervisor.status", &json!({})).await;
        let cells = status.data()["pool"]["cells"].as_array()?.clone();
        let found = cells.iter().filter(|cell| cell["script"] == "cases").collect::<Vec<_>>();
        (found.len() == 1 && found[0]["busy"] == false).then_some(())
    })
    .await;
    assert_eq!(call(&stage.client, "cases", "", 5_000).await.data()["html"], "1");
    stage.close();
}

#[tokio::test]
async fn a_number_that_is_too_large_ends_at_the_deadline_or_for_want_of_memory() {
    let stage = Stage::with(options()).await;
    let answer = call(&stage.client, "cases", "number", 400).await;
    assert!(["PY_TIMEOUT", "PY_ACTION_FAILED"].contains(&answer.code()), "{}", answer.body);
    assert!(answer.took <= Duration::from_millis(400) + GRACE, "took {:?}", answer.took);
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn calls_behind_one_that_never_ends_are_answered_elsewhere() {
    let stage = Stage::with(options()).await;
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    let endless = call(&stage.client, "cases", "loop", 2_000);
    let behind = async {
        deaths::busy_cell(&stage.client, "cases").await;
        join_all((0..20).map(|_| call(&stage.client, "cases", "", 5_000))).await
    };
    let (endless, behind) = tokio::join!(endless, behind);
    assert_eq!(endless.code(), "PY_TIMEOUT");
    for answer in behind {
        assert!(answer.is_ok(), "{}", answer.body);
        assert!(answer.took < Duration::from_millis(1_000), "waited for the endless one: {:?}", answer.took);
    }
    stage.close();
}

#[tokio::test]
async fn a_request_that_is_late_already_is_not_run() {
    let stage = Stage::with(options()).await;
    assert_eq!(call(&stage.client, "cases", "", 5_000).await.data()["html"], "1");

    let now = jiff::Timestamp::now();
    let mut headers = HeaderMap::new();
    headers.insert("Callboard-Deadline", (now.as_millisecond() - 700).to_string());
    let by_header = stage.client.send("macro.render", headers, request("cases", "").to_string()).await;
    let sent = now - jiff::SignedDuration::from_secs(10);
    let more = json!({"timestamp": sent.to_string(), "timeoutMs": 4_000});
    let by_timestamp = stage.client.call_whole("macro.render", &request("cases", ""), &more).await;
    for (answer, late) in [(by_header, 700), (by_timestamp, 6_000)] {
        assert_eq!(
            (answer.code(), &answer.details()["stage"]),
            ("PY_TIMEOUT", &json!("queued")),
            "{}",
            answer.body
        );
        let said = answer.details()["lateMs"].as_u64().unwrap_or_default();
        assert!((late..late + 1_000).contains(&said), "{}", answer.body);
    }
    assert_eq!(call(&stage.client, "cases", "", 5_000).await.data()["html"], "2", "a late request was run");
    stage.close();
}

#[tokio::test]
async fn a_callers_fast_clock_gives_it_no_more_time() {
    let stage = Stage::with(options()).await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let more = json!({"timestamp": soon.to_string(), "timeoutMs": 300});
    let answer = stage.client.call_whole("macro.render", &request("cases", "loop"), &more).await;
    assert_eq!(answer.code(), "PY_TIMEOUT");
    assert!(answer.took <= Duration::from_millis(300) + GRACE, "took {:?}", answer.took);
    stage.close();
}

#[tokio::test]
async fn a_clock_that_is_wrong_can_be_told_to_be_ignored() {
    let stage = Stage::with(options().setting("NODE__TRUST_TIMESTAMPS", "false")).await;
    let more = json!({"timestamp": "2001-01-01T00:00:00Z", "timeoutMs": 4_000});
    let answer = stage.client.call_whole("macro.render", &request("cases", ""), &more).await;
    assert!(answer.is_ok(), "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn a_call_that_gets_no_place_in_time_ends_in_the_queue() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1")).await;
    let endless = call(&stage.client, "cases", "loop", 1_500);
    let behind = async {
        deaths::busy_cell(&stage.client, "cases").await;
        let waiting = call(&stage.client, "others", "", 500);
        let patient = call(&stage.client, "others", "", 10_000);
        tokio::join!(waiting, patient)
    };
    let (endless, (waiting, patient)) = tokio::join!(endless, behind);
    assert_eq!(endless.details()["stage"], "running", "{}", endless.body);
    assert_eq!(
        (waiting.code(), &waiting.details()["stage"]),
        ("PY_TIMEOUT", &json!("queued")),
        "{}",
        waiting.body
    );
    assert!(waiting.took <= Duration::from_millis(500) + GRACE, "took {:?}", waiting.took);
    assert!(patient.is_ok(), "{}", patient.body);
    stage.close();
}

#[tokio::test]
async fn a_node_that_is_full_says_so_at_once() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1").setting("WORKER__QUEUE", "2")).await;
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    let begin = Instant::now();
    let answers = join_all((0..40).map(|_| call(&stage.client, "cases", "loop", 1_000))).await;
    let full: Vec<&Answer> = answers.iter().filter(|answer| answer.code() == "OVERLOADED").collect();
    assert!(!full.is_empty() && full.len() < 40, "{} of 40 were turned away", full.len());
    for answer in full {
        assert!(answer.details()["retryAfterMs"].as_u64() > Some(0), "{}", answer.body);
        assert_eq!(answer.header("Nats-Service-Error-Code"), Some("503"));
        assert!(answer.took < Duration::from_millis(500), "took {:?}", answer.took);
    }
    assert!(
        answers.iter().all(|answer| ["OVERLOADED", "PY_TIMEOUT", "PY_PROCESS_DOWN"].contains(&answer.code()))
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
    stage.close();
}

#[tokio::test]
async fn who_is_turned_away_is_told_when_the_queue_will_have_gone() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1").setting("WORKER__QUEUE", "4")).await;
    let context = script::context(&json!({"case": "while", "seconds": 0.3}));
    let payload = json!({"script": "cases", "context": context});
    let first = stage.client.call("macro.render", &payload).await;
    assert!(first.is_ok(), "{}", first.body);
    let answers = join_all((0..12).map(|_| stage.client.call("macro.render", &payload))).await;
    let full = answers.iter().filter(|answer| answer.code() == "OVERLOADED");
    let told: Vec<u64> = full.filter_map(|answer| answer.details()["retryAfterMs"].as_u64()).collect();
    // Each call takes its 0.3 s, or more on a busy machine.
    assert!(!told.is_empty() && told.iter().all(|ms| (850..=10_000).contains(ms)), "{told:?}");
    stage.close();
}

#[tokio::test]
async fn a_project_that_fills_the_queue_gives_way_to_another_up_to_its_quarter() {
    let stage = Stage::with(
        options()
            .setting("WORKER__PLACES", "1")
            .setting("WORKER__QUEUE", "8")
            .script("b/cases.py", script::render("cases", CASES)),
    )
    .await;
    let context = script::context(&json!({"case": "while", "seconds": 0.1}));
    let payload = json!({"script": "cases", "context": context});
    let call = async |project: &str| {
        let more = json!({"project": project, "timeoutMs": 20_000});
        stage.client.call_whole("macro.render", &payload, &more).await
    };
    assert!(call("default").await.is_ok() && call("b").await.is_ok());
    // The first project's calls are all there before the second's.
    let flood = join_all((0..20).map(|_| call("default")));
    let guests = async {
        wait::eventually("a full queue", Duration::from_secs(10), || async {
            let status = stage.client.call("supervisor.status", &json!({})).await;
            (status.data()["pool"]["queued"].as_u64() == Some(8)).then_some(())
        })
        .await;
        join_all((0..6).map(|_| call("b"))).await
    };
    let (flood, guests) = tokio::join!(flood, guests);
    let served = |answers: &[Answer]| answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(served(&guests) >= 2, "the quarter of the second project: {}", served(&guests));
    assert!(served(&flood) >= 6, "the rest is the first one's: {}", served(&flood));
    let refused = flood.iter().chain(&guests).filter(|answer| !answer.is_ok());
    assert!(refused.clone().all(|answer| answer.code() == "OVERLOADED"));
    stage.close();
}
