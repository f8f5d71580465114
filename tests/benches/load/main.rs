//! `make bench`: one program that starts a broker, echo responders, nodes and load, interleaves their rounds, and prints
//! medians with their spread and the ratio to the echo of the same round. A time without its echo means nothing on a busy
//! machine; a second echo, measured as if it were a system, shows the noise. Ends with an error if a threshold of
//! docs/benchmarks.md is missed.
//!
//! What is measured: `calls`, `page`, `pipe`, `starts`, `neighbours`, `thousand`, `memory`; and apart, `peers`. Around them: `plan` (how much),
//! `client` (load over NATS), `echo` (the reference), `fixtures`, `latencies`, `report`, `thresholds`.

mod calls;
mod client;
mod echo;
mod fixtures;
mod latencies;
mod memory;
mod neighbours;
mod page;
mod peers;
mod pipe;
mod plan;
mod report;
mod starts;
mod thousand;
mod thresholds;

use std::collections::HashMap;
use std::process::ExitCode;

use harness::broker::Broker;
use plan::Plan;
use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    match arguments.iter().position(|argument| argument == "echo") {
        Some(at) => {
            local.block_on(&runtime, echo::serve(&arguments[at + 1], &arguments[at + 2]));
            ExitCode::SUCCESS
        }
        None => local.block_on(&runtime, measure(&Plan::of_environment())),
    }
}

async fn measure(plan: &Plan) -> ExitCode {
    let machine = latencies::machine();
    println!("{machine}");
    let mut report = Report::default();
    let broker = Broker::start();
    let url = broker.url();
    if plan.has("calls") {
        calls::measure(plan, &url, &mut report).await;
    }
    if plan.has("page") {
        page::measure(plan, &url, &mut report).await;
    }
    if plan.has("pipe") {
        pipe::measure(plan, &mut report).await;
    }
    if plan.has("starts") {
        starts::measure(plan, &mut report).await;
    }
    if plan.has("neighbours") {
        neighbours::measure(plan, &url, &mut report).await;
    }
    if plan.has("thousand") {
        thousand::measure(plan, &url, &mut report).await;
    }
    if plan.has("memory") {
        memory::measure(&url, &mut report).await;
    }
    if plan.peers() {
        peers::measure(plan, &mut report).await;
    }
    if let Some(path) = &plan.json {
        report.write(path, &HashMap::from([("machine", machine)]));
        eprintln!("figures as JSON lines: {}", path.display());
    }
    thresholds::print_noise(&report);
    let (heading, whole) = match plan.peers() {
        true => ("## Thresholds beside peers", false),
        false => ("## Thresholds", plan.whole()),
    };
    if thresholds::judge(&report, heading, whole) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
