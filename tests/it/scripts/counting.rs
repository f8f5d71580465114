//! What is counted of scripts: by one worker and by several, over versions and mishaps.

use std::time::Duration;

use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options, program};
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// Does as it is told.
const TOLD: &str = "
import os
import time

def main(input=None):
    does = (input or {}).get('does')
    if does == 'raise':
        raise ValueError('CANARY-1')
    if does == 'die':
        os._exit(3)
    if does == 'sleep':
        time.sleep(60)
    time.sleep((input or {}).get('seconds', 0))
    return 'done'
";

fn options() -> Options {
    Options::new().script("told.py", script::main("told", TOLD))
}

async fn told(client: &Client, input: Value, timeout_ms: u64) -> String {
    let payload = json!({"script": "told", "input": input});
    let more = json!({"timeoutMs": timeout_ms});
    client.call_whole("utility.run", &payload, &more).await.code().to_owned()
}

async fn listed(client: &Client) -> Value {
    client.call("script.list", &json!({"kind": "utility", "includeStats": true})).await.data().clone()
}

fn of<'a>(list: &'a Value, slug: &str) -> &'a Value {
    let scripts = list["scripts"].as_array().expect("scripts");
    scripts.iter().find(|script| script["slug"] == slug).unwrap_or_else(|| panic!("no {slug} in {list}"))
}

