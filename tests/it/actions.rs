//! Actions of modules that the configuration names: typed payloads and results, questions to a model, and modules that
//! cannot be offered.

mod models;
mod modules;
mod network;
mod times;

use harness::client::Client;
use harness::model::{self, Model};
use harness::node::Options;
use harness::stage::Stage;
use serde_json::{Value, json};

const ESSAY: &str = r#"
import dataclasses, enum, typing
import callboard
from callboard import action, llm

class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"

@dataclasses.dataclass
class Options:
    unit: typing.Literal["words", "lines"] = "words"
    limit: typing.Optional[int] = None

@dataclasses.dataclass
class Essay:
    text: str
    tags: list[str]
    options: Options = dataclasses.field(default_factory=Options)

@dataclasses.dataclass
class Counted:
    count: int
    mood: Mood

calls = 0

@action("essay.count", timeout_s=5)
def count(payload: Essay) -> Counted:
    global calls
    calls += 1
    assert isinstance(payload, Essay) and isinstance(payload.options, Options)
    parts = payload.text.split() if payload.options.unit == "words" else payload.text.splitlines()
    return Counted(count=len(parts[:payload.options.limit]), mood=Mood.GOOD)

class Pair(typing.TypedDict):
    left: float
    right: float

class Sum(typing.TypedDict):
    sum: float

@action("essay.sum")
def add(payload: Pair) -> Sum:
    if payload["right"] == 13:
        return {"sum": "thirteen"}
    if payload["right"] == 14:
        return {"sum": 1, "more": 2}
    if payload["right"] == 15:
        return None
    return {"sum": payload["left"] + payload["right"]}

@action("llm.shout", capabilities=["llm"])
async def shout(payload: dict) -> dict:
    answer = await llm.complete([{"role": "user", "content": payload["text"]}])
    return {"text": answer.text}

@action("essay.greedy", capabilities=["llm"])
async def greedy(payload: dict) -> dict:
    return {}

@action("essay.state")
def state() -> int:
    return calls

@action("essay.fails")
def fails(payload):
    print("printed")
    raise ValueError("no essay")
"#;

