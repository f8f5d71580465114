//! A page of twenty macros in one `content.render`, and its parts each measured apart in the same rounds: the macros'
//! Python in a stock interpreter, Markdown with the check of the author's text, and the check of the macros' HTML.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use callboard::worker::content::{self, page};
use callboard::worker::html::{self, Cleaner};
use harness::node::{Node, Options};
use harness::tools;
use serde_json::{Value, json};

use crate::client::Client;
use crate::fixtures::Page;
use crate::latencies::Latencies;
use crate::plan::Plan;
use crate::report::Report;

/// Pages in a round.
const PAGES: usize = 100;

/// Times the functions of macros in a stock interpreter: neither pipe nor codec.
const DRIVER: &str = r#"
import json, sys, time
given = json.load(sys.stdin)
functions = {}
for slug, body in given["scripts"].items():
    scope = {}
    exec(compile(body, slug, "exec"), scope)
    functions[slug] = scope["render"]
calls = [(functions[slug], context) for slug, context in given["calls"]]
times = []
for _ in range(given["rounds"]):
    begun = time.perf_counter_ns()
    for function, context in calls:
        function(context)
    times.append(time.perf_counter_ns() - begun)
print(json.dumps({"times": times, "html": [function(context)["html"] for function, context in calls]}))
"#;

/// Measures page and parts.
pub(crate) async fn measure(plan: &Plan, url: &str, report: &mut Report) {
    let node = Node::start(url, &Options::new());
    let client = Client::connect(url).await;
    let page = Page::new();
    let request = page.request();
    check(&client.ask(&request).await, page.macros.len());
    client.sequential(&request, 20).await;
    let cleaner = Cleaner::default();
    for round in 1..=plan.rounds {
        eprintln!("page: round {round} of {}", plan.rounds);
        client.sequential(&request, plan.some(PAGES)).await.into_report(
            report,
            "page of 20 macros",
            &[50, 95],
        );
        let (python, html) = python(plan, &page);
        let of_author = repeat(plan, || {
            page::Page::new(&page.content, content::Format::Markdown, &cleaner).expect("a page");
        });
        let of_macros = repeat(plan, || {
            for text in &html {
                html::clean(text, &cleaner).expect("HTML within its limits");
            }
        });
        report.time("its macros' Python / p50", python);
        report.time("its Markdown and the check of that / p50", of_author);
        report.time("the check of its macros' HTML / p50", of_macros);
        report.time("its parts together / p50", python + of_author + of_macros);
    }
    report.against("page of 20 macros / p50", "its parts together / p50");
    report.print("content.render, and its parts measured apart in the same rounds");
    assert_eq!(node.stop().code, Some(0), "the node stops cleanly");
}

/// A page whose macros failed would be fast.
fn check(reply: &Value, macros: usize) {
    let rows = reply.pointer("/data/macros").and_then(Value::as_array).expect("macros");
    assert_eq!(rows.len(), macros, "{reply}");
    for row in rows {
        assert_eq!((&row["status"], &row["warnings"]), (&json!("ok"), &json!([])), "{row}");
    }
}

/// The median time of all macros of the page, and their HTML.
fn python(plan: &Plan, page: &Page) -> (Duration, Vec<String>) {
    let folder = tools::repository().join("scripts");
    let mut scripts = serde_json::Map::new();
    for (slug, _) in &page.macros {
        let text = std::fs::read_to_string(folder.join(format!("{slug}.py"))).expect("a default script");
        scripts.insert((*slug).to_owned(), text.into());
    }
    let given = json!({"scripts": scripts, "calls": page.contexts(), "rounds": plan.some(PAGES)});
    let mut child = Command::new(tools::python())
        .args(["-I", "-S", "-B", "-c", DRIVER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an interpreter");
    let stdin = child.stdin.take().expect("a pipe");
    serde_json::to_writer(stdin, &given).expect("the interpreter reads");
    let output = child.wait_with_output().expect("the interpreter's end");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("its figures");
    let mut latencies = Latencies::default();
    for time in answer["times"].as_array().expect("times") {
        latencies.add(Duration::from_nanos(time.as_u64().expect("a time")));
    }
    let html = answer["html"].as_array().expect("html").iter();
    (latencies.at(0.5), html.map(|text| text.as_str().expect("text").to_owned()).collect())
}

fn repeat(plan: &Plan, mut work: impl FnMut()) -> Duration {
    let mut latencies = Latencies::default();
    for _ in 0..plan.some(PAGES) {
        let begun = Instant::now();
        work();
        latencies.add(begun.elapsed());
    }
    latencies.at(0.5)
}
