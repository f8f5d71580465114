//! Scripts that wait: asynchronous entrypoints, questions to a model over the broker, and what becomes of them when
//! they are cancelled or late.

mod capabilities;
mod hostile;

use std::time::{Duration, Instant};

use harness::client::{Answer, Client};
use harness::model::{self, Model};
use harness::node::Options;
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::{Value, json};

use crate::deadlines::deaths;

/// More than any of these tests needs; what waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a model and says what came of it, or does something else that waits.
const ASKS: &str = "
import asyncio, time
import callboard
from callboard import llm

calls = 0
cancelled = 0

async def ask(text):
    try:
        return (await llm.complete([{'role': 'user', 'content': text}])).text
    except callboard.ActionError as error:
        return [error.code, error.reason]

async def main(input):
    global calls, cancelled
    calls += 1
    try:
        if isinstance(input, list):
            return await asyncio.gather(*map(ask, input))
        if input == 'state':
            return [calls, cancelled]
        if input in ('sleep', 'stubborn', 'busy'):
            # Tells the test that the call has begun.
            asyncio.ensure_future(ask('never'))
            await asyncio.sleep(0)
        if input == 'sleep':
            await asyncio.sleep(3600)
        if input == 'stubborn':
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    pass
        if input == 'busy':
            while True:
                pass
        if input == 'gives up':
            try:
                await asyncio.wait_for(ask('never'), 0.05)
            except asyncio.TimeoutError:
                return 'gave up'
        return await ask(input)
    except asyncio.CancelledError:
        cancelled += 1
        raise

def watchful(input):
    while not callboard.cancelled():
        pass
    global cancelled
    cancelled += 1
";

/// A grant of `llm` to that script.
fn grant(slug: &str) -> String {
    format!("[[grant]]\nscript = \"{slug}\"\ncapabilities = [\"llm\"]\n")
}

fn options() -> Options {
    let text = script::asking("\"llm\"", &script::main("asks", ASKS));
    // More grace than a busy machine needs: what stays must not be killed for the machine's sake.
    let grace = ("WORKER__GRACE_MS", "5000");
    Options::new().script("asks.py", text).configured(&grant("asks")).setting(grace.0, grace.1)
}

/// Answers with the question in capitals, or not at all to `never`.
fn rule(payload: &Value) -> Option<Value> {
    match model::question(payload) {
        "never" => None,
        "limit" => Some(model::failure("PY_ACTION_FAILED", "rate_limited")),
        text => Some(model::answer(&text.to_uppercase())),
    }
}

async fn run(client: &Client, input: &Value, more: &Value) -> Answer {
    let payload = json!({"script": "asks", "input": input});
    client.call_whole("utility.run", &payload, more).await
}

async fn result(client: &Client, input: &Value) -> Value {
    run(client, input, &json!({})).await.data()["result"].clone()
}

/// How many calls of the one cell were begun, and how many saw that they were cancelled. Fails if the cell is another
/// one than that of the calls before.
async fn state(client: &Client) -> (u64, u64) {
    wait::eventually("the cell to be idle", PATIENCE, || async {
        let status = client.call("supervisor.status", &json!({})).await;
        let cells = status.data()["pool"]["cells"].as_array()?.clone();
        cells.iter().all(|cell| cell["busy"] == false).then_some(())
    })
    .await;
    let found = result(client, &json!("state")).await;
    (found[0].as_u64().expect("calls"), found[1].as_u64().expect("cancelled"))
}

