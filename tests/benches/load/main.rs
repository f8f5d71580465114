//! `make bench`: one program that starts a broker, echo responders, a node and load, interleaves their rounds, and
//! prints medians with the ratio to the echo of the same round. A time without its echo means nothing on a busy
//! machine; a second echo, measured as if it were a system, shows the noise.
//!
//! Parts: `client` (load over NATS), `echo` (the reference), `pipe` (cells without a broker), `memory`, `figures`.

mod client;
mod echo;
mod figures;
mod memory;
mod pipe;

use std::process::ExitCode;

use figures::{Round, Table};
use harness::broker::Broker;
use harness::node::{Node, Options};
use harness::script;
use serde_json::json;

/// Interleaved rounds; medians are taken over them.
const ROUNDS: usize = 5;
/// Sequential requests in a round.
const SEQUENTIAL: usize = 3_000;
/// Requests in a round with many outstanding.
const MANY: usize = 40_000;

const TRIVIAL: &str =
    "def render(context):\n    return {\"html\": f\"<p>{context['params']['name']}</p>\"}\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    match arguments.iter().position(|argument| argument == "echo") {
        Some(at) => local.block_on(&runtime, echo::serve(&arguments[at + 1], &arguments[at + 2])),
        None => local.block_on(&runtime, measure()),
    }
    ExitCode::SUCCESS
}

async fn measure() {
    let broker = Broker::start();
    let _echoes =
        [echo::Echo::start(&broker.url(), "echo.a").await, echo::Echo::start(&broker.url(), "echo.b").await];
    // The endless loop is run more often than a script may die.
    let options = Options::new().setting("WORKER__CIRCUIT_DEATHS", "0");
    let options = options.script("trivial.py", script::render("trivial", TRIVIAL)).script(
        "loop.py",
        script::render(
            "loop",
            "def render(context):\n    while context['params']['on']: pass\n    return {'html': ''}\n",
        ),
    );
    let node = Node::start(&broker.url(), &options);
    let load = client::Client::connect(&broker.url()).await;
    let request = json!({"script": "trivial", "context": {"env": {"isPreview": false}, "params": {"name": "reader"}}, "raw": true});
    let body = request.to_string();
    let systems = [("echo", "echo.a"), ("echo again", "echo.b"), ("macro.render", "macro.render")];
    let mut table = Table::new();
    for (_, subject) in systems {
        load.sequential(subject, &body, 500).await;
        load.many(subject, &body, 5_000, 64).await;
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (name, subject) in systems {
            let sequential = load.sequential(subject, &body, SEQUENTIAL).await;
            let at_64 = load.many(subject, &body, MANY, 64).await;
            table.add(name, Round { sequential, at_64 });
        }
    }
    println!("{}", figures::machine());
    print!("{table}");
    pipe::print(TRIVIAL).await;
    client::print_kill_to_next(&load).await;
    memory::print(&node);
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}
