//! Calls that have many parts: what becomes of them when they are cancelled, when the node stops, and when some of
//! their parts hang. And callers who try to spoil things for others.

use std::time::Duration;

use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use crate::deadlines::deaths;

/// Sleeps as long as it is told, in ms; a negative time never ends.
const NAP: &str = "
import time

def render(context):
    nap = context['params']['ms']
    while nap < 0:
        pass
    time.sleep(nap / 1000)
    return {'html': str(nap)}
";

fn options() -> Options {
    Options::new().script("nap.py", script::render("nap", NAP))
}

fn many(naps: &[i64]) -> Value {
    let contexts: Vec<Value> = naps.iter().map(|ms| script::context(&json!({"ms": ms}))).collect();
    json!({"script": "nap", "contexts": contexts})
}

#[tokio::test]
async fn a_batch_that_is_cancelled_is_no_success() {
    let stage = Stage::with(options()).await;
    let payload = many(&[20; 400]);
    let more = json!({"requestId": "batch", "timeoutMs": 30_000});
    let batch = stage.client.call_whole("macro.renderMany", &payload, &more);
    let cancel = async {
        deaths::busy_cell(&stage.client, "nap").await;
        stage.client.call("supervisor.cancel", &json!({"requestId": "batch"})).await
    };
    let (answer, cancelled) = tokio::join!(batch, cancel);
    assert_eq!(cancelled.data()["found"], true);
    assert_eq!((answer.code(), &answer.details()["by"]), ("CANCELLED", &json!("request")), "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn a_node_that_must_stop_answers_the_batch_that_it_gives_up() {
    let stage = Stage::with(options().setting("NODE__DRAIN_MS", "100")).await;
    let Stage { client, node, broker } = stage;
    let payload = many(&[50; 1_000]);
    let more = json!({"requestId": "batch", "timeoutMs": 60_000});
    let batch = client.call_whole("macro.renderMany", &payload, &more);
    let stop = async {
        deaths::busy_cell(&client, "nap").await;
        tokio::task::spawn_blocking(move || node.stop()).await.unwrap()
    };
    let (answer, stopped) = tokio::join!(batch, stop);
    assert_eq!((answer.code(), &answer.details()["by"]), ("CANCELLED", &json!("drain")), "{}", answer.body);
    assert_eq!((stopped.code, stopped.left.len()), (Some(0), 0), "{}", stopped.stderr);
    drop(broker);
}

#[tokio::test]
async fn contexts_that_hang_spoil_only_themselves() {
    let stage = Stage::with(options().setting("WORKER__CIRCUIT_DEATHS", "0")).await;
    let naps: Vec<i64> = (0..24).map(|number| if number % 6 == 0 { -1 } else { 1 }).collect();
    let more = json!({"timeoutMs": 20_000});
    let answer = stage.client.call_whole("macro.renderMany", &many(&naps), &more).await;
    let results = answer.data()["results"].as_array().unwrap();
    for (nap, result) in naps.iter().zip(results) {
        assert_eq!(result["ok"], json!(*nap > 0), "{result}");
    }
    stage.close();
}

#[tokio::test]
async fn calls_that_wait_behind_slow_ones_again_and_again_are_answered_all_the_same() {
    let stage = Stage::with(options()).await;
    // Mostly fast, so that many stand in a cell's pipe; now and then one that those behind it do not wait for.
    let naps: Vec<i64> = (0..10_000).map(|number| if number % 20 == 0 { 10 } else { 0 }).collect();
    let calls = naps.iter().map(|ms| {
        let payload = json!({"script": "nap", "context": script::context(&json!({"ms": ms}))});
        let client = &stage.client;
        async move { client.call("macro.render", &payload).await }
    });
    let calls = futures_util::stream::iter(calls);
    let answers: Vec<_> =
        futures_util::StreamExt::collect(futures_util::StreamExt::buffered(calls, 64)).await;
    for answer in &answers {
        assert!(answer.is_ok(), "{}", answer.body);
    }
    stage.close();
}

#[tokio::test]
async fn an_id_that_would_break_a_header_gets_its_reply_all_the_same() {
    let stage = Stage::open().await;
    for id in ["x\r\nInjected: yes", "x\n", "\u{7f}", "ä", ""] {
        let body = json!({"channel": "supervisor:status", "requestId": id, "payload": {}, "bad": 1});
        let message =
            stage.client.nats().request("supervisor.status", body.to_string().into()).await.unwrap();
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(reply["code"], "VALIDATION_ERROR", "{reply}");
        let headers = message.headers.unwrap_or_default();
        assert!(headers.get("Injected").is_none(), "{headers:?}");
    }
    assert!(!stage.node.stderr().contains("panicked"), "{}", stage.node.stderr());
    stage.close();
}

#[tokio::test]
async fn nobody_can_take_the_parser_from_others() {
    let stage = Stage::open().await;
    // Takes longer to parse than it is given.
    let large = json!({"body": "f(a.b[c], *d, **e)\n".repeat(50_000)});
    let mut killed = 0;
    while killed < 6 {
        let answer = stage.client.call_whole("script.compile", &large, &json!({"timeoutMs": 200})).await;
        assert_eq!(answer.code(), "PY_TIMEOUT", "{}", answer.body);
        // On a busy machine one may not get to be parsed at all.
        killed += u32::from(answer.details()["death"]["phases"]["run"].is_number());
    }
    let answer = wait::eventually("the parser", Duration::from_secs(5), || async {
        Some(stage.client.call("script.compile", &json!({"body": "def main(): pass"})).await)
    })
    .await;
    assert_eq!(answer.data()["functions"], json!(["main"]), "{}", answer.body);
    stage.close();
}

#[tokio::test]
async fn a_batch_stays_one_when_another_script_was_edited() {
    const BOTH: &str = "
def render(context):
    return {'html': 'one'}

def render_many(contexts):
    return [{'html': 'many'} for context in contexts]
";
    let stage = Stage::with(Options::new().script("both.py", script::render("both", BOTH))).await;
    let payload =
        json!({"script": "both", "contexts": [script::context(&json!({})), script::context(&json!({}))]});
    let htmls = |answer: &harness::client::Answer| {
        let results = answer.data()["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["data"]["html"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(htmls(&stage.client.call("macro.renderMany", &payload).await), ["many", "many"]);
    stage.node.write_script("other.py", &script::main("other", "def main(input=None):\n    return 1\n"));
    wait::eventually("the other script", Duration::from_secs(10), || async {
        stage.client.call("utility.run", &json!({"script": "other"})).await.is_ok().then_some(())
    })
    .await;
    assert_eq!(htmls(&stage.client.call("macro.renderMany", &payload).await), ["many", "many"]);
    stage.close();
}
