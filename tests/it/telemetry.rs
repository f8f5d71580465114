//! Traces: what a caller says of its trace goes on with every message about its call, and what is recorded of it reaches a
//! collector, without content. A collector that is slow, away or unwilling costs no call anything.

use std::time::Duration;

use async_nats::HeaderMap;
use harness::client::Answer;
use harness::collector::{Collector, Manner, attribute};
use harness::node::{self, Options};
use harness::script;
use harness::stage::Stage;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const CANARY: &str = "CANARY-77aa";

fn hello() -> Options {
    let body = "def render(context):\n    print(context['params']['text'])\n    if context['params'].get('fail'):\n        raise ValueError(context['params']['text'])\n    return {'html': context['params']['text']}\n";
    Options::new().script("hello.py", script::render("hello", body))
}

fn watched(collector: &Collector) -> Options {
    hello().environment("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address())
}

fn payload(fail: bool) -> Value {
    json!({"script": "hello", "context": script::context(&json!({"text": CANARY, "fail": fail}))})
}

async fn call(stage: &Stage, fail: bool, parent: Option<&str>) -> Answer {
    let mut headers = HeaderMap::new();
    if let Some(parent) = parent {
        headers.insert("traceparent", parent);
        headers.insert("tracestate", "vendor=a");
    }
    stage.client.send("macro.render", headers, payload(fail).to_string()).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sampled() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// The one span whose name is `name`.
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} among {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
    found[0]
}

#[tokio::test]
async fn one_trace_leads_from_the_caller_through_bus_and_cell_and_the_parts_that_were_asked() {
    let collector = Collector::start(Manner::Well);
    let stage = Stage::with(watched(&collector)).await;
    let answer = call(&stage, false, Some(&sampled())).await;
    assert!(answer.is_ok(), "{}", answer.body);
    // Spans leave a node at the latest when it ends.
    let stopped = stage.close();
    let spans = collector.spans();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "one trace: {spans:?}");
    let (root, cell) = (named(&spans, "process macro.render"), named(&spans, "cell"));
    let (asked, fetched) = (named(&spans, "send script.fetch"), named(&spans, "process script.fetch"));
    let parents = [root, cell, asked, fetched].map(|span| hex(&span.parent_span_id));
    let (of_root, of_asked) = (hex(&root.span_id), hex(&asked.span_id));
    assert_eq!(parents, [CALLER.to_owned(), of_root.clone(), of_root.clone(), of_asked]);
    let kinds = [root, cell, asked, fetched].map(Span::kind);
    assert_eq!(kinds, [SpanKind::Consumer, SpanKind::Internal, SpanKind::Client, SpanKind::Consumer]);
    assert_eq!(answer.header("traceparent"), Some(format!("00-{TRACE}-{of_root}-01").as_str()));
    assert_eq!(answer.header("tracestate"), Some("vendor=a"));
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.destination.name", "macro.render"),
        ("rpc.method", "macro.render"),
        ("callboard.request_id", answer.body["requestId"].as_str().unwrap_or_default()),
    ] {
        assert_eq!(attribute(&root.attributes, key), value, "{key}");
    }
    assert_eq!(attribute(&cell.attributes, "callboard.script"), "hello");
    assert!(root.start_time_unix_nano <= cell.start_time_unix_nano);
    assert!(cell.end_time_unix_nano <= root.end_time_unix_nano);
    let resource = collector.resource();
    assert_eq!(attribute(&resource, "service.name"), "callboard");
    assert!(!attribute(&resource, "service.instance.id").is_empty());
    assert!(!collector.has_seen(CANARY) && !stopped.stderr.contains(CANARY));
}

#[tokio::test]
async fn a_failure_is_one_in_its_trace_and_its_log_line_names_the_trace() {
    let collector = Collector::start(Manner::Well);
    let stage = Stage::with(watched(&collector).environment("OTEL_SERVICE_NAME", "essays")).await;
    let answer = call(&stage, true, Some(&sampled())).await;
    assert_eq!(answer.complaint().0, "PY_ACTION_FAILED", "{}", answer.body);
    let stopped = stage.close();
    let spans = collector.spans();
    for name in ["process macro.render", "cell"] {
        let span = named(&spans, name);
        assert_eq!(attribute(&span.attributes, "error.type"), "PY_ACTION_FAILED");
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2), "an error: {:?}", span.status);
    }
    assert_eq!(attribute(&collector.resource(), "service.name"), "essays");
    assert!(stopped.stderr.contains(TRACE), "{}", stopped.stderr);
    assert!(!collector.has_seen(CANARY) && !stopped.stderr.contains(CANARY));
}