#[tokio::test]
async fn a_script_asks_a_model_over_the_broker() {
    let stage = Stage::with(options()).await;
    let model = Model::start(&stage.client, rule).await;
    let more = json!({"project": "default", "timeoutMs": 9_000});
    let answer = run(&stage.client, &json!("hello"), &more).await;
    assert_eq!(answer.data()["result"], "HELLO");
    let asked = model.asked();
    assert_eq!(asked.len(), 1);
    let (envelope, headers) = (&asked[0].envelope, &asked[0].headers);
    assert_eq!(envelope["action"], "llm.complete");
    assert_eq!(envelope["project"], "default");
    assert_eq!(envelope["payload"], json!({"messages": [{"role": "user", "content": "hello"}]}));
    assert!((1..=9_000).contains(&envelope["timeoutMs"].as_u64().expect("a time")), "{envelope}");
    let header = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    assert!(header("Callboard-Deadline").is_some());
    assert_eq!(header("Callboard-Project"), Some("default"));
    assert_eq!(header("Callboard-Correlation-Id"), answer.header("Callboard-Correlation-Id"));
    stage.close();
}

#[tokio::test]
async fn many_questions_of_one_call_are_under_way_at_once() {
    let stage = Stage::with(options()).await;
    let _model = Model::start(&stage.client, rule).await;
    let answers = result(&stage.client, &json!(["a", "limit", "c"])).await;
    assert_eq!(answers, json!(["A", ["PY_ACTION_FAILED", "rate_limited"], "C"]));
    stage.close();
}

#[tokio::test]
async fn without_anybody_to_answer_the_question_fails_at_once() {
    let stage = Stage::with(options()).await;
    assert_eq!(result(&stage.client, &json!("x")).await, json!(["UNAVAILABLE", "llm.complete"]));
    stage.close();
}

#[tokio::test]
async fn a_question_that_is_given_up_leaves_its_cell_as_it_was() {
    let stage = Stage::with(options()).await;
    let _model = Model::start(&stage.client, rule).await;
    for _ in 0..3 {
        assert_eq!(result(&stage.client, &json!("gives up")).await, "gave up");
    }
    assert_eq!(state(&stage.client).await, (4, 0));
    stage.close();
}

/// Runs a call, cancels it once `begun` says that it runs, and gives its answer and what `begun` gave.
async fn cancelled<T>(
    stage: &Stage,
    input: &Value,
    entrypoint: &str,
    begun: impl Future<Output = T>,
) -> (Answer, T) {
    let more = json!({"requestId": "waits", "timeoutMs": 30_000});
    let payload = json!({"script": "asks", "input": input, "entrypoint": entrypoint});
    let running = stage.client.call_whole("utility.run", &payload, &more);
    let cancel = async {
        let seen = begun.await;
        let found = stage.client.call("supervisor.cancel", &json!({"requestId": "waits"})).await;
        assert_eq!(found.data()["found"], true);
        seen
    };
    tokio::join!(running, cancel)
}

/// Waits until the model was asked so often.
async fn asked(model: &Model, count: usize) {
    wait::eventually("questions", PATIENCE, || async { (model.asked().len() >= count).then_some(()) }).await;
}

#[tokio::test]
async fn a_cancelled_call_that_waits_ends_by_itself_and_its_cell_stays() {
    let stage = Stage::with(options()).await;
    let model = Model::start(&stage.client, rule).await;
    for (number, input) in (1_u64..).zip([json!("sleep"), json!("never"), json!(["never", "never"])]) {
        let begun = asked(&model, usize::try_from(number).expect("few"));
        let (answer, ()) = cancelled(&stage, &input, "main", begun).await;
        assert_eq!((answer.code(), &answer.details()["by"]), ("CANCELLED", &json!("request")));
        assert_eq!(state(&stage.client).await, (2 * number, number));
    }
    asked(&model, 4).await;
    stage.close();
}

#[tokio::test]
async fn a_loop_that_looks_ends_by_itself_and_its_cell_stays() {
    let stage = Stage::with(options()).await;
    assert_eq!(state(&stage.client).await, (1, 0));
    let begun = deaths::cell_at_work(&stage.client, "asks");
    let (answer, _) = cancelled(&stage, &json!(null), "watchful", begun).await;
    assert_eq!(answer.code(), "CANCELLED");
    assert_eq!(state(&stage.client).await, (2, 1));
    stage.close();
}

