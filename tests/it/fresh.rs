//! Scripts with `fresh: true`: each call, and each context of a batch, runs in a cell of its own that nobody used before.

use std::collections::HashSet;
use std::time::Duration;

use harness::client::Client;
use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

/// Tells its process and how many calls that has seen.
const BODY: &str = "
import os
calls = 0

def render(context):
    global calls
    calls += 1
    return {'html': '', 'data': {'pid': os.getpid(), 'calls': calls}}

def render_many(contexts):
    return [render(context) for context in contexts]
";

fn fresh() -> String {
    script::render("alone", BODY).replacen("version: 1\n", "version: 1\nfresh: true\n", 1)
}

fn payload() -> Value {
    json!({"script": "alone", "context": script::context(&json!({}))})
}

/// The processes that hold the script and have not been used.
async fn spares(client: &Client) -> HashSet<u64> {
    let status = client.call("supervisor.status", &json!({})).await;
    let cells = status.data()["pool"]["cells"].as_array().cloned().unwrap_or_default();
    let unused = |cell: &&Value| cell["script"] == "alone" && cell["calls"] == 0 && cell["busy"] == false;
    // One that was only asked for has no process yet.
    cells.iter().filter(unused).filter_map(|cell| cell["pid"].as_u64()).filter(|pid| *pid > 0).collect()
}

#[tokio::test]
async fn each_call_runs_in_a_cell_that_was_loaded_ahead_and_is_used_once() {
    let options = Options::new().script("alone.py", fresh()).setting("WORKER__SPARES", "3");
    let stage = Stage::with(options).await;
    let mut seen = HashSet::new();
    assert!(stage.client.call("macro.render", &payload()).await.is_ok());
    for round in 0..10 {
        let ahead = wait::eventually("three spares", Duration::from_secs(10), || async {
            Some(spares(&stage.client).await).filter(|spares| spares.len() == 3)
        })
        .await;
        let answer = stage.client.call("macro.render", &payload()).await;
        let data = &answer.data()["data"];
        let pid = data["pid"].as_u64().expect("a process");
        assert_eq!(data["calls"], 1, "round {round}");
        assert!(ahead.contains(&pid), "round {round}: {pid} was not loaded ahead {ahead:?}");
        assert!(seen.insert(pid), "round {round}: {pid} was used twice");
    }
    stage.close();
}

#[tokio::test]
async fn each_context_of_a_batch_has_a_cell_of_its_own_also_without_spares() {
    for spares in ["0", "3"] {
        let options = Options::new().script("alone.py", fresh()).setting("WORKER__SPARES", spares);
        let stage = Stage::with(options).await;
        let contexts: Vec<_> = (0..12).map(|_| script::context(&json!({}))).collect();
        let batch = json!({"script": "alone", "contexts": contexts, "raw": true});
        let answer = stage.client.call("macro.renderMany", &batch).await;
        let results = answer.data()["results"].as_array().expect("results").clone();
        let pids: HashSet<_> =
            results.iter().filter_map(|item| item["data"]["data"]["pid"].as_u64()).collect();
        assert_eq!((results.len(), pids.len()), (12, 12), "{spares} spares: {}", answer.body);
        assert!(results.iter().all(|item| item["data"]["data"]["calls"] == 1), "{}", answer.body);
        stage.close();
    }
}

#[tokio::test]
async fn spares_leave_room_for_others_and_are_not_made_of_a_script_that_cannot_be_loaded() {
    let broken = fresh().replace("calls = 0\n", "calls = 1 / 0\n");
    let options = Options::new()
        .script("alone.py", broken)
        .script("other.py", script::render("other", "def render(context):\n    return {'html': 'here'}\n"))
        .setting("WORKER__SPARES", "8")
        .setting("WORKER__WARM", "4");
    let stage = Stage::with(options).await;
    assert_eq!(stage.client.call("macro.render", &payload()).await.code(), "PY_ACTION_FAILED");
    assert!(spares(&stage.client).await.is_empty());
    stage.node.write_script("alone.py", &fresh());
    wait::eventually("the mended script", Duration::from_secs(10), || async {
        stage.client.call("macro.render", &payload()).await.is_ok().then_some(())
    })
    .await;
    let other = json!({"script": "other", "context": script::context(&json!({}))});
    for _ in 0..5 {
        assert!(stage.client.call("macro.render", &other).await.is_ok());
        assert!(stage.client.call("macro.render", &payload()).await.is_ok());
    }
    // One that was killed to make room is seen until it has been reaped.
    wait::eventually("no more cells than are kept", Duration::from_secs(10), || async {
        (stage.node.cells().len() <= 5).then_some(())
    })
    .await;
    stage.close();
}