#[tokio::test]
async fn what_its_caller_or_the_sampler_leaves_out_is_not_recorded_but_keeps_its_trace() {
    let collector = Collector::start(Manner::Well);
    let options = watched(&collector)
        .environment("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .environment("OTEL_TRACES_SAMPLER_ARG", "0");
    let stage = Stage::with(options).await;
    let left_out = format!("00-{TRACE}-{CALLER}-00");
    let answer = call(&stage, false, Some(&left_out)).await;
    let carried = answer.header("traceparent").unwrap_or_default().to_owned();
    assert!(carried.starts_with(&format!("00-{TRACE}-")) && carried.ends_with("-00"), "{carried}");
    let answer = call(&stage, false, None).await;
    let begun = answer.header("traceparent").unwrap_or_default().to_owned();
    assert!(begun.len() == carried.len() && begun.ends_with("-00"), "{begun}");
    for broken in ["", "00", "ff-x-y-01", &format!("{}-more", sampled()), &"0-".repeat(5_000)] {
        let answer = call(&stage, false, Some(broken)).await;
        let own = answer.header("traceparent").unwrap_or_default();
        assert!(answer.is_ok() && !own.contains(TRACE), "{broken}: {own}");
    }
    stage.close();
    assert_eq!(collector.requests(), 0);
}

#[tokio::test]
async fn without_a_collector_a_trace_goes_on_as_it_came() {
    let stage = Stage::with(hello()).await;
    let answer = call(&stage, false, Some(&sampled())).await;
    assert_eq!(answer.header("traceparent"), Some(sampled().as_str()));
    assert_eq!(answer.header("tracestate"), Some("vendor=a"));
    assert_eq!(call(&stage, false, None).await.header("traceparent"), None);
    stage.close();
}

#[tokio::test]
async fn all_of_opentelemetry_can_be_switched_off() {
    for (name, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let collector = Collector::start(Manner::Well);
        let stage = Stage::with(watched(&collector).environment(name, value)).await;
        let answer = call(&stage, false, Some(&sampled())).await;
        assert_eq!(answer.header("traceparent"), Some(sampled().as_str()));
        stage.close();
        assert_eq!(collector.requests(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_collector_that_is_silent_or_unwilling_or_away_holds_nobody_up() {
    for manner in [Some(Manner::Silent), Some(Manner::Refusing), None] {
        let collector = manner.map(Collector::start);
        let address = collector.as_ref().map_or("http://127.0.0.1:1", Collector::address);
        // Batches go out at once, so that the collector's manner is met while calls are made.
        let options = hello()
            .environment("OTEL_EXPORTER_OTLP_ENDPOINT", address)
            .environment("OTEL_BSP_SCHEDULE_DELAY", "10");
        let stage = Stage::with(options).await;
        for round in 0..2 {
            for _ in 0..50 {
                let answer = call(&stage, false, Some(&sampled())).await;
                assert!(answer.is_ok(), "{manner:?}: {}", answer.body);
            }
            if let (0, Some(collector)) = (round, &collector) {
                collector.wait();
            }
        }
        let stopped = stage.close();
        assert!(stopped.took < Duration::from_secs(15), "{manner:?}: {:?}", stopped.took);
    }
}

#[test]
fn settings_that_mean_nothing_are_refused_with_what_they_can_be() {
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "an address such as http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "xray", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "a number from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN", "a number from 0 to 1"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("CALLBOARD_TELEMETRY__TIMEOUT_MS", "0", "from 1 to 600000"),
    ] {
        let mut command = node::program();
        command.args(["config", "show"]).env("CALLBOARD_TELEMETRY__ENDPOINT", "http://127.0.0.1:4318");
        let output = command.env(name, value).output().expect("callboard starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(said) && stderr.contains(name), "{stderr}");
    }
}
