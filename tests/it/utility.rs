//! `utility.run`: scripts that a person runs by hand.

use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

use crate::macros::golden;

#[tokio::test]
async fn the_default_utility_answers_what_its_golden_files_hold() {
    let stage = Stage::open().await;
    for (name, case) in golden("word_count") {
        let mut request = json!({"script": "word_count"});
        if !case["input"].is_null() {
            request["input"] = case["input"].clone();
        }
        let answer = stage.client.call("utility.run", &request).await;
        assert_eq!(answer.data()["result"], case["result"], "{name}");
        assert_ne!(answer.data()["stdout"], "", "{name}");
        assert_eq!(answer.data()["truncated"], false, "{name}");
    }
    stage.close();
}

const TOOLS: &str = "
import sys

def main(input=None):
    print('out', input)
    print('err', file=sys.stderr)
    return {'got': input}

def plain():
    return 'plain'

def loud(input):
    for _ in range(100_000):
        print('ä' * 50)
    sys.stderr.write('x')
    return None

def _private(input=None):
    return 'private'

value = 5
";

fn options() -> Options {
    Options::new().script("tools.py", script::main("tools", TOOLS))
}

#[tokio::test]
async fn printed_text_comes_back_with_the_result() {
    let stage = Stage::with(options()).await;
    for input in [json!(null), json!([1, "ä"]), json!({"a": 1})] {
        let answer = stage.client.call("utility.run", &json!({"script": "tools", "input": input})).await;
        assert_eq!(answer.data()["result"], json!({"got": input}));
        assert!(answer.data()["stdout"].as_str().expect("text").starts_with("out "), "{}", answer.body);
        assert_eq!(answer.data()["stderr"], "err\n");
    }
    let answer = stage.client.call("utility.run", &json!({"script": "tools"})).await;
    assert_eq!(
        (&answer.data()["result"], &answer.data()["stdout"]),
        (&json!({"got": null}), &json!("out None\n"))
    );
    stage.close();
}

#[tokio::test]
async fn too_much_printed_text_is_cut_and_said_to_be() {
    let stage = Stage::with(options()).await;
    let request = json!({"script": "tools", "entrypoint": "loud", "input": 1});
    let answer = stage.client.call("utility.run", &request).await;
    let printed = answer.data()["stdout"].as_str().expect("text");
    assert!((60_000..=66_000).contains(&printed.len()), "{} bytes", printed.len());
    assert_eq!((&answer.data()["truncated"], &answer.data()["stderr"]), (&json!(true), &json!("x")));
    assert_eq!(answer.data()["result"], Value::Null);
    let quiet = stage.client.call("utility.run", &json!({"script": "tools"})).await;
    assert_eq!(quiet.data()["truncated"], false, "what one call printed shows in the next");
    stage.close();
}

#[tokio::test]
async fn a_utility_is_called_by_any_public_function_of_its_own() {
    let stage = Stage::with(options()).await;
    let answer = stage.client.call("utility.run", &json!({"script": "tools", "entrypoint": "plain"})).await;
    assert_eq!(answer.data()["result"], "plain");
    for entrypoint in ["missing", "_private", "value", "print", "sys", "plain.__call__", ""] {
        let request = json!({"script": "tools", "entrypoint": entrypoint});
        let answer = stage.client.call("utility.run", &request).await;
        let refused = answer.code() == "REQUEST_INVALID"
            || answer.code() == "PY_ACTION_FAILED" && answer.details()["reason"] == "entrypoint_missing";
        assert!(refused, "{entrypoint}: {}", answer.body);
    }
    stage.close();
}

#[tokio::test]
async fn a_macro_is_no_utility() {
    let stage = Stage::with(options()).await;
    let answer = stage.client.call("utility.run", &json!({"script": "youtube"})).await;
    assert_eq!((answer.code(), &answer.details()["reason"]), ("PY_ACTION_FAILED", &json!("wrong_kind")));
    stage.close();
}

#[tokio::test]
async fn one_call_leaves_nothing_in_the_script_for_another_script_to_find() {
    let mark = "import json\n\ndef main(input=None):\n    json.mark = 'left'\n    return None\n";
    let look = "import json\n\ndef main(input=None):\n    return getattr(json, 'mark', 'nothing')\n";
    let options = Options::new()
        .script("mark.py", script::main("mark", mark))
        .script("look.py", script::main("look", look));
    let stage = Stage::with(options).await;
    assert!(stage.client.call("utility.run", &json!({"script": "mark"})).await.is_ok());
    let answer = stage.client.call("utility.run", &json!({"script": "look"})).await;
    assert_eq!(answer.data()["result"], "nothing");
    stage.close();
}
