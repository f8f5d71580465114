//! A thousand scripts on a node that keeps 64 cells warm, beside a node with one script: is every answer the right one, what
//! does a call of a warm script cost here and there, what one that has no cell, and how much memory is there after all.

use harness::figures::Figures;
use harness::node::{Node, Options};
use harness::{processes, script};
use serde_json::json;

use crate::client::{Client, Request};
use crate::memory;
use crate::plan::Plan;
use crate::report::{Report, Unit};

/// Scripts of the large node.
const SCRIPTS: usize = 1_000;
/// Its cells that are kept.
const WARM: usize = 64;
/// Scripts that are called again and again: fewer than stay warm.
const HITS: usize = 32;
/// Calls of warm scripts in a round.
const CALLS: usize = 2_000;

/// Measures all of it.
pub(crate) async fn measure(plan: &Plan, url: &str, report: &mut Report) {
    let mut options =
        Options::new().setting("NODE__PREFIX", "many").setting("WORKER__WARM", &WARM.to_string());
    for number in 0..SCRIPTS {
        options = options.script(&format!("s{number:04}.py"), file(number));
    }
    let many = Node::start(url, &options);
    let one = Options::new().setting("NODE__PREFIX", "one").script("s0000.py", file(0));
    let one = Node::start(url, &one);
    let client = Client::connect(url).await;
    let all: Vec<Request> = (0..SCRIPTS).map(|number| request("many", number)).collect();
    let only = [request("one", 0)];
    client.in_turn(&only, CALLS / 4, |_, _| {}).await;
    // Each script's very first call also asks for its text.
    each_answers(&client, &all, "first call of a script", report).await;
    for round in 1..=plan.rounds {
        eprintln!("thousand: round {round} of {}", plan.rounds);
        // 64 of a thousand in turn: none has a cell when its turn comes.
        each_answers(&client, &all, "script that has no cell", report).await;
        let hits = &all[..HITS];
        client.in_turn(hits, HITS * 2, |_, _| {}).await;
        let alone = client.in_turn(&only, plan.some(CALLS), |_, _| {}).await;
        alone.into_report(report, "warm script, the only one", &[50, 95]);
        let again = client.in_turn(&all[..1], plan.some(CALLS), |_, _| {}).await;
        again.into_report(report, "warm script among a thousand", &[50, 95]);
        let in_turn = client.in_turn(hits, plan.some(CALLS), |_, _| {}).await;
        in_turn.into_report(report, "32 warm scripts in turn", &[50, 95]);
        report.add(
            "a thousand scripts / node",
            Unit::Memory,
            Figures::of(many.pid()).resident as f64 * 1024.0,
        );
        report.add("a thousand scripts / all private", Unit::Memory, private(&many));
        let cells = many.cells().len();
        assert!(cells <= WARM + 2, "{cells} cells");
    }
    for column in ["p50", "p95"] {
        let name = |row: &str| format!("{row} / {column}");
        report.against(&name("warm script among a thousand"), &name("warm script, the only one"));
        report.against(&name("32 warm scripts in turn"), &name("warm script, the only one"));
    }
    report.print("a thousand scripts on a node with 64 warm cells; every answer was the right one");
    for node in [many, one] {
        assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
    }
}

fn file(number: usize) -> String {
    let body = format!("def render(context):\n    return {{'html': 'This is number {number}.'}}\n");
    script::render(&format!("s{number:04}"), &body)
}

fn request(prefix: &str, number: usize) -> Request {
    let payload = json!({"script": format!("s{number:04}"), "context": script::context(&json!({}))});
    Request::json(&format!("{prefix}.macro.render"), &payload)
}

/// Calls every script once; each must answer with its own name.
async fn each_answers(client: &Client, all: &[Request], row: &str, report: &mut Report) {
    let look = |number: usize, reply: &async_nats::Message| {
        let expected = format!("This is number {number}.");
        let found = reply.payload.windows(expected.len()).any(|part| part == expected.as_bytes());
        assert!(found, "script {number}: {:?}", reply.payload);
    };
    client.in_turn(all, all.len(), look).await.into_report(report, row, &[50, 99]);
}

/// Private memory of a node and all that it has started.
fn private(node: &Node) -> f64 {
    let family = processes::below(node.pid());
    let pids = family.iter().map(|process| process.pid).chain([node.pid()]);
    pids.map(|pid| memory::of(pid).private).sum()
}
