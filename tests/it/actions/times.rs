//! The time that the configuration gives to actions of modules, and names that are none of them.

use std::process::Stdio;

use harness::broker::Broker;
use harness::node;
use harness::node::Options;
use harness::stage::Stage;
use serde_json::json;

const SLOW: &str = r#"
from callboard import action

@action("essay.slowCount", timeout_s=30)
def slow(payload: dict) -> int:
    while payload.get("waits"):
        pass
    return 1
"#;

fn options(more: &str) -> Options {
    Options::new().file("slow.py", SLOW).configured(&format!("[actions]\nmodules = [\"slow.py\"]\n{more}"))
}

#[tokio::test]
async fn an_action_has_the_time_that_a_file_or_a_variable_gives_it() {
    for options in [
        options("[timeouts]\n\"essay.slowCount\" = 310\n"),
        options("[timeouts]\n\"essay.slowCount\" = 9\n").setting("TIMEOUTS__ESSAY__SLOWCOUNT", "310"),
    ] {
        let stage = Stage::with(options).await;
        assert_eq!(stage.client.call("essay.slowCount", &json!({})).await.data(), &json!(1));
        let late = stage.client.call("essay.slowCount", &json!({"waits": true})).await;
        assert_eq!((late.code(), &late.details()["timeoutMs"]), ("PY_TIMEOUT", &json!(310)));
        stage.close();
    }
}

#[test]
fn a_time_for_an_action_that_there_is_not_keeps_the_node_from_starting_and_names_those_there_are() {
    let broker = Broker::start();
    for (modules, words) in [
        ("[actions]\nmodules = [\"slow.py\"]\n", "those of actions.modules are: essay.slowCount"),
        ("", "those of actions.modules are: none"),
    ] {
        let place = tempfile::tempdir().expect("a folder");
        let configuration = place.path().join("callboard.toml");
        std::fs::write(place.path().join("slow.py"), SLOW).expect("a module");
        std::fs::write(&configuration, format!("{modules}[timeouts]\n\"essay.slwCount\" = 310\n"))
            .expect("a configuration");
        let mut command = node::program();
        command.args(["dev", "--nats", &broker.url(), "--data"]).arg(place.path());
        command.arg("--config").arg(&configuration).stdin(Stdio::null());
        let output = command.output().expect("callboard runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "it started: {said}");
        assert!(said.contains("essay.slwCount") && said.contains(words), "{said}");
    }
}
