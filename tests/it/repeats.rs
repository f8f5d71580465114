//! Requests that are sent again: they join the one that runs, get what was kept, or run again.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::future::join_all;
use harness::client::{self, Answer, Client};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use crate::deadlines::deaths;

/// Says how often it has run, after as many seconds as it is told.
const COUNT: &str = "
import time

runs = 0

def render(context):
    return {'html': str(main(context['params']))}

def main(input=None):
    global runs
    runs += 1
    time.sleep((input or {}).get('seconds', 0))
    if (input or {}).get('fails'):
        raise ValueError(f'run {runs}')
    return runs
";

/// One place, so that one cell does all runs and its count is the whole.
fn options() -> Options {
    Options::new()
        .script("count.py", script::main("count", COUNT))
        .script("page.py", script::render("page", COUNT))
        .setting("WORKER__PLACES", "1")
}

/// The utility under an id of the caller's.
async fn run(client: &Client, id: &str, input: &Value) -> Answer {
    run_with(client, id, input, json!({})).await
}

async fn run_with(client: &Client, id: &str, input: &Value, mut more: Value) -> Answer {
    more["requestId"] = json!(id);
    let payload = json!({"script": "count", "input": input});
    let answer = client.call_whole("utility.run", &payload, &more).await;
    assert_eq!(answer.body["requestId"], id);
    answer
}

fn result(answer: &Answer) -> u64 {
    answer.data()["result"].as_u64().unwrap_or_else(|| panic!("no count: {}", answer.body))
}

#[tokio::test]
async fn who_asks_again_while_the_first_runs_gets_the_same_and_it_runs_once() {
    let stage = Stage::with(options()).await;
    let context = script::context(&json!({"seconds": 0.5}));
    let payload = json!({"script": "page", "context": context});
    let call = |id: &str| {
        let (client, payload, more) = (stage.client.clone(), payload.clone(), json!({"requestId": id}));
        async move { client.call_whole("macro.render", &payload, &more).await }
    };
    for answer in join_all([call("r"), call("r"), call("r"), call("r")]).await {
        assert_eq!((&answer.data()["html"], &answer.body["requestId"]), (&json!("1"), &json!("r")));
    }
    // A macro that has run is run again.
    assert_eq!(call("r").await.data()["html"], "2");
    stage.close();
}

#[tokio::test]
async fn what_a_utility_returned_is_kept_in_either_format() {
    let stage = Stage::with(options()).await;
    for _ in 0..3 {
        assert_eq!(result(&run(&stage.client, "r", &json!({})).await), 1);
    }
    let envelope = client::whole("utility.run", &json!({"script": "count"}), &json!({"requestId": "r"}));
    let packed = rmp_serde::to_vec_named(&envelope).expect("MessagePack");
    for _ in 0..3 {
        let answer = stage.client.send("utility.run", client::packed(), packed.clone()).await;
        assert_eq!(result(&answer), 2, "another encoding is another request");
    }
    assert_eq!(result(&stage.client.call("utility.run", &json!({"script": "count"})).await), 3);
    assert_eq!(result(&stage.client.call("utility.run", &json!({"script": "count"})).await), 4);
    stage.close();
}

#[tokio::test]
async fn another_id_payload_or_project_runs_again() {
    let stage = Stage::with(options()).await;
    assert_eq!(result(&run(&stage.client, "r", &json!({})).await), 1);
    assert_eq!(result(&run(&stage.client, "r 2", &json!({})).await), 2);
    assert_eq!(result(&run(&stage.client, "r", &json!({"seconds": 0})).await), 3);
    let elsewhere = run_with(&stage.client, "r", &json!({}), json!({"project": "elsewhere"})).await;
    assert_eq!(
        (elsewhere.code(), &elsewhere.details()["reason"]),
        ("PY_ACTION_FAILED", &json!("script_missing"))
    );
    assert_eq!(result(&run(&stage.client, "r", &json!({})).await), 1);
    stage.close();
}

