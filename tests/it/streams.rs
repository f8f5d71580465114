//! Answers in parts: what a utility prints comes while it runs, to its own caller, and nobody is worked for who has gone.

use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use harness::client::{Client, whole};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// Prints what it is told, and waits as long as it is told.
const PRINTS: &str = "
import sys
import time

def main(input):
    for text, seconds in input['steps']:
        print(text, end='')
        time.sleep(seconds)
    print('warned', file=sys.stderr)
    if input.get('raises'):
        raise ValueError('on request')
    return len(input['steps'])
";

fn options() -> Options {
    Options::new().script("prints.py", script::main("prints", PRINTS))
}

/// A call whose caller wants parts; where they come.
async fn begin(client: &Client, input: &Value, more: &Value) -> Subscriber {
    let mut fields = json!({"stream": true});
    fields.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    let body = whole("utility.run", &json!({"script": "prints", "input": input}), &fields);
    let inbox = client.nats().new_inbox();
    let answers = client.nats().subscribe(inbox.clone()).await.expect("a subscription");
    client.nats().publish_with_reply("utility.run", inbox, body.to_string().into()).await.expect("published");
    answers
}

async fn next(answers: &mut Subscriber) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(30), answers.next()).await.expect("an answer");
    let message = message.expect("open");
    assert!(message.status.is_none(), "{:?}", message.status);
    serde_json::from_slice(&message.payload).expect("JSON")
}

/// The text of a channel in the parts.
fn text(parts: &[Value], channel: &str) -> String {
    parts.iter().filter(|part| part["channel"] == channel).filter_map(|part| part["text"].as_str()).collect()
}

/// All parts, and the terminal reply behind them.
async fn all(answers: &mut Subscriber) -> (Vec<Value>, Value) {
    let mut parts: Vec<Value> = Vec::new();
    loop {
        let answer = next(answers).await;
        if answer.get("ok").is_some() {
            for (number, part) in parts.iter().enumerate() {
                let kind = if number == 0 { "start" } else { "chunk" };
                assert_eq!((&part["seq"], &part["kind"]), (&json!(number), &json!(kind)), "{parts:?}");
                assert_eq!(part["requestId"], answer["requestId"]);
                assert_eq!(part.get("token").is_some(), number == 0, "{part}");
            }
            return (parts, answer);
        }
        parts.push(answer);
    }
}

#[tokio::test]
async fn what_a_script_prints_comes_while_it_runs_and_the_reply_comes_last() {
    let stage = Stage::with(options()).await;
    let input = json!({"steps": [["größe\n", 1.5], ["two", 0], ["…\n", 0]]});
    let mut answers = begin(&stage.client, &input, &json!({})).await;
    let mut parts = Vec::new();
    while text(&parts, "stdout").is_empty() {
        parts.push(next(&mut answers).await);
    }
    let (seen, first) = (Instant::now(), parts.len());
    assert_eq!(text(&parts, "stdout"), "größe\n");
    let answer = loop {
        let answer = next(&mut answers).await;
        if answer.get("ok").is_some() {
            break answer;
        }
        parts.push(answer);
    };
    assert!(seen.elapsed() > Duration::from_millis(700), "the first line came with the reply");
    assert_eq!(answer["ok"], true, "{answer}");
    let data = &answer["data"];
    assert_eq!((&data["result"], &data["stdout"]), (&json!(3), &json!("größe\ntwo…\n")));
    assert_eq!(
        (text(&parts, "stdout").as_str(), text(&parts, "stderr").as_str()),
        ("größe\ntwo…\n", "warned\n")
    );
    assert!(parts.len() > first + 2, "nothing came while it was silent: {parts:?}");
    let numbers: Vec<u64> = parts.iter().filter_map(|part| part["seq"].as_u64()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    stage.close();
}

#[tokio::test]
async fn a_call_that_fails_has_all_it_printed_in_its_details() {
    let stage = Stage::with(options()).await;
    let input = json!({"steps": [["one\n", 0.3], ["two\n", 0]], "raises": true});
    let (parts, answer) = all(&mut begin(&stage.client, &input, &json!({})).await).await;
    let details = &answer["error"]["details"];
    assert_eq!((&details["output"], &details["reason"]), (&json!("one\ntwo\nwarned\n"), &json!("raised")));
    assert!(
        "one\ntwo\n".starts_with(&text(&parts, "stdout")) && !text(&parts, "stdout").is_empty(),
        "{parts:?}"
    );
    stage.close();
}

#[tokio::test]
async fn every_caller_gets_the_text_of_its_own_call_however_many_share_a_cell() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1")).await;
    let calls = (0..40).map(async |number| {
        let line = format!("call {number}\n");
        let input = json!({"steps": [[line, 0.001], [line, 0.03], [line, 0]]});
        let (parts, answer) = all(&mut begin(&stage.client, &input, &json!({})).await).await;
        assert_eq!(answer["data"]["stdout"], line.repeat(3), "{answer}");
        assert_eq!(text(&parts, "stdout"), line.repeat(3), "{parts:?}");
    });
    futures_util::future::join_all(calls).await;
    stage.close();
}

