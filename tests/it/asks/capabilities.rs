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
