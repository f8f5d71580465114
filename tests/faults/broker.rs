//! A broker that dies, that hangs, or whose connection is cut, under a steady load.

use std::time::{Duration, Instant};

use harness::broker::Broker;
use harness::client::Client;
use harness::figures::Figures;
use harness::node::{Node, Options};
use harness::proxy::Proxy;
use harness::script;
use harness::wait;
use serde_json::json;

use crate::load::{GRACE, Ledger, Outcome, RATE, SCRIPT};
use crate::{alone, form};

/// What each request is given.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long the broker is away, or hangs.
const AWAY: Duration = Duration::from_secs(form(3, 10));
/// Memory that a node may have more at the end, in KiB: queues that were full once keep their room.
const GROWTH: u64 = 24 * 1_024;
/// How late an outcome may be noted, besides what the harness itself was late.
const NOISE: Duration = Duration::from_millis(150);

/// What a node may answer: besides a success, that time is over, that it has too much to do when all that waited comes
/// at once, that a script could not be fetched without a broker, or that a cell was killed at another call's deadline.
const REPLIES: [&str; 6] =
    ["OK", "PY_TIMEOUT queued", "PY_TIMEOUT running", "OVERLOADED", "UNAVAILABLE", "PY_PROCESS_DOWN"];

/// A node under load, directly on a broker or behind a proxy.
struct Trial {
    broker: Broker,
    node: Node,
    proxy: Option<Proxy>,
    ledger: Ledger,
    before: Figures,
}

/// How a trial ended.
struct Verdict {
    ledger: Ledger,
    stderr: String,
}

impl Trial {
    async fn begin(proxied: bool) -> Self {
        let broker = Broker::start();
        let proxy = proxied.then(|| Proxy::before(broker.port()));
        let url = proxy.as_ref().map_or_else(|| broker.url(), Proxy::url);
        // One cell, which records every run.
        let options = Options::new()
            .script("record.py", script::main("record", SCRIPT))
            .setting("WORKER__PLACES", "1")
            .setting("WORKER__CALLS_PER_CELL", "1000000");
        let node = Node::start(&url, &options);
        let client = Client::connect(&broker.url()).await;
        let ledger = Ledger::default();
        // What a node fetches and fills at its first calls is no growth.
        ledger.keep(&broker.url(), TIMEOUT, a_while(1.0)).await;
        assert!(client.call("script.list", &json!({})).await.is_ok());
        let before = Figures::of(node.pid());
        Self { broker, node, proxy, ledger, before }
    }

    /// Resolves once the last second of requests went well.
    async fn recovered(&self, what: &str) {
        let (since, before) = (Instant::now(), self.ledger.len());
        wait::eventually("a second of good replies", Duration::from_secs(30), || async {
            (self.ledger.good_at_the_end(before) >= RATE as usize).then_some(())
        })
        .await;
        println!("{what}: a second of good replies {:?} after the fault's end", since.elapsed());
    }

    /// Holds the ledger against what must be true whatever the broker does.
    async fn end(self, what: &str, faults: usize) -> Verdict {
        let Self { broker, node, proxy, ledger, before } = self;
        let outcomes = ledger.outcomes();
        println!(
            "{what}: {faults} faults injected; outcomes {outcomes:?}; replies that came later {:?}",
            ledger.after()
        );
        let (latest, lag) = (ledger.latest(), ledger.lag());
        println!(
            "{what}: the latest outcome {latest:?} after its deadline, the harness {lag:?} behind at worst"
        );
        assert!(latest < GRACE + lag + NOISE, "an outcome {latest:?} after its deadline");
        assert_eq!(ledger.twice(), [0; 0], "two replies to one request");
        let known = |outcome: &&Outcome| match outcome {
            Outcome::Reply(code) => REPLIES.contains(&code.as_str()),
            Outcome::Nobody | Outcome::NoAnswer => true,
        };
        assert!(outcomes.keys().all(|outcome| known(&outcome)), "{outcomes:?}");
        let good = outcomes.get(&Outcome::Reply("OK".to_owned())).copied().unwrap_or_default();

        let client = Client::connect(&broker.url()).await;
        let runs = ledger.runs(&client).await;
        println!(
            "{what}: {} runs, {} of them after their deadline, {} twice",
            runs.all,
            runs.late.len(),
            runs.twice.len()
        );
        assert_eq!((runs.late.len(), runs.twice.len()), (0, 0), "{runs:?}");
        // A cell may be replaced in a crowd: a call that it answers some milliseconds late counts as one that hangs.
        let status = client.call("supervisor.status", &json!({})).await;
        let replaced = status.data()["pool"]["killed"].as_u64().expect("a count");
        println!("{what}: {replaced} cells replaced");
        assert!(runs.all as u64 >= good || replaced > 0, "the script did not record every run");
        assert!(ledger.finds_a_late_run(&client).await, "the check finds nothing");

        let after = wait::eventually("no more descriptors than before", Duration::from_secs(10), || async {
            let after = Figures::of(node.pid());
            (after.descriptors <= before.descriptors && after.family <= before.family).then_some(after)
        })
        .await;
        println!("{what}: before {before}; after {after}");
        assert!(after.resident < before.resident + GROWTH, "memory grew from {before} to {after}");
        let stopped = node.stop();
        assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
        assert!(stopped.left.is_empty(), "{:?}", stopped.left);
        drop((proxy, broker));
        Verdict { ledger, stderr: stopped.stderr }
    }
}