#[tokio::test]
async fn a_call_that_does_not_end_within_its_grace_is_killed() {
    let stage = Stage::with(options().setting("WORKER__GRACE_MS", "150")).await;
    let model = Model::start(&stage.client, rule).await;
    for (number, input) in (1..).zip(["stubborn", "busy"]) {
        let cancelling = Instant::now();
        let begun = async {
            asked(&model, number).await;
            deaths::busy_cell(&stage.client, "asks").await
        };
        let (answer, cell) = cancelled(&stage, &json!(input), "main", begun).await;
        assert_eq!(answer.code(), "CANCELLED");
        wait::until("the cell to end", PATIENCE, || (!cell.runs()).then_some(()));
        assert!(cancelling.elapsed() < PATIENCE);
        assert_eq!(state(&stage.client).await, (1, 0), "the cell that was cancelled is still there");
    }
    stage.close();
}

#[tokio::test]
async fn a_call_that_waits_past_its_deadline_is_answered_at_once_and_its_cell_stays() {
    let stage = Stage::with(options()).await;
    let _model = Model::start(&stage.client, rule).await;
    for (number, input) in (1_u64..).zip(["sleep", "never"]) {
        // Enough for a cell to start and ask, on a slow machine too.
        let answer = run(&stage.client, &json!(input), &json!({"timeoutMs": 1_000})).await;
        assert_eq!((answer.code(), &answer.details()["stage"]), ("PY_TIMEOUT", &json!("running")));
        assert!(answer.took < Duration::from_millis(1_100) + PATIENCE / 10, "{:?}", answer.took);
        assert_eq!(state(&stage.client).await, (2 * number, number));
    }
    stage.close();
}

#[tokio::test]
async fn calls_that_wait_for_the_node_leave_their_places_to_others() {
    let others = script::render("plain", "def render(context):\n    return {'html': 'x'}");
    let stage = Stage::with(options().script("plain.py", others).setting("WORKER__PLACES", "1")).await;
    let model = Model::start(&stage.client, rule).await;
    let waiting = async {
        let more = [1, 2, 3].map(|n| json!({"requestId": format!("w {n}"), "timeoutMs": 30_000}));
        let calls = more.iter().map(|more| {
            let client = &stage.client;
            async move { run(client, &json!("never"), more).await }
        });
        futures_util::future::join_all(calls).await
    };
    let work = async {
        wait::eventually("three questions", PATIENCE, || async { (model.asked().len() == 3).then_some(()) })
            .await;
        let payload = json!({"script": "plain", "context": script::context(&json!({}))});
        let answer = stage.client.call("macro.render", &payload).await;
        assert_eq!(answer.data()["html"], "x");
        for n in 1..=3 {
            let id = json!({"requestId": format!("w {n}")});
            assert_eq!(stage.client.call("supervisor.cancel", &id).await.data()["found"], true);
        }
    };
    let (answers, ()) = tokio::join!(waiting, work);
    assert!(answers.iter().all(|answer| answer.code() == "CANCELLED"));
    stage.close();
}

#[tokio::test]
async fn calls_that_wait_do_not_make_ever_more_cells() {
    let stage = Stage::with(options().setting("WORKER__PLACES", "1").setting("WORKER__WARM", "4")).await;
    let model = Model::start(&stage.client, rule).await;
    let calls = (0..12).map(|_| {
        let client = &stage.client;
        async move { run(client, &json!("never"), &json!({"timeoutMs": 3_000})).await }
    });
    let counted = async {
        wait::eventually("four questions", PATIENCE, || async { (model.asked().len() >= 4).then_some(()) })
            .await;
        let status = stage.client.call("supervisor.status", &json!({})).await;
        status.data()["pool"]["cells"].as_array().expect("cells").len()
    };
    let (answers, cells) = tokio::join!(futures_util::future::join_all(calls), counted);
    assert!(answers.iter().all(|answer| answer.code() == "PY_TIMEOUT"));
    assert_eq!(cells, 4);
    stage.close();
}
