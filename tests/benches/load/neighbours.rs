//! What a project notices of another one's script that dies twenty times a second, with the circuit breaker off.

use std::time::Duration;

use harness::node::{Node, Options};
use harness::script;
use serde_json::json;
use tokio::sync::oneshot;

use crate::client::{Client, Request};
use crate::fixtures;
use crate::plan::Plan;
use crate::report::Report;

const DIES: &str = "import os\n\ndef render(context):\n    os._exit(1)\n";
/// Between two deaths.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two requests of the neighbours.
const BETWEEN: Duration = Duration::from_millis(2);
/// Requests of the neighbours in a round.
const REQUESTS: usize = 1_500;
/// Scripts of the neighbours.
const SCRIPTS: usize = 4;

/// Measures the neighbours' times, with deaths and without, in turns.
pub(crate) async fn measure(plan: &Plan, url: &str, report: &mut Report) {
    let mut options = Options::new()
        .setting("WORKER__CIRCUIT_DEATHS", "0")
        .script("a/dies.py", script::render("dies", DIES));
    for number in 0..SCRIPTS {
        let slug = format!("neighbour_{number}");
        options = options.script(&format!("b/{slug}.py"), script::render(&slug, fixtures::SIMPLE));
    }
    let node = Node::start(url, &options);
    let client = Client::connect(url).await;
    let requests = requests();
    client.paced(&requests, BETWEEN, 200).await;
    for round in 1..=plan.rounds {
        eprintln!("neighbours: round {round} of {}", plan.rounds);
        let calm = client.paced(&requests, BETWEEN, plan.some(REQUESTS)).await;
        calm.into_report(report, "neighbours, nobody dies", &[50, 95, 99]);
        let (stop, stopped) = oneshot::channel();
        let deaths = tokio::task::spawn_local(die(url.to_owned(), stopped));
        let troubled = client.paced(&requests, BETWEEN, plan.some(REQUESTS)).await;
        stop.send(()).expect("somebody who dies");
        let deaths = deaths.await.expect("the deaths");
        let expected = BETWEEN.as_millis() as usize * plan.some(REQUESTS) / PAUSE.as_millis() as usize;
        assert!(deaths * 10 >= expected * 8, "{deaths} deaths of {expected}");
        troubled.into_report(report, "neighbours of 20 deaths a second", &[50, 95, 99]);
    }
    for column in ["p50", "p95", "p99"] {
        let name = |row: &str| format!("{row} / {column}");
        report.against(&name("neighbours of 20 deaths a second"), &name("neighbours, nobody dies"));
    }
    report.print(
        "a project with 500 requests a second beside another one's script that dies 20 times a second",
    );
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

fn requests() -> Vec<Request> {
    let request = |number: usize| {
        let payload = fixtures::render(&format!("neighbour_{number}"), &fixtures::simple(), false);
        Request::json("macro.render", &payload).of_project("b")
    };
    (0..SCRIPTS).map(request).collect()
}

/// Lets the script of project `a` die again and again; how often it did.
async fn die(url: String, mut stopped: oneshot::Receiver<()>) -> usize {
    let client = Client::connect(&url).await;
    let payload = json!({"script": "dies", "context": fixtures::simple()});
    let request = Request::json("macro.render", &payload).of_project("a");
    let mut ticks = tokio::time::interval(PAUSE);
    let mut deaths = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => return deaths,
            _ = ticks.tick() => {
                let reply = client.ask(&request).await;
                assert_eq!(reply["error"]["code"], "PY_PROCESS_DOWN", "{reply}");
                deaths += 1;
            }
        }
    }
}