fn count(ledger: &Ledger, wanted: &Outcome) -> u64 {
    ledger.outcomes().get(wanted).copied().unwrap_or_default()
}

async fn a_while(seconds: f64) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    wait::eventually("time to pass", Duration::from_secs(60), || async {
        (Instant::now() > end).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back_costs_only_the_requests_of_that_time() {
    let _alone = alone().await;
    let mut trial = Trial::begin(false).await;
    let url = trial.broker.url();
    let ledger = trial.ledger.clone();
    let faults = form(2, 8);
    ledger
        .keep(&url, TIMEOUT, async {
            trial.recovered("killed, before").await;
            for _ in 0..faults {
                trial.broker.kill();
                a_while(1.5).await;
                trial.broker.start_again();
                trial.recovered("killed").await;
            }
        })
        .await;
    let verdict = trial.end("killed", faults).await;
    assert_eq!(verdict.stderr.matches("the connection to the broker is lost").count(), faults);
    assert!(count(&verdict.ledger, &Outcome::NoAnswer) > 0, "no request met the fault");
}

#[tokio::test]
async fn a_broker_that_hangs_makes_nothing_start_after_its_deadline() {
    let _alone = alone().await;
    let trial = Trial::begin(false).await;
    let url = trial.broker.url();
    let ledger = trial.ledger.clone();
    let faults = form(1, 3);
    ledger
        .keep(&url, TIMEOUT, async {
            trial.recovered("halted, before").await;
            for _ in 0..faults {
                trial.broker.process().halt();
                a_while(AWAY.as_secs_f64()).await;
                trial.broker.process().resume();
                trial.recovered("halted").await;
            }
        })
        .await;
    let verdict = trial.end("halted", faults).await;
    let expected = u64::from(RATE) * (AWAY - TIMEOUT).as_secs() * faults as u64 / 2;
    assert!(count(&verdict.ledger, &Outcome::NoAnswer) > expected, "no request met the fault");
    if AWAY < Duration::from_secs(5) {
        // The node noticed nothing; what piled up at the broker came late, was answered so, and did not run.
        let queued = verdict.ledger.after().get("PY_TIMEOUT queued").copied().unwrap_or_default();
        assert!(queued > expected, "{:?}", verdict.ledger.after());
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_or_held_is_made_anew() {
    let _alone = alone().await;
    let trial = Trial::begin(true).await;
    let url = trial.broker.url();
    let ledger = trial.ledger.clone();
    let faults = form(3, 12);
    let proxy = trial.proxy.as_ref().expect("a proxy");
    ledger
        .keep(&url, TIMEOUT, async {
            trial.recovered("cut, before").await;
            for _ in 0..faults {
                assert_eq!(proxy.cut(), 1, "the node's connection does not go through the proxy");
                trial.recovered("cut").await;
            }
            // Half open: both ends believe in it until the node's pings stay unanswered.
            proxy.hold();
            let made = proxy.connections();
            wait::eventually("the node to try anew", Duration::from_secs(20), || async {
                (proxy.connections() > made).then_some(())
            })
            .await;
            proxy.release();
            trial.recovered("held").await;
        })
        .await;
    let verdict = trial.end("cut", faults + 1).await;
    assert!(verdict.stderr.matches("the connection to the broker is lost").count() > faults);
    let met = count(&verdict.ledger, &Outcome::NoAnswer) + count(&verdict.ledger, &Outcome::Nobody);
    assert!(met > 0, "no request met a fault");
}