#[tokio::test]
async fn more_than_is_kept_of_a_call_is_cut_in_the_parts_as_in_the_reply() {
    let stage = Stage::with(options()).await;
    let input = json!({"steps": [["x".repeat(40_000), 0.2], ["y".repeat(40_000), 0]]});
    let (parts, answer) = all(&mut begin(&stage.client, &input, &json!({})).await).await;
    assert_eq!(answer["data"]["truncated"], true);
    assert_eq!(Some(text(&parts, "stdout").as_str()), answer["data"]["stdout"].as_str());
    assert!(text(&parts, "stdout").len() < 66_000);
    stage.close();
}

async fn busy(client: &Client) -> usize {
    let status = client.call("supervisor.status", &json!({})).await;
    let cells = status.data()["pool"]["cells"].as_array().expect("cells").clone();
    cells.iter().filter(|cell| cell["busy"] == true).count()
}

#[tokio::test]
async fn nobody_is_worked_for_who_has_gone() {
    let stage = Stage::with(options()).await;
    let input = json!({"steps": [["here\n", 60]]});
    for lease in [0_u64, 3_000] {
        let mut answers = begin(&stage.client, &input, &json!({"leaseMs": lease})).await;
        while next(&mut answers).await["text"] != "here\n" {}
        assert_eq!(busy(&stage.client).await, 1);
        answers.unsubscribe().await.expect("unsubscribed");
        drop(answers);
        let left = Instant::now();
        wait::eventually("the call to end", Duration::from_secs(20), || async {
            (busy(&stage.client).await == 0).then_some(())
        })
        .await;
        let lasted = left.elapsed();
        assert!(lasted >= Duration::from_millis(lease), "ended after {lasted:?} with a lease of {lease} ms");
    }
    stage.close();
}

#[tokio::test]
async fn a_stream_is_cancelled_with_the_token_of_its_first_part() {
    let stage = Stage::with(options()).await;
    let input = json!({"steps": [["", 60]]});
    let mut answers = begin(&stage.client, &input, &json!({"requestId": "r"})).await;
    let start = next(&mut answers).await;
    let token = start["token"].as_str().expect("a token");
    let cancel = async |payload: Value| {
        stage.client.call("supervisor.cancel", &payload).await.data()["found"].as_bool()
    };
    assert_eq!(cancel(json!({"requestId": "r"})).await, Some(false), "cancelled by whoever knows its id");
    assert_eq!(cancel(json!({"requestId": "r", "token": "x".repeat(36)})).await, Some(false));
    assert_eq!(cancel(json!({"requestId": "r", "token": token})).await, Some(true));
    let answer = loop {
        let answer = next(&mut answers).await;
        if answer.get("ok").is_some() {
            break answer;
        }
    };
    assert_eq!(answer["error"]["code"], "CANCELLED", "{answer}");
    stage.close();
}

#[tokio::test]
async fn an_action_that_has_no_parts_refuses_to_stream() {
    let stage = Stage::with(options()).await;
    let payload = json!({"script": "youtube", "context": script::context(&json!({}))});
    let answer = stage.client.call_whole("macro.render", &payload, &json!({"stream": true})).await;
    assert_eq!(answer.complaint(), ("REQUEST_INVALID", "stream"));
    stage.close();
}
