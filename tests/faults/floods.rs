//! More than a node can do, all at once: what is too much is turned away in time, the rest is done, and the memory comes
//! back. A part that is stuck is a slow flood.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::client;
use harness::figures::Figures;
use harness::node::Options;
use harness::processes::Process;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use harness::wire::Wire;
use serde_json::{Value, json};

use crate::{alone, form};

/// Messages that come at once.
const FLOOD: usize = 10_000;
/// Messages that come at once to a worker that does nothing.
const STUCK: usize = 3_000;
/// Floods one after the other: the first makes room that stays, the others must not need more.
const FLOODS: usize = form(3, 20);
/// Calls that the node may have in hand.
const IN_FLIGHT: usize = 512;
/// Memory that a later flood may need more than the first, in KiB.
const GROWTH: u64 = 16 * 1_024;

/// Takes its time, so that a flood comes faster than the node is done with it, however fast it is.
const WORK: &str =
    "import time\n\ndef main(input=None):\n    time.sleep(0.001)\n    return len(input or '')\n";

fn options() -> Options {
    // The pool would take all of them: it is the node that says no.
    Options::new()
        .script("work.py", script::main("work", WORK))
        .setting("NODE__IN_FLIGHT", &IN_FLIGHT.to_string())
        .setting("WORKER__QUEUE", "1000000")
}

/// Publishes `most` requests in one go. The replies by code, and the slowest that turned one away. `replies` counts them
/// as they come.
fn flood(
    port: u16,
    payload: &Value,
    most: usize,
    replies: &AtomicUsize,
) -> (BTreeMap<String, usize>, Duration) {
    let (mut sender, mut receiver) = (Wire::connect(port), Wire::connect(port));
    let inbox = format!("_INBOX.{}", uuid::Uuid::new_v4().simple());
    receiver.subscribe(&format!("{inbox}.*"));
    receiver.settle();
    let body = payload.to_string();
    let publisher = std::thread::spawn(move || {
        for n in 0..most {
            sender.publish("utility.run", &format!("{inbox}.{n}"), body.as_bytes());
        }
        sender.settle();
        Instant::now()
    });
    let (mut codes, mut last) = (BTreeMap::<String, usize>::new(), Instant::now());
    let mut seen = vec![false; most];
    for _ in 0..most {
        let message = receiver.receive();
        let n: usize = message.subject.rsplit('.').next().expect("a token").parse().expect("a number");
        assert!(!std::mem::replace(&mut seen[n], true), "two replies to request {n}");
        let text = message.header("Nats-Service-Error").unwrap_or("OK");
        let code = text.split(':').next().unwrap_or(text);
        if code == "OVERLOADED" {
            last = Instant::now();
        }
        *codes.entry(code.to_owned()).or_default() += 1;
        replies.fetch_add(1, Ordering::Relaxed);
    }
    let published = publisher.join().expect("the publisher");
    (codes, last.saturating_duration_since(published))
}

async fn flood_of(
    stage: &Stage,
    payload: &Value,
    most: usize,
    replies: &Arc<AtomicUsize>,
) -> (BTreeMap<String, usize>, Duration) {
    let (port, payload, replies) = (stage.broker.port(), payload.clone(), Arc::clone(replies));
    tokio::task::spawn_blocking(move || flood(port, &payload, most, &replies)).await.expect("a flood")
}

#[tokio::test]
async fn a_flood_is_turned_away_in_time_and_leaves_no_memory_behind() {
    let _alone = alone().await;
    let stage = Stage::with(options()).await;
    let payload = json!({"script": "work", "input": "x".repeat(1_024)});
    assert!(stage.client.call("utility.run", &payload).await.is_ok());
    let mut figures = vec![Figures::of(stage.node.pid())];
    for _ in 0..FLOODS {
        let (codes, slowest) = flood_of(&stage, &payload, FLOOD, &Arc::default()).await;
        figures.push(Figures::of(stage.node.pid()));
        println!(
            "{FLOOD} messages at once: {codes:?}; the last turned away {slowest:?} after the last message; {}",
            figures[figures.len() - 1]
        );
        let turned_away = codes.get("OVERLOADED").copied().unwrap_or_default();
        assert!(turned_away > FLOOD / 20, "the limit did not hold: {codes:?}");
        assert!(codes.get("OK") >= Some(&IN_FLIGHT), "what fits was not done: {codes:?}");
        // Turned away in time: whatever was not would have had to say that its deadline passed.
        assert_eq!(codes.len(), 2, "{codes:?}");
        assert!(stage.client.call("utility.run", &payload).await.is_ok(), "the node takes calls again");
    }
    let (first, last) = (figures[1], figures[FLOODS]);
    assert!(last.resident < first.resident + GROWTH, "memory grew from {first} to {last}");
    assert!(last.descriptors <= first.descriptors, "descriptors grew from {first} to {last}");
    stage.close();
}

#[tokio::test]
async fn a_stuck_worker_takes_no_more_than_its_limit_and_leaves_other_parts_alone() {
    let _alone = alone().await;
    // All bear one time stamp: their time is to begin with their arrival. One place: no cell is asked for in vain.
    let options = options().setting("NODE__TRUST_TIMESTAMPS", "false").setting("WORKER__PLACES", "1");
    let stage = Stage::with(options).await;
    let payload = json!({"script": "work", "input": "x".repeat(1_024)});
    assert!(stage.client.call("utility.run", &payload).await.is_ok());
    let request = client::whole("utility.run", &payload, &json!({"timeoutMs": 120_000}));
    // The zygote and the cell stop where they are.
    let stuck = stage.node.family();
    assert!(stuck.len() >= 2, "no zygote or no cell: {stuck:?}");
    stuck.iter().for_each(Process::halt);
    let before = Figures::of(stage.node.pid());
    let replies = Arc::new(AtomicUsize::new(0));
    let flood = flood_of(&stage, &request, STUCK, &replies);
    let others = async {
        let turned_away = || async { (replies.load(Ordering::Relaxed) >= STUCK - IN_FLIGHT).then_some(()) };
        wait::eventually("what is too much to be turned away", Duration::from_secs(60), turned_away).await;
        let status = stage.client.call("supervisor.status", &json!({})).await;
        let waiting = status.data()["pool"]["queued"].as_u64().expect("a count");
        let during = Figures::of(stage.node.pid());
        assert!(stage.client.call("script.list", &json!({})).await.is_ok());
        println!("stuck: {waiting} calls wait; before {before}; during {during}");
        stuck.iter().for_each(Process::resume);
        during
    };
    let ((codes, _), during) = tokio::join!(flood, others);
    println!("stuck: {STUCK} messages: {codes:?}");
    let expected = [("OK", IN_FLIGHT), ("OVERLOADED", STUCK - IN_FLIGHT)];
    assert_eq!(codes, expected.map(|(code, count)| (code.to_owned(), count)).into());
    assert!(during.resident < before.resident + GROWTH, "memory grew from {before} to {during}");
    assert!(stage.client.call("utility.run", &payload).await.is_ok(), "the node takes calls again");
    stage.close();
}
