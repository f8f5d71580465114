//! Clients that share no code with the node: nats-py, the README's own example, and the NATS protocol by hand.

use std::collections::BTreeSet;
use std::process::Command;

use harness::script;
use harness::stage::Stage;
use harness::tools;
use harness::wire::Wire;
use serde_json::{Value, json};

/// Runs a Python program with the packages of the suites and gives what it prints.
async fn python(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program.py");
    std::fs::write(&file, text).unwrap();
    let run = move || Command::new(tools::python()).arg(file).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_readmes_python_example_runs_as_it_stands() {
    let readme = std::fs::read_to_string(tools::repository().join("README.md")).expect("README.md");
    let blocks = readme.split("```python\n").skip(1).filter_map(|block| block.split("```").next());
    let example =
        blocks.into_iter().find(|block| block.contains("nats.connect")).expect("an example with nats-py");
    let stage = Stage::open().await;
    let usual = "nats://127.0.0.1:4222";
    let text = example.replace(usual, stage.node.url());
    assert_ne!(text, example, "the example does not name {usual}");
    let printed = python(&text).await;
    assert!(!printed.trim().is_empty(), "the example prints nothing");
    stage.close();
}

#[tokio::test]
async fn nats_py_gets_whole_replies_with_headers() {
    let stage = Stage::open().await;
    let program = r#"
import asyncio, json, nats

async def main():
    client = await nats.connect("URL")
    payload = json.dumps({"script": "vimeo", "context": {"env": {"isPreview": False}, "params": {"id": "76979871"}}})
    reply = await client.request("macro.render", payload.encode(), timeout=10)
    failed = await client.request("macro.render", b"{}", timeout=10)
    replies = await asyncio.gather(*(client.request("macro.render", payload.encode(), timeout=10) for _ in range(300)))
    print(json.dumps({
        "html": json.loads(reply.data)["data"]["html"],
        "headers": dict(reply.headers),
        "failed": dict(failed.headers),
        "ids": len({json.loads(one.data)["requestId"] for one in replies}),
    }))
    await client.drain()

asyncio.run(main())
"#;
    let printed: Value =
        serde_json::from_str(&python(&program.replace("URL", stage.node.url())).await).unwrap();
    assert!(printed["html"].as_str().unwrap().contains("player.vimeo.com/video/76979871"), "{printed}");
    assert_eq!(printed["headers"]["Callboard-Node"], stage.node.name());
    assert_eq!(printed["failed"]["Nats-Service-Error-Code"], "400");
    assert_eq!(printed["ids"], 300);
    stage.close();
}

#[tokio::test]
async fn the_protocol_by_hand_is_enough() {
    let stage = Stage::open().await;
    let mut wire = Wire::connect(stage.broker.port());
    assert!(wire.info["max_payload"].as_u64() >= Some(8 << 20));
    wire.subscribe("_INBOX.wire.>");
    let payload = json!({"script": "word_count", "input": "one two"}).to_string();
    wire.publish("utility.run", "_INBOX.wire.1", payload.as_bytes());
    let reply = wire.receive();
    assert_eq!(reply.subject, "_INBOX.wire.1");
    assert_eq!(reply.header("Callboard-Node"), Some(stage.node.name()));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&body["ok"], &body["data"]["result"]["words"]), (&json!(true), &json!(2)));
    assert_eq!(reply.header("Callboard-Request-Id"), body["requestId"].as_str());

    wire.publish("utility.run", "_INBOX.wire.2", b"{}");
    let reply = wire.receive();
    assert_eq!(reply.header("Nats-Service-Error-Code"), Some("400"));
    assert!(
        reply.header("Nats-Service-Error").is_some_and(|text| text.starts_with("REQUEST_INVALID")),
        "{reply:?}"
    );
    stage.close();
}

#[tokio::test]
async fn many_requests_on_one_connection_each_get_their_one_reply() {
    let stage = Stage::open().await;
    let mut wire = Wire::connect(stage.broker.port());
    wire.subscribe("_INBOX.wire.>");
    let payload =
        json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))}).to_string();
    let mut waiting = BTreeSet::new();
    for batch in 0..10 {
        for n in batch * 100..(batch + 1) * 100 {
            let inbox = format!("_INBOX.wire.{n}");
            wire.publish("macro.render", &inbox, payload.as_bytes());
            waiting.insert(inbox);
        }
        for _ in 0..100 {
            let reply = wire.receive();
            assert!(waiting.remove(&reply.subject), "a second reply on {}", reply.subject);
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["ok"], true, "{body}");
        }
    }
    assert!(waiting.is_empty());
    stage.close();
}

#[tokio::test]
async fn a_caller_that_hangs_up_harms_nobody() {
    let stage = Stage::open().await;
    let payload = json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))});
    for _ in 0..10 {
        let mut wire = Wire::connect(stage.broker.port());
        wire.subscribe("_INBOX.wire.>");
        wire.publish("macro.render", "_INBOX.wire.1", payload.to_string().as_bytes());
    }
    assert!(stage.client.call("macro.render", &payload).await.is_ok());
    stage.close();
}
