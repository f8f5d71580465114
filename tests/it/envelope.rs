//! What goes around a payload, in both formats: ids, headers, and the refusal of whatever breaks a rule.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use futures_util::FutureExt;
use futures_util::StreamExt;
use harness::client::{packed, whole};
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

/// Stands in every content that a test sends and may stand in nothing that a node writes about it.
const CANARY: &str = "CANARY-5be1";

fn echo() -> Options {
    Options::new().script(
        "echo.py",
        script::render("echo", "def render(context):\n    return {'html': '', 'data': context}\n"),
    )
}

fn payload() -> Value {
    json!({"script": "echo", "context": script::context(&json!({"text": CANARY}))})
}

#[tokio::test]
async fn a_bare_payload_is_answered_with_a_whole_envelope() {
    let stage = Stage::with(echo()).await;
    let answer = stage.client.call("macro.render", &payload()).await;
    assert_eq!(answer.data()["data"]["params"]["text"], CANARY);
    let id = answer.body["requestId"].as_str().unwrap_or_default();
    assert_eq!(uuid::Uuid::try_parse(id).map(|id| id.get_version_num()), Ok(7), "{id}");
    let timestamp = answer.body["timestamp"].as_str().unwrap_or_default();
    assert!(timestamp.parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
    assert_eq!(answer.header("Callboard-Node"), Some(stage.node.name()));
    stage.close();
}

#[tokio::test]
async fn a_whole_envelope_keeps_the_callers_id() {
    let stage = Stage::with(echo()).await;
    for id in ["r", "order 7/a~!", &"x".repeat(128)] {
        let answer = stage.client.call_whole("macro.render", &payload(), &json!({"requestId": id})).await;
        assert!(answer.is_ok(), "{}", answer.body);
        assert_eq!(answer.body["requestId"], *id);
    }
    stage.close();
}

#[tokio::test]
async fn both_formats_say_the_same() {
    let stage = Stage::with(echo()).await;
    let values = json!({
        "none": null, "yes": true, "least": i64::MIN, "most": u64::MAX, "half": 0.5, "tiny": 5e-324,
        "text": "ä\u{0}\u{2028}🏳️‍🌈", "list": [[], [1, [2]]], "map": {"": {"a b": []}},
    });
    let payload = json!({"script": "echo", "context": script::context(&values)});
    let json = stage.client.call("macro.render", &payload).await;
    let message_pack = stage.client.call_packed("macro.render", &payload).await;
    assert_eq!(json.data()["data"]["params"], values);
    assert_eq!(message_pack.data(), json.data());
    assert_eq!(message_pack.header("Content-Type"), Some("application/msgpack"));

    let refused = stage.client.call_packed("macro.render", &json!({"script": 1})).await;
    assert_eq!(refused.complaint(), ("REQUEST_INVALID", "payload.script"));
    let body = rmp_serde::to_vec_named(&whole("macro.render", &payload, &json!({"requestId": "r"}))).unwrap();
    assert_eq!(stage.client.send("macro.render", packed(), body).await.body["requestId"], "r");
    stage.close();
}

/// A request that must be refused. No path: any will do. A path that ends in `…` is the beginning of one.
struct Broken {
    what: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
    code: &'static str,
    path: Option<&'static str>,
}

fn json_of(what: &'static str, path: &'static str, body: impl Into<Vec<u8>>) -> Broken {
    Broken { what, headers: HeaderMap::new(), body: body.into(), code: "REQUEST_INVALID", path: Some(path) }
}

fn envelope_with(what: &'static str, path: &'static str, more: &Value) -> Broken {
    json_of(what, path, whole("macro.render", &payload(), more).to_string())
}

fn bare(what: &'static str, path: &'static str, payload: &Value) -> Broken {
    json_of(what, path, payload.to_string())
}

fn with_param(value: &str) -> Vec<u8> {
    format!(r#"{{"script":"echo","context":{{"env":{{"isPreview":false}},"params":{{"deep":{value}}}}}}}"#)
        .into_bytes()
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn broken_bodies() -> Vec<Broken> {
    let mut long_open = with_param("");
    long_open.truncate(long_open.len() - 3);
    long_open.extend("[".repeat(1 << 20).into_bytes());
    vec![
        json_of("an empty body", "$", ""),
        json_of("half a word", "$", "nul"),
        json_of("no UTF-8", "$", b"\xff\xfe{}".to_vec()),
        json_of("a list", "$", format!("[\"{CANARY}\"]")),
        json_of("a text", "$", format!("\"{CANARY}\"")),
        json_of("a mebibyte of brackets", "$", "[".repeat(1 << 20)),
        Broken { path: None, ..json_of("a mebibyte of keys", "", "{\"a\":".repeat(1 << 18)) },
        json_of("a mebibyte of balanced brackets", "$", nested(1 << 19)),
        Broken { path: None, ..json_of("a mebibyte of open brackets in a parameter", "", long_open) },
        Broken {
            path: None,
            ..json_of("a mebibyte of balanced brackets in a parameter", "", with_param(&nested(1 << 19)))
        },
        Broken { path: None, ..json_of("a parameter that is too deep", "", with_param(&nested(70))) },
        json_of("text after the end", "$", format!("{} {CANARY}", payload())),
    ]
}

fn broken_envelopes() -> Vec<Broken> {
    let full = whole("macro.render", &payload(), &json!({}));
    let values = [&full["requestId"], &full["action"], &full["payload"], &full["timestamp"]];
    let by_position = json!([values[0], values[1], values[2], values[3], null, null, null, null, null]);
    let another = whole("utility.run", &payload(), &json!({})).to_string();
    let unknown = whole("shell.run", &payload(), &json!({})).to_string();
    vec![
        envelope_with("an unknown key", "extra", &json!({"extra": CANARY})),
        envelope_with("an empty id", "requestId", &json!({"requestId": ""})),
        envelope_with("an id that is too long", "requestId", &json!({"requestId": "x".repeat(129)})),
        envelope_with("an id outside ASCII", "requestId", &json!({"requestId": "ä"})),
        envelope_with("a timestamp in words", "timestamp", &json!({"timestamp": CANARY})),
        envelope_with("time in words", "timeoutMs", &json!({"timeoutMs": CANARY})),
        envelope_with("no time", "timeoutMs", &json!({"timeoutMs": 0})),
        envelope_with("a project outside", "project", &json!({"project": "../etc"})),
        envelope_with("a project in capitals", "project", &json!({"project": "Default"})),
        envelope_with("too long a lease", "leaseMs", &json!({"leaseMs": 60_001})),
        envelope_with("a short token", "token", &json!({"token": "short"})),
        envelope_with("a payload that is none", "payload", &json!({"payload": CANARY})),
        json_of("values by position instead of by name", "$", by_position.to_string()),
        json_of("another action", "action", another),
        Broken { code: "ACTION_UNKNOWN", path: None, ..json_of("an unknown action", "", unknown) },
    ]
}

fn broken_payloads() -> Vec<Broken> {
    let context = |env: Value| json!({"script": "echo", "context": {"env": env}});
    let packed_with = |what, path, params: Vec<u8>| {
        // {"script": "echo", "context": {"env": {"isPreview": false}, "params": PARAMS}}
        let mut body =
            b"\x82\xa6script\xa4echo\xa7context\x82\xa3env\x81\xa9isPreview\xc2\xa6params".to_vec();
        body.extend(params);
        Broken { headers: packed(), ..json_of(what, path, body) }
    };
    vec![
        bare("no script", "payload", &json!({})),
        bare("a number for the script", "payload.script", &json!({"script": 5, "context": {}})),
        bare("no context", "payload", &json!({"script": "echo"})),
        bare("an unknown key", "payload.more", &json!({"script": "echo", "context": {}, "more": CANARY})),
        bare("an empty context", "payload.context", &json!({"script": "echo", "context": {}})),
        bare("a text for a truth", "payload.context.env.isPreview", &context(json!({"isPreview": CANARY}))),
        envelope_with(
            "a payload by position",
            "payload",
            &json!({"payload": ["echo", script::context(&json!({}))]}),
        ),
        bare("an environment by position", "payload.context.env", &context(json!([true, null, null, null]))),
        bare(
            "a context by position",
            "payload.context",
            &json!({"script": "echo", "context": [{"isPreview": true}, {}, {}]}),
        ),
        bare(
            "a number deep inside",
            "payload.context.env.source.kind",
            &context(json!({"isPreview": true, "source": {"kind": 1}})),
        ),
        bare(
            "an unknown key deep inside",
            "payload.context.env.more",
            &context(json!({"isPreview": true, "more": CANARY})),
        ),
        bare(
            "a list for parameters",
            "payload.context.params",
            &json!({"script": "echo", "context": {"env": {"isPreview": true}, "params": [CANARY]}}),
        ),
        packed_with("bytes", "payload.context.params.x", b"\x81\xa1x\xc4\x01\xff".to_vec()),
        packed_with("infinity", "payload.context.params.x", b"\x81\xa1x\xcb\x7f\xf0\0\0\0\0\0\0".to_vec()),
        packed_with("a number as a key", "payload.context.params…", b"\x81\x01\x02".to_vec()),
        packed_with("a foreign extension", "payload.context.params.x", b"\x81\xa1x\xd4\x05\x00".to_vec()),
        Broken { path: None, ..packed_with("a broken map", "", b"\x8f\xa1x\x01".to_vec()) },
        Broken {
            path: None,
            ..packed_with("a map that claims four billion keys", "", b"\xdf\xff\xff\xff\xff".to_vec())
        },
        Broken {
            path: None,
            ..packed_with(
                "a list that is too deep",
                "",
                b"\x81\xa1x".iter().copied().chain(vec![0x91; 1 << 20]).collect(),
            )
        },
    ]
}

#[tokio::test]
async fn each_broken_request_is_refused_at_once_with_its_path_and_without_its_content() {
    let stage = Stage::with(echo()).await;
    assert!(stage.client.call("macro.render", &payload()).await.is_ok());
    let deep_enough = stage.client.send("macro.render", HeaderMap::new(), with_param(&nested(40))).await;
    assert!(deep_enough.is_ok(), "{}", deep_enough.body);

    let mut wrong = Vec::new();
    for broken in broken_bodies().into_iter().chain(broken_envelopes()).chain(broken_payloads()) {
        let answer = stage.client.send("macro.render", broken.headers, broken.body).await;
        let (code, path) = answer.complaint();
        let fits = broken.path.is_none_or(|expected| {
            expected.strip_suffix('…').map_or(path == expected, |beginning| path.starts_with(beginning))
        });
        if code != broken.code || !fits {
            wrong.push(format!(
                "{}: expected {} {:?}, got {}",
                broken.what, broken.code, broken.path, answer.body
            ));
        }
        if answer.body.to_string().contains(CANARY) {
            wrong.push(format!("{}: content in the reply: {}", broken.what, answer.body));
        }
        assert!(answer.took < Duration::from_secs(2), "{}: took {:?}", broken.what, answer.took);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stopped = stage.close();
    assert!(!stopped.stderr.contains(CANARY), "content in the log: {}", stopped.stderr);
}

#[tokio::test]
async fn a_media_type_that_nobody_reads_is_refused() {
    let stage = Stage::with(echo()).await;
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/xml");
    assert_eq!(stage.client.send("macro.render", headers, "<a/>").await.code(), "REQUEST_INVALID");
    stage.close();
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_never_met_with_silence() {
    let body = "def render(context):\n    return {'html': 'x' * context['params']['size']}\n";
    let stage = Stage::with(echo().script("large.py", script::render("large", body))).await;
    let text = "x".repeat(6 << 20);
    let request = json!({"script": "echo", "context": script::context(&json!({"text": text}))});
    let answer = stage.client.call("macro.render", &request).await;
    assert!(["REQUEST_INVALID", "PY_INVALID_RESPONSE"].contains(&answer.code()), "{}", answer.body);
    let request =
        json!({"script": "large", "raw": true, "context": script::context(&json!({"size": 6 << 20}))});
    let answer = stage.client.call("macro.render", &request).await;
    assert_eq!((answer.code(), &answer.details()["reason"]), ("PY_INVALID_RESPONSE", &json!("too_large")));
    stage.close();
}

#[tokio::test]
async fn a_reply_goes_to_an_inbox_or_nowhere() {
    let stage = Stage::with(echo()).await;
    let nats = stage.client.nats();
    let mut elsewhere = nats.subscribe("orders.new").await.unwrap();
    let body = payload().to_string();
    nats.publish_with_reply("macro.render", "orders.new", body.clone().into()).await.unwrap();
    nats.publish("macro.render", body.into()).await.unwrap();
    for _ in 0..20 {
        assert!(stage.client.call("macro.render", &payload()).await.is_ok());
    }
    assert!(elsewhere.next().now_or_never().is_none(), "a node published where a caller told it to");
    nats.publish("orders.new", "control".into()).await.unwrap();
    assert_eq!(elsewhere.next().await.map(|message| message.payload), Some("control".into()));
    stage.close();
}

#[tokio::test]
async fn a_prefix_stands_in_front_of_every_subject() {
    let stage = Stage::with(echo().argument("--prefix").argument("acme.eu")).await;
    let answer = stage.client.call("acme.eu.macro.render", &payload()).await;
    assert!(answer.is_ok(), "{}", answer.body);
    assert!(stage.client.call("acme.eu.script.list", &json!({})).await.is_ok());
    let begin = Instant::now();
    let error =
        stage.client.try_send("macro.render", HeaderMap::new(), payload().to_string()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
    assert!(begin.elapsed() < Duration::from_secs(2));
    stage.close();
}

#[tokio::test]
async fn a_correlation_id_comes_back_and_the_caller_is_spoken_to_in_their_language() {
    let stage = Stage::open().await;
    let id = uuid::Uuid::new_v4().to_string();
    let mut headers = HeaderMap::new();
    headers.insert("Callboard-Correlation-Id", id.as_str());
    let envelope = json!({
        "channel": "script:get", "requestId": uuid::Uuid::new_v4(), "timestamp": jiff::Timestamp::now().as_millisecond(),
        "context": {"operatorId": uuid::Uuid::new_v4(), "operatorRole": "curriculum_lead", "locale": "de-AT"},
        "payload": {"slug": "no_such_script"},
    });
    let answer = stage.client.send("script.get", headers, envelope.to_string()).await;
    assert_eq!(answer.code(), "SCRIPT_NOT_FOUND");
    assert_eq!(answer.body["correlationId"], json!(id));
    assert_eq!(answer.body["requestId"], envelope["requestId"]);
    let german = answer.body["userMessage"].clone();
    let mut english = envelope;
    english["context"]["locale"] = json!("pt-BR");
    let answer = stage.client.send("script.get", HeaderMap::new(), english.to_string()).await;
    assert_ne!(answer.body["userMessage"], german);
    assert_eq!(answer.body["debug"], Value::Null);
    stage.close();
}
