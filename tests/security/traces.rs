//! Traces: what a script leaves in its process is found by its own next call, and by no script of another project or of
//! another version, whatever they are called.

use std::time::Duration;

use harness::client::Client;
use harness::node::Options;
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::{Value, json};

const TRACES: &str = include_str!("traces.py");

async fn run(client: &Client, project: &str, entrypoint: &str) -> Value {
    let request = json!({"script": "traces", "entrypoint": entrypoint});
    let answer = client.call_whole("utility.run", &request, &json!({"project": project})).await;
    answer.data()["result"].clone()
}

#[tokio::test]
async fn what_a_script_leaves_behind_is_found_by_itself_only() {
    let text = script::main("traces", TRACES);
    let options = Options::new()
        .setting("WORKER__PLACES", "1")
        .script("a/traces.py", text.clone())
        .script("b/traces.py", script::main("traces", TRACES));
    let stage = Stage::with(options).await;
    // A cell of project b is there before, and one is made after.
    let early = run(&stage.client, "b", "look").await;
    let planted = run(&stage.client, "a", "plant").await;
    let own = run(&stage.client, "a", "look").await;
    assert_eq!(own["process"], planted, "not the cell that was planted");
    let places = usize::try_from(own["places"].as_u64().expect("a number")).expect("a small number");
    assert_eq!(own["found"].as_array().map(Vec::len), Some(places), "the look is blind: {own}");
    assert!(places > 30);
    assert_eq!(early["found"], json!([]));
    let late = run(&stage.client, "b", "look").await;
    assert_eq!(late["found"], json!([]), "of another project");
    assert_ne!(late["process"], own["process"]);

    // Another version of the same script, under the same name.
    std::fs::write(stage.node.data().join("scripts/a/traces.py"), format!("{text}\n# Another version.\n"))
        .expect("a script");
    let other = wait::eventually("the new version to be used", Duration::from_secs(20), || async {
        let other = run(&stage.client, "a", "look").await;
        (other["process"] != own["process"]).then_some(other)
    })
    .await;
    assert_eq!(other["found"], json!([]), "of another version");
    stage.close();
}