#[tokio::test]
async fn what_a_script_raised_is_kept_and_a_timeout_is_not() {
    let stage = Stage::with(options()).await;
    for _ in 0..2 {
        let answer = run(&stage.client, "r", &json!({"fails": true})).await;
        let exception = answer.details()["exception"].as_str().expect("an exception");
        assert!(answer.code() == "PY_ACTION_FAILED" && exception.contains("run 1"), "{}", answer.body);
    }
    let slow = json!({"seconds": 0.6});
    let late = run_with(&stage.client, "slow", &slow, json!({"timeoutMs": 200})).await;
    assert_eq!(late.code(), "PY_TIMEOUT");
    assert!(run(&stage.client, "slow", &slow).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn what_is_kept_goes_after_its_time() {
    let stage = Stage::with(options().setting("NODE__REPEATS_MS", "400")).await;
    assert_eq!(result(&run(&stage.client, "r", &json!({})).await), 1);
    let begun = Instant::now();
    let count = wait::eventually("the result to go", Duration::from_secs(10), || async {
        let count = result(&run(&stage.client, "r", &json!({})).await);
        (count > 1).then_some(count)
    })
    .await;
    assert_eq!(count, 2);
    assert!(begun.elapsed() > Duration::from_millis(300), "gone after {:?}", begun.elapsed());
    stage.close();
}

#[tokio::test]
async fn the_very_same_message_gets_what_was_kept_even_after_its_time() {
    let stage = Stage::with(options()).await;
    let more = json!({"requestId": "r", "timeoutMs": 3_000});
    let message = client::whole("utility.run", &json!({"script": "count"}), &more).to_string();
    let send = || stage.client.send("utility.run", HeaderMap::new(), message.clone());
    let begun = Instant::now();
    assert_eq!(result(&send().await), 1);
    wait::until("its time to pass", Duration::from_secs(5), || {
        (begun.elapsed() > Duration::from_millis(3_100)).then_some(())
    });
    assert_eq!(result(&send().await), 1);
    let other = message.replace("\"r\"", "\"s\"");
    let late = stage.client.send("utility.run", HeaderMap::new(), other).await;
    assert_eq!((late.code(), &late.details()["stage"]), ("PY_TIMEOUT", &json!("queued")), "{}", late.body);
    stage.close();
}

#[tokio::test]
async fn who_joins_has_a_deadline_of_its_own_and_shares_the_end_of_the_first() {
    let stage = Stage::with(options()).await;
    let slow = json!({"seconds": 20});
    let first = run_with(&stage.client, "r", &slow, json!({"timeoutMs": 6_000}));
    let others = async {
        deaths::busy_cell(&stage.client, "count").await;
        let hasty = run_with(&stage.client, "r", &slow, json!({"timeoutMs": 300}));
        let patient = run_with(&stage.client, "r", &slow, json!({"timeoutMs": 30_000}));
        tokio::join!(hasty, patient)
    };
    let (first, (hasty, patient)) = tokio::join!(first, others);
    assert_eq!((hasty.code(), &hasty.details()["timeoutMs"]), ("PY_TIMEOUT", &json!(300)), "{}", hasty.body);
    assert!(hasty.took < Duration::from_secs(2), "{:?}", hasty.took);
    assert_eq!(first.code(), "PY_TIMEOUT");
    assert_eq!(patient.body["error"], first.body["error"]);
    stage.close();
}

#[tokio::test]
async fn who_has_joined_is_cancelled_with_the_first_by_its_token() {
    const TOKEN: &str = "0123456789abcdef";
    let stage = Stage::with(options()).await;
    let slow = json!({"seconds": 20});
    let first = run_with(&stage.client, "r", &slow, json!({"token": TOKEN}));
    let others = async {
        deaths::busy_cell(&stage.client, "count").await;
        let joined = [run(&stage.client, "r", &slow), run(&stage.client, "r", &slow)];
        let cancel = async {
            // Counted by the node once they have come; a repeat that ran would be a second cell's work.
            let denied = stage.client.call("supervisor.cancel", &json!({"requestId": "r"})).await;
            assert_eq!(denied.data()["found"], false, "cancelled without the token");
            stage.client.call("supervisor.cancel", &json!({"requestId": "r", "token": TOKEN})).await
        };
        tokio::join!(join_all(joined), cancel)
    };
    let (first, (joined, cancelled)) = tokio::join!(first, others);
    assert_eq!(cancelled.data()["found"], true);
    for answer in joined.iter().chain([&first]) {
        assert_eq!(
            (answer.code(), &answer.details()["by"]),
            ("CANCELLED", &json!("request")),
            "{}",
            answer.body
        );
        assert!(answer.took < Duration::from_secs(10));
    }
    stage.close();
}