#[tokio::test]
async fn calls_and_how_they_ended_are_in_the_list_over_all_versions_of_a_script() {
    let stage = Stage::with(options()).await;
    let client = &stage.client;
    for (input, timeout_ms, code) in [
        (json!({}), 9_000, "OK"),
        (json!({"seconds": 0.2}), 9_000, "OK"),
        (json!({"does": "raise"}), 9_000, "PY_ACTION_FAILED"),
        (json!({"does": "die"}), 9_000, "PY_PROCESS_DOWN"),
        (json!({"does": "sleep"}), 300, "PY_TIMEOUT"),
    ] {
        assert_eq!(told(client, input, timeout_ms).await, code);
    }
    let list = listed(client).await;
    let stats = &of(&list, "told")["stats"];
    assert_eq!(
        (&stats["calls"], &stats["timeouts"], &stats["deaths"]),
        (&json!(5), &json!(1), &json!(1)),
        "{list}"
    );
    let errors = json!({"PY_ACTION_FAILED": 1, "PY_PROCESS_DOWN": 1, "PY_TIMEOUT": 1});
    assert_eq!((&stats["errors"], &stats["lastError"]["code"]), (&errors, &json!("PY_TIMEOUT")));
    let times = ["p50Ms", "p95Ms", "p99Ms", "longestMs"].map(|key| stats[key].as_f64().expect("a time"));
    assert!(times.is_sorted() && times[0] > 0.0 && times[3] >= 290.0, "{times:?}");
    assert!(stats.get("times").is_none() && !list.to_string().contains("CANARY"));
    assert!(of(&list, "word_count").get("stats").is_none(), "figures of a script that was not called");
    let sources = json!({"nodes": [stage.node.name()], "missing": [], "partial": false});
    assert_eq!(list["statsSources"], sources);

    let record = client.call("script.get", &json!({"slug": "told"})).await.data()["record"].clone();
    let (id, body) = (&record["id"], format!("{TOLD}\n# another version\n"));
    client.call("script.update", &json!({"id": id, "changes": {"body": body}})).await.ok();
    assert_eq!(told(client, json!({}), 9_000).await, "OK");
    assert_eq!(of(&listed(client).await, "told")["stats"]["calls"], 6);
    client.call("script.delete", &json!({"id": id})).await.ok();
    let counters = client.call("supervisor.counters", &json!({})).await;
    wait::eventually("the figures of a deleted script to go", Duration::from_secs(5), || async {
        let counters = client.call("supervisor.counters", &json!({})).await;
        counters.data()["scripts"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    assert_eq!(counters.data()["kinds"][0]["calls"], 6, "{}", counters.body);
    stage.close();
}

#[tokio::test]
async fn a_call_that_is_cancelled_is_counted_too() {
    let stage = Stage::with(options()).await;
    assert_eq!(told(&stage.client, json!({}), 9_000).await, "OK");
    let payload = json!({"script": "told", "input": {"does": "sleep"}});
    let more = json!({"requestId": "sleeper", "timeoutMs": 30_000});
    let sleeps = stage.client.call_whole("utility.run", &payload, &more);
    let cancels = wait::eventually("the call to be there", Duration::from_secs(10), || async {
        let cancel = stage.client.call("supervisor.cancel", &json!({"requestId": "sleeper"})).await;
        (cancel.data()["found"] == true).then_some(())
    });
    let (answer, ()) = tokio::join!(sleeps, cancels);
    assert_eq!(answer.code(), "CANCELLED", "{}", answer.body);
    let list = listed(&stage.client).await;
    let stats = &of(&list, "told")["stats"];
    assert_eq!((&stats["calls"], &stats["errors"]), (&json!(2), &json!({"CANCELLED": 1})), "{list}");
    stage.close();
}

#[tokio::test]
async fn the_count_survives_a_panic_of_the_pool() {
    let stage = Stage::with(options()).await;
    assert_eq!(told(&stage.client, json!({}), 9_000).await, "OK");
    stage.client.strike("watch", 1).await;
    wait::eventually("the worker to answer again", Duration::from_secs(20), || async {
        (told(&stage.client, json!({}), 9_000).await == "OK" && stage.node.stderr().contains("given up"))
            .then_some(())
    })
    .await;
    let calls = of(&listed(&stage.client).await, "told")["stats"]["calls"].as_u64();
    assert!(calls >= Some(2), "{calls:?}");
    assert_eq!(stage.node.stop().code, Some(0));
}

#[tokio::test]
async fn the_figures_of_all_workers_are_added_up_and_one_that_is_missing_is_named() {
    let broker = Broker::start();
    let named = |name: &str, roles: &str| {
        Node::start(&broker.url(), &options().roles(roles).argument("--name").argument(name))
    };
    let (keeper, a, b) = (named("keeper", "scripts"), named("a", "worker"), named("b", "worker"));
    let client = Client::connect(&broker.url()).await;
    let both = json!({"nodes": ["a", "b"], "missing": [], "partial": false});
    let mut calls = 0;
    let figures = async |node: &str| {
        let counters = client.call("supervisor.counters", &json!({"node": node})).await;
        counters.data()["scripts"][0]["calls"].as_u64().unwrap_or(0)
    };
    while figures("a").await == 0 || figures("b").await == 0 {
        assert_eq!(told(&client, json!({}), 9_000).await, "OK");
        calls += 1;
        assert!(calls < 200, "one of two workers gets no calls");
    }
    wait::eventually("the nodes to know each other", Duration::from_secs(10), || async {
        (listed(&client).await["statsSources"] == both).then_some(())
    })
    .await;
    let list = listed(&client).await;
    assert_eq!(of(&list, "told")["stats"]["calls"], calls, "{list}");
    let one = of(&list, "told")["stats"]["p99Ms"].as_f64();
    assert!(one > Some(0.0), "{list}");

    let table = program().args(["scripts", "list", "--stats", "--nats", &broker.url()]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let line = table.lines().find(|line| line.starts_with("told")).expect("a line").split_whitespace();
    assert_eq!(line.take(4).collect::<Vec<_>>(), ["told", "utility", "1", &calls.to_string()]);
    let json =
        program().args(["scripts", "list", "--stats", "--json", "--nats", &broker.url()]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&of(&json, "told")["stats"]["calls"], &json["statsSources"]), (&json!(calls), &both));

    // It dies without a word: the others still hold it to live.
    assert!(b.end(rustix::process::Signal::KILL).left.is_empty());
    let list = listed(&client).await;
    assert_eq!(list["statsSources"], json!({"nodes": ["a"], "missing": ["b"], "partial": true}));
    assert!(of(&list, "told")["stats"]["calls"].as_u64() < Some(calls));
    assert_eq!((a.stop().code, keeper.stop().code), (Some(0), Some(0)));
}

#[tokio::test]
async fn questions_that_ask_too_much_are_refused() {
    let stage = Stage::with(options()).await;
    let id = uuid::Uuid::now_v7().to_string();
    for (payload, path) in [
        (json!({"scripts": vec![id; 251]}), "payload.scripts"),
        (json!({"scripts": ["x"]}), "payload.scripts[0]"),
        (json!({"project": "../x"}), "payload.project"),
        (json!({"unknown": 1}), "payload.unknown"),
    ] {
        let answer = stage.client.call("supervisor.counters", &payload).await;
        assert_eq!(answer.complaint(), ("VALIDATION_ERROR", path), "{}", answer.body);
    }
    let answer = stage.client.call("script.list", &json!({"includeStats": "yes"})).await;
    assert_eq!(answer.complaint(), ("VALIDATION_ERROR", "payload.includeStats"));
    stage.close();
}
