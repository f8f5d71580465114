//! What has to be started: a node until its first answer, and a cell after one that was killed. A cell for a script that
//! has none is in `thousand`.

use std::time::{Duration, Instant};

use harness::broker::Broker;
use harness::node::{Node, Options};
use harness::script;
use serde_json::json;

use crate::client::{Client, Request};
use crate::fixtures;
use crate::latencies::Latencies;
use crate::plan::Plan;
use crate::report::Report;

/// Runs as long as it is told to.
const LOOP: &str = "def render(context):\n    while context['params']['on']: pass\n    return {'html': ''}\n";

/// Endless loops in a round.
const LOOPS: usize = 8;

/// Measures all of it.
pub(crate) async fn measure(plan: &Plan, report: &mut Report) {
    for round in 1..=plan.rounds {
        eprintln!("starts: round {round} of {}", plan.rounds);
        alone(report).await;
        beside_a_broker(report).await;
    }
    report.print("starts, with a new data folder each, and ends");
}

/// From nothing, with a broker of its own, to the first answer.
async fn alone(report: &mut Report) {
    let begun = Instant::now();
    let node = Node::with_its_own_broker(&options());
    first_answer(node.url()).await;
    report.time("node with its own broker / first answer", begun.elapsed());
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

/// From nothing, beside a broker, to the first answer; and there, what follows a kill.
async fn beside_a_broker(report: &mut Report) {
    let broker = Broker::start();
    let begun = Instant::now();
    let node = Node::start(&broker.url(), &options());
    let client = first_answer(&broker.url()).await;
    report.time("node beside a broker / first answer", begun.elapsed());
    kills(&client, report).await;
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

/// The endless loop is run more often than a script may die.
fn options() -> Options {
    Options::new()
        .setting("WORKER__CIRCUIT_DEATHS", "0")
        .script("simple.py", script::render("simple", fixtures::SIMPLE))
        .script("loop.py", script::render("loop", LOOP))
}

async fn first_answer(url: &str) -> Client {
    let client = Client::connect(url).await;
    let reply = client.ask(&fixtures::simple_request()).await;
    assert_eq!(reply["ok"], true, "the first answer after `ready`: {reply}");
    client
}

/// How long after the `PY_TIMEOUT` of an endless loop the same script answers again.
async fn kills(client: &Client, report: &mut Report) {
    let context = |on: bool| script::context(&json!({"on": on}));
    let again = Request::json("macro.render", &json!({"script": "loop", "context": context(false)}));
    let (mut next, mut late) = (Latencies::default(), Latencies::default());
    for _ in 0..LOOPS {
        let endless = json!({
            "requestId": uuid::Uuid::now_v7().to_string(), "action": "macro.render",
            "timestamp": jiff::Timestamp::now().to_string(), "timeoutMs": 50,
            "payload": {"script": "loop", "context": context(true)},
        });
        let begun = Instant::now();
        let reply = client.ask(&Request::json("macro.render", &endless)).await;
        late.add(begun.elapsed().saturating_sub(Duration::from_millis(50)));
        assert_eq!(reply["error"]["code"], "PY_TIMEOUT", "{reply}");
        let begun = Instant::now();
        let reply = client.ask(&again).await;
        next.add(begun.elapsed());
        assert_eq!(reply["ok"], true, "{reply}");
    }
    late.into_report(report, "PY_TIMEOUT after the deadline", &[50, 95]);
    next.into_report(report, "next answer after a kill", &[50, 95]);
}