const CONFIGURATION: &str = "
[actions]
modules = [\"essay.py\"]

[[grant]]
action = \"llm.shout\"
capabilities = [\"llm\"]
";

fn options() -> Options {
    Options::new().file("essay.py", ESSAY).configured(CONFIGURATION)
}

async fn refused(client: &Client, subject: &str, payload: &Value) -> (String, String) {
    let answer = client.call(subject, payload).await;
    let (code, path) = answer.complaint();
    (code.to_owned(), path.to_owned())
}

#[tokio::test]
async fn an_action_gets_its_payload_as_its_type_and_its_result_is_plain() {
    let stage = Stage::with(options()).await;
    let call = async |payload: Value| stage.client.call("essay.count", &payload).await.data().clone();
    assert_eq!(call(json!({"text": "a b c", "tags": []})).await, json!({"count": 3, "mood": "good"}));
    let lines = json!({"text": "a b\nc", "tags": ["x"], "options": {"unit": "lines", "limit": 1}});
    assert_eq!(call(lines).await, json!({"count": 1, "mood": "good"}));
    let sum = stage.client.call_packed("essay.sum", &json!({"left": 1, "right": 2.5})).await;
    assert_eq!(sum.data(), &json!({"sum": 3.5}));
    assert_eq!(stage.client.call("essay.state", &json!({})).await.data(), &json!(0), "cells are shared");
    stage.close();
}

#[tokio::test]
async fn a_payload_of_another_type_is_refused_with_its_path_and_runs_nothing() {
    let stage = Stage::with(options()).await;
    for (payload, path) in [
        (json!({}), "payload"),
        (json!({"text": 5, "tags": []}), "payload.text"),
        (json!({"text": "x", "tags": "y"}), "payload.tags"),
        (json!({"text": "x", "tags": ["y", null]}), "payload.tags[1]"),
        (json!({"text": "x", "tags": [], "more": 1}), "payload.more"),
        (json!({"text": "x", "tags": [], "a b": 1}), "payload"),
        (json!({"text": "x", "tags": [], "options": []}), "payload.options"),
        (json!({"text": "x", "tags": [], "options": {"unit": "pages"}}), "payload.options.unit"),
        (json!({"text": "x", "tags": [], "options": {"limit": true}}), "payload.options.limit"),
        (json!({"text": "x", "tags": [], "options": {"limit": 1.5}}), "payload.options.limit"),
    ] {
        let expected = ("REQUEST_INVALID".to_owned(), path.to_owned());
        assert_eq!(refused(&stage.client, "essay.count", &payload).await, expected, "{payload}");
    }
    let more = json!({"requestId": "r", "action": "essay.sum"});
    let other = stage.client.call_whole("essay.count", &json!({}), &more).await;
    assert_eq!(other.complaint(), ("REQUEST_INVALID", "action"));
    let unknown = stage.client.call_whole("essay.count", &json!({}), &json!({"action": "essay.none"})).await;
    assert_eq!(unknown.code(), "ACTION_UNKNOWN");
    assert_eq!(refused(&stage.client, "essay.state", &json!({"x": 1})).await.0, "REQUEST_INVALID");
    stage.close();
}

#[tokio::test]
async fn a_result_of_another_type_is_invalid_with_its_path() {
    let stage = Stage::with(options()).await;
    for (right, path) in [(13, "result.sum"), (14, "result.more"), (15, "result")] {
        let expected = ("PY_INVALID_RESPONSE".to_owned(), path.to_owned());
        assert_eq!(refused(&stage.client, "essay.sum", &json!({"left": 1, "right": right})).await, expected);
    }
    let failed = stage.client.call("essay.fails", &json!({})).await;
    assert_eq!((failed.code(), &failed.details()["output"]), ("PY_ACTION_FAILED", &json!("printed\n")));
    assert!(failed.details()["exception"].as_str().expect("text").ends_with("ValueError: no essay"));
    let line = failed.details()["line"].as_u64().expect("a line");
    assert_eq!(
        ESSAY.lines().nth(usize::try_from(line - 1).expect("few")).map(str::trim),
        Some("raise ValueError(\"no essay\")")
    );
    stage.close();
}

#[tokio::test]
async fn an_action_asks_a_model_only_if_it_was_granted() {
    let stage = Stage::with(options()).await;
    let shout = |payload: &Value| Some(model::answer(&model::question(payload).to_uppercase()));
    let model = Model::start(&stage.client, shout).await;
    let answer = stage.client.call("llm.shout", &json!({"text": "hello"})).await;
    assert_eq!(answer.data(), &json!({"text": "HELLO"}));
    let refused = stage.client.call("essay.greedy", &json!({})).await;
    let details = json!({"reason": "capability_not_granted", "capability": "llm"});
    assert_eq!((refused.code(), refused.details()), ("PY_ACTION_FAILED", &details));
    assert_eq!(model.asked().len(), 1);
    stage.close();
}

#[tokio::test]
async fn actions_are_found_as_services_with_their_schemas() {
    let stage = Stage::with(options()).await;
    let reply = stage.client.nats().request("$SRV.INFO.callboard", "".into()).await.expect("a service");
    let info: Value = serde_json::from_slice(&reply.payload).expect("JSON");
    let endpoints = info["endpoints"].as_array().expect("endpoints");
    let found = endpoints.iter().find(|endpoint| endpoint["subject"] == "essay.count").expect("the action");
    assert_eq!((&found["name"], &found["queue_group"]), (&json!("essay-count"), &json!("worker")));
    let schema = |key: &str| -> Value {
        serde_json::from_str(found["metadata"][key].as_str().expect("a text")).expect("a schema")
    };
    let input = schema("inputSchema");
    assert_eq!(input["required"], json!(["text", "tags"]));
    assert_eq!(input["properties"]["tags"], json!({"type": "array", "items": {"type": "string"}}));
    assert_eq!(input["properties"]["options"]["properties"]["unit"], json!({"enum": ["words", "lines"]}));
    assert_eq!(schema("outputSchema")["properties"]["mood"], json!({"enum": ["good", "bad"]}));
    let status = stage.client.call("supervisor.status", &json!({})).await;
    let names = ["essay.count", "essay.fails", "essay.greedy", "essay.state", "essay.sum", "llm.shout"];
    assert_eq!(status.data()["actions"], json!(names));
    stage.close();
}
