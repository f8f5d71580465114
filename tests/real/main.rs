//! Programs of others against a node: the official NATS command line.

use std::process::Command;

use harness::node::{Node, Options};
use harness::script;
use harness::stage::Stage;
use harness::tools;
use serde_json::{Value, json};

/// What the official command line says.
async fn nats(stage: &Stage, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(tools::nats_cli());
    // Away from contexts and settings of whoever runs the suite.
    let home = tempfile::tempdir().expect("a temporary folder");
    command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path()).env_remove("NATS_CONTEXT");
    command.args(["--server", &stage.broker.url(), "--no-context"]).args(words);
    let output = tokio::task::spawn_blocking(move || command.output().expect("the NATS CLI"))
        .await
        .expect("its output");
    drop(home);
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&both).into_owned())
}

#[tokio::test]
async fn nats_request_calls_a_macro_and_shows_headers_of_a_failure() {
    let stage = Stage::open().await;
    let payload =
        json!({"script": "vimeo", "context": script::context(&json!({"id": "76979871"}))}).to_string();
    let (ok, said) = nats(&stage, &["request", "macro.render", &payload, "--raw"]).await;
    assert!(ok, "{said}");
    let line =
        said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no reply in {said}"));
    let reply: Value = serde_json::from_str(line).expect("JSON");
    assert!(
        reply["data"]["html"].as_str().is_some_and(|html| html.contains("player.vimeo.com/video/76979871")),
        "{reply}"
    );

    let (_, said) = nats(&stage, &["request", "macro.render", "{}"]).await;
    for part in
        ["Nats-Service-Error-Code: 400", "REQUEST_INVALID", &format!("Callboard-Node: {}", stage.node.name())]
    {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    stage.close();
}

#[tokio::test]
async fn nats_service_finds_describes_and_counts_the_nodes() {
    let stage = Stage::open().await;
    let second = Node::start(&stage.broker.url(), &Options::new());
    let payload = json!({"script": "word_count", "input": "one two"}).to_string();
    let (ok, said) = nats(&stage, &["request", "utility.run", &payload]).await;
    assert!(ok && said.contains("\"words\":2"), "{said}");

    let (ok, said) = nats(&stage, &["service", "list"]).await;
    let ids = said.split_whitespace().filter(|word| uuid::Uuid::try_parse(word).is_ok()).count();
    assert!(ok && said.contains("callboard") && ids == 2, "{said}");
    let (ok, said) = nats(&stage, &["service", "ping", "callboard"]).await;
    assert!(ok && said.contains("callboard"), "{said}");
    let (ok, said) = nats(&stage, &["service", "info", "callboard"]).await;
    assert!(ok && said.contains("macro.render") && said.contains("script.list"), "{said}");
    let (ok, said) = nats(&stage, &["service", "stats", "callboard"]).await;
    assert!(ok && said.contains("callboard"), "{said}");
    assert!(second.stop().left.is_empty());
    stage.close();
}
