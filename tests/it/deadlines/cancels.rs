//! `supervisor.cancel`: a call ends where it waits or runs, and its caller hears of it.

use std::time::{Duration, Instant};

use harness::client::Client;
use harness::node::{Node, Options};
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use super::{call, deaths, options, request};

const TOKEN: &str = "0123456789abcdef";

async fn cancel(client: &Client, id: &str, token: Option<&str>) -> bool {
    let mut payload = json!({"requestId": id});
    if let Some(token) = token {
        payload["token"] = json!(token);
    }
    client.call("supervisor.cancel", &payload).await.data()["found"].as_bool().expect("found")
}

#[tokio::test]
async fn a_running_call_is_cancelled_and_its_cell_ended() {
    let stage = Stage::with(options()).await;
    let more = json!({"requestId": "r 1", "timeoutMs": 30_000});
    let payload = request("cases", "loop");
    let running = stage.client.call_whole("macro.render", &payload, &more);
    let cancelled = async {
        let cell = deaths::busy_cell(&stage.client, "cases").await;
        assert!(!cancel(&stage.client, "another", None).await);
        assert!(cancel(&stage.client, "r 1", None).await);
        (cell, Instant::now())
    };
    let (answer, (cell, then)) = tokio::join!(running, cancelled);
    assert_eq!((answer.code(), &answer.details()["by"]), ("CANCELLED", &json!("request")), "{}", answer.body);
    assert_eq!(answer.header("Nats-Service-Error-Code"), Some("499"));
    assert!(then.elapsed() < Duration::from_millis(500), "heard of it after {:?}", then.elapsed());
    wait::until("the cell to end", Duration::from_secs(5), || (!cell.runs()).then_some(()));
    assert!(call(&stage.client, "cases", "", 5_000).await.is_ok());
    assert!(!cancel(&stage.client, "r 1", None).await, "a call that has ended is still there");
    stage.close();
}

#[tokio::test]
async fn a_waiting_call_is_cancelled_without_having_run() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1")).await;
    assert_eq!(call(&stage.client, "others", "", 5_000).await.data()["html"], "1");
    let endless = call(&stage.client, "cases", "loop", 2_000);
    let more = json!({"requestId": "waits", "timeoutMs": 30_000});
    let payload = request("others", "");
    let both = async {
        deaths::busy_cell(&stage.client, "cases").await;
        let cancelled = wait::eventually("the waiting call", Duration::from_secs(5), || async {
            cancel(&stage.client, "waits", None).await.then_some(())
        });
        tokio::join!(stage.client.call_whole("macro.render", &payload, &more), cancelled).0
    };
    let (endless, waiting) = tokio::join!(endless, both);
    assert_eq!(endless.code(), "PY_TIMEOUT");
    assert_eq!(waiting.code(), "CANCELLED", "{}", waiting.body);
    assert!(waiting.took < Duration::from_millis(1_500), "waited for its place: {:?}", waiting.took);
    assert_eq!(
        call(&stage.client, "others", "", 5_000).await.data()["html"],
        "2",
        "a cancelled call was run"
    );
    stage.close();
}

#[tokio::test]
async fn a_call_with_a_token_is_cancelled_by_whoever_shows_it() {
    let stage = Stage::with(options()).await;
    let more = json!({"requestId": "mine", "timeoutMs": 30_000, "token": TOKEN});
    let payload: Value = request("cases", "loop");
    let running = stage.client.call_whole("macro.render", &payload, &more);
    let cancelled = async {
        deaths::busy_cell(&stage.client, "cases").await;
        assert!(!cancel(&stage.client, "mine", None).await, "cancelled without the token");
        assert!(
            !cancel(&stage.client, "mine", Some("another token 16")).await,
            "cancelled with another token"
        );
        assert!(cancel(&stage.client, "mine", Some(TOKEN)).await);
    };
    let (answer, ()) = tokio::join!(running, cancelled);
    assert_eq!(answer.code(), "CANCELLED");
    let stopped = stage.close();
    assert!(!stopped.stderr.contains(TOKEN), "a token in the log: {}", stopped.stderr);
}

#[tokio::test]
async fn the_node_that_holds_the_call_answers_before_the_others() {
    let stage = Stage::with(options()).await;
    let second = Node::start(&stage.broker.url(), &Options::new().roles("worker"));
    for n in 0..5 {
        let id = format!("r {n}");
        let more = json!({"requestId": id, "timeoutMs": 30_000});
        let payload = request("cases", "while");
        let running = stage.client.call_whole("macro.render", &payload, &more);
        let cancelled = wait::eventually("the call to be found", Duration::from_secs(5), || async {
            cancel(&stage.client, &id, None).await.then_some(())
        });
        let (answer, ()) = tokio::join!(running, cancelled);
        assert_eq!(answer.code(), "CANCELLED", "{}", answer.body);
    }
    assert!(second.stop().left.is_empty());
    stage.close();
}
