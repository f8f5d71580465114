//! What scripts may do beyond computing: only what they ask for and the configuration grants.

use harness::model::Model;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::json;

use super::{ASKS, grant, result, rule, run};

#[tokio::test]
async fn a_script_that_was_not_granted_what_it_asks_for_is_not_called() {
    let text = script::asking("\"llm\"", &script::main("asks", ASKS));
    for configuration in
        ["", &grant("other"), "[[grant]]\nscript = \"asks\"\nproject = \"p\"\ncapabilities = [\"llm\"]\n"]
    {
        let options = Options::new().script("asks.py", text.clone()).configured(configuration);
        let stage = Stage::with(options).await;
        let answer = run(&stage.client, &json!("x"), &json!({})).await;
        assert_eq!(answer.code(), "PY_ACTION_FAILED", "{configuration}");
        let details = json!({"reason": "capability_not_granted", "script": "asks", "capability": "llm"});
        assert_eq!(answer.details(), &details);
        stage.close();
    }
}

#[tokio::test]
async fn what_was_granted_but_not_asked_for_is_not_in_force() {
    let options = Options::new().script("asks.py", script::main("asks", ASKS)).configured(&grant("asks"));
    let stage = Stage::with(options).await;
    let model = Model::start(&stage.client, rule).await;
    let found = result(&stage.client, &json!("x")).await;
    assert_eq!(found, json!(["PY_ACTION_FAILED", "capability_not_granted"]));
    assert!(model.asked().is_empty());
    stage.close();
}

#[tokio::test]
async fn a_script_reads_the_folder_that_it_was_granted_and_no_other() {
    let place = tempfile::tempdir().expect("a folder");
    let real = place.path().canonicalize().expect("a path");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&real, mode).expect("a mode");
    for name in ["granted", "other"] {
        std::fs::create_dir(real.join(name)).expect("a folder");
        std::fs::write(real.join(name).join("file"), name).expect("a file");
    }
    let granted = format!("files:read:{}", real.join("granted").display());
    let body = "def main(path):\n    with open(path) as file:\n        return file.read()\n";
    let text = script::asking(&format!("\"{granted}\""), &script::main("reads", body));
    let options = Options::new()
        .script("reads.py", text)
        .configured(&format!("[[grant]]\nscript = \"reads\"\ncapabilities = [\"{granted}\"]\n"));
    let stage = Stage::with(options).await;
    let read = async |name: &str| {
        let path = real.join(name).join("file");
        stage.client.call("utility.run", &json!({"script": "reads", "input": path})).await
    };
    assert_eq!(read("granted").await.data()["result"], "granted");
    let refused = read("other").await;
    assert_eq!(refused.code(), "PY_ACTION_FAILED");
    let exception = refused.details()["exception"].as_str().expect("an exception");
    assert!(exception.contains("PermissionError"), "{exception}");
    stage.close();
}
