//! Somebody who swaps files and folders for links, against a node that reads and writes them.

use std::time::Duration;

use harness::node::Options;
use harness::stage::Stage;
use harness::swapper::Swapper;
use serde_json::{Value, json};

/// Lets a swapper race a node that reads and writes for so long; nothing outside may be read or written.
pub(crate) async fn race(limit: Duration) {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let outside = tempfile::tempdir().unwrap();
    let (theirs, secret) = (outside.path().join("blog/board.py"), "x = 'secret'\n");
    std::fs::create_dir(outside.path().join("blog")).unwrap();
    std::fs::write(&theirs, secret).unwrap();
    let call = async |channel: &str, payload: Value| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Callboard-Project", "blog");
        stage.client.send(&format!("script.{channel}"), headers, payload.to_string()).await
    };
    let id =
        call("create", json!({"slug": "board", "body": "x = 0\n", "enabled": false})).await.data()["record"]
            ["id"]
            .clone();
    let swapper = Swapper::start(&stage.node.data().join("scripts/blog/board.py"), &theirs);
    let end = std::time::Instant::now() + limit;
    let mut codes = std::collections::BTreeMap::<String, u64>::new();
    let mut n = 0_u64;
    while std::time::Instant::now() < end {
        n += 1;
        for (channel, payload) in [
            ("update", json!({"id": id, "changes": {"body": format!("x = {n}\n")}})),
            ("sync", json!({})),
            ("create", json!({"slug": format!("n{n}"), "body": "", "enabled": false})),
            ("get", json!({"slug": "board"})),
        ] {
            let answer = call(channel, payload).await;
            assert!(!answer.body.to_string().contains("secret"), "read from outside: {}", answer.body);
            *codes.entry(answer.code().to_owned()).or_default() += 1;
        }
    }
    println!("{} swaps against {n} rounds of requests: {codes:?}", swapper.swaps());
    assert!(swapper.swaps() > 50 && n > 5, "no race");
    drop(swapper);
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), secret, "written outside");
    let names: Vec<_> = std::fs::read_dir(outside.path().join("blog"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["board.py"], "something was written outside");
    let data = call("sync", json!({})).await.data().clone();
    assert!(!data.to_string().contains("secret"));
    stage.close();
}
