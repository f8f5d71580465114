//! Calls of a warm script beside an echo of the same body: one at a time, 64 and 256 at a time, three classes of macros,
//! JSON and MessagePack, with the output check and without; batches and fresh cells. Default settings throughout, but for a
//! second node that records the traces of one call in a hundred.

use std::time::Instant;

use harness::collector::{Collector, Manner};
use harness::node::{Node, Options};
use serde_json::json;

use crate::client::{Client, Request};
use crate::plan::Plan;
use crate::report::{Report, Unit};
use crate::{echo, fixtures};

/// Contexts in one batch.
const BATCH: usize = 100;
/// Batches in a round.
const BATCHES: usize = 100;

/// Something that answers, and how much it is asked in a round.
struct System {
    row: &'static str,
    request: Request,
    /// The row that it is compared with.
    against: &'static str,
    /// Requests one after the other.
    sequential: usize,
    /// Requests with many outstanding, and how many those are.
    many: &'static [(usize, usize)],
}

/// The share of calls whose traces are recorded on the second node, and what stands in front of its subjects.
const RECORDED: &str = "0.01";
const TRACED: &str = "traced";

const LIGHT: &[(usize, usize)] = &[(64, 20_000), (256, 20_000)];
const LARGE: &[(usize, usize)] = &[(64, 6_000), (256, 6_000)];

fn systems() -> Vec<System> {
    let simple = |raw| fixtures::render("simple", &fixtures::simple(), raw);
    let medium = |raw| fixtures::render("medium", &fixtures::medium(), raw);
    let heavy = fixtures::render("heavy", &fixtures::heavy(), false);
    let render = |payload| Request::json("macro.render", &payload);
    let packed = |payload| Request::packed("macro.render", &payload);
    let system = |row, request, against, sequential, many| System { row, request, against, sequential, many };
    let (small, large) = ("echo", "echo of 11 KB");
    vec![
        system(small, render(simple(true)).to("echo.a"), small, 2_000, LIGHT),
        system("echo again", render(simple(true)).to("echo.b"), small, 2_000, LIGHT),
        system("simple, raw", render(simple(true)), small, 2_000, LIGHT),
        system("simple", render(simple(false)), small, 2_000, LIGHT),
        system("simple, MessagePack, raw", packed(simple(true)), small, 1_000, &[(64, 20_000)]),
        system(
            "simple, raw, traces at 1 %",
            render(simple(true)).to(&format!("{TRACED}.macro.render")),
            "simple, raw",
            2_000,
            &[(64, 20_000)],
        ),
        system(large, render(medium(true)).to("echo.a"), large, 1_000, LARGE),
        system("medium, raw", render(medium(true)), large, 1_000, LARGE),
        system("medium", render(medium(false)), large, 300, &[(64, 1_500)]),
        system("medium, MessagePack, raw", packed(medium(true)), large, 500, &[(64, 6_000)]),
        system("heavy", render(heavy), small, 30, &[(64, 130)]),
    ]
}

/// Measures all of it.
pub(crate) async fn measure(plan: &Plan, url: &str, report: &mut Report) {
    let _echoes = [echo::Echo::start(url, "echo.a").await, echo::Echo::start(url, "echo.b").await];
    let options =
        fixtures::files().into_iter().fold(Options::new(), |all, (file, text)| all.script(file, text));
    let node = Node::start(url, &options);
    let collector = Collector::start(Manner::Well);
    let options = options
        .setting("NODE__PREFIX", TRACED)
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address())
        .environment("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .environment("OTEL_TRACES_SAMPLER_ARG", RECORDED);
    let traced = Node::start(url, &options);
    let client = Client::connect(url).await;
    let systems = systems();
    for system in &systems {
        client.sequential(&system.request, system.sequential.div_ceil(4)).await;
        for (outstanding, count) in system.many {
            client.many(&system.request, count.div_ceil(4), *outstanding).await;
        }
    }
    for round in 1..=plan.rounds {
        eprintln!("calls: round {round} of {}", plan.rounds);
        for system in &systems {
            one_round(plan, &client, system, report).await;
        }
        batches(&client, report).await;
        fresh(plan, &client, report).await;
    }
    compare(&systems, report);
    report.print(
        "calls: the median of the rounds, between what they lay, and the ratio to the echo of the same round",
    );
    for node in [node, traced] {
        assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
    }
    assert!(!collector.spans().is_empty(), "traces were recorded");
}

async fn one_round(plan: &Plan, client: &Client, system: &System, report: &mut Report) {
    let latencies = client.sequential(&system.request, plan.some(system.sequential)).await;
    latencies.into_report(report, system.row, &[50, 95, 99]);
    for (outstanding, count) in system.many {
        let done = client.many(&system.request, plan.some(*count), *outstanding).await;
        report.add(&format!("{} / {outstanding} outstanding", system.row), Unit::Rate, done.rate);
        if *outstanding > 64 && !system.row.starts_with("echo") {
            let name = format!("{} / refused of {outstanding}", system.row);
            report.add(&name, Unit::Share, done.refused as f64 / plan.some(*count) as f64);
        }
    }
}

/// A batch is one request; what counts is its contexts.
async fn batches(client: &Client, report: &mut Report) {
    let contexts = vec![fixtures::simple(); BATCH];
    let payload = json!({"script": "simple", "contexts": contexts, "raw": true});
    let request = Request::json("macro.renderMany", &payload);
    let begun = Instant::now();
    client
        .in_turn(&[request], BATCHES, |_, reply| {
            let results = reply.payload.windows(6).filter(|part| *part == b"reader").count();
            assert_eq!(results, BATCH, "{:?}", reply.payload);
        })
        .await;
    let rate = (BATCHES * BATCH) as f64 / begun.elapsed().as_secs_f64();
    report.add("macro.renderMany of 100 / contexts", Unit::Rate, rate);
}

async fn fresh(plan: &Plan, client: &Client, report: &mut Report) {
    let request = Request::json("macro.render", &fixtures::render("fresh", &fixtures::simple(), true));
    client.sequential(&request, plan.some(60)).await.into_report(report, "fresh cell", &[50, 95]);
    let done = client.many(&request, plan.some(90), 8).await;
    report.add("fresh cell / 8 outstanding", Unit::Rate, done.rate);
}

fn compare(systems: &[System], report: &mut Report) {
    let columns = ["p50", "p95", "p99", "64 outstanding", "256 outstanding"];
    for system in systems.iter().filter(|system| system.row != system.against) {
        for column in columns {
            report.against(&format!("{} / {column}", system.row), &format!("{} / {column}", system.against));
        }
    }
    report.against("macro.renderMany of 100 / contexts", "simple, raw / 64 outstanding");
}
