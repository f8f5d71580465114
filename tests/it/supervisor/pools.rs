//! A node with every pool that there is: what its status, its heartbeat and the command line tell of each, and what an
//! operator's orders do to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use harness::client::Client;
use harness::node::Options;
use harness::processes::Process;
use harness::stage::Stage;
use harness::{script, wait};
use serde_json::{Value, json};

use super::ask;

const MODULE: &str = r#"
from callboard import action

@action("desk.plain")
def plain(payload: dict) -> str:
    return "plain"

@action("desk.far", capabilities=["network"])
def far(payload: dict) -> str:
    return "far"
"#;

const CONFIGURATION: &str = "
[actions]
modules = [\"desk.py\"]

[[grant]]
action = \"desk.far\"
capabilities = [\"network\"]
";

/// The pools besides that of scripts, in order.
const OTHERS: [&str; 3] = ["files", "actions", "network"];

/// A node with one script that was granted `folder`, one action, and one that was granted the network.
fn options(folder: &Path) -> Options {
    let granted = format!("files:read:{}", folder.canonicalize().expect("a path").display());
    let grant = format!("[[grant]]\nscript = \"reads\"\ncapabilities = [\"{granted}\"]\n");
    let text =
        script::asking(&format!("\"{granted}\""), &script::main("reads", "def main(x):\n    return x\n"));
    Options::new()
        .script("reads.py", text)
        .file("desk.py", MODULE)
        .configured(CONFIGURATION)
        .configured(&grant)
}

/// Has a cell in each pool answer a call.
async fn call_each(client: &Client) {
    for (subject, payload) in [
        ("utility.run", json!({"script": "word_count", "input": "a b"})),
        ("utility.run", json!({"script": "reads", "input": 1})),
        ("desk.plain", json!({})),
        ("desk.far", json!({})),
    ] {
        client.call(subject, &payload).await.ok();
    }
}

async fn status(client: &Client) -> Value {
    client.call("supervisor.status", &json!({})).await.data().clone()
}

/// The pools of a status by name, that of scripts as `scripts`.
fn pools(status: &Value) -> BTreeMap<&str, &Value> {
    let others = status["pools"].as_array().unwrap_or_else(|| panic!("no pools in {status}"));
    let others: Vec<_> = others.iter().map(|pool| (pool["name"].as_str().expect("a name"), pool)).collect();
    assert_eq!(others.iter().map(|(name, _)| *name).collect::<Vec<_>>(), OTHERS);
    others.into_iter().chain([("scripts", &status["pool"])]).collect()
}

/// A figure of each pool.
fn each(status: &Value, key: &str) -> BTreeMap<String, Value> {
    pools(status).into_iter().map(|(name, pool)| (name.to_owned(), pool[key].clone())).collect()
}

fn cells(pool: &Value) -> Vec<(&str, &str, u64)> {
    let cells = pool["cells"].as_array().expect("cells").iter();
    cells
        .map(|cell| {
            let text = |key: &str| cell[key].as_str().expect("a text");
            (text("project"), text("script"), cell["calls"].as_u64().expect("a count"))
        })
        .collect()
}

#[tokio::test]
async fn the_status_the_heartbeat_and_the_command_line_tell_of_each_pool() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with(options(folder.path())).await;
    call_each(&stage.client).await;
    let status = status(&stage.client).await;
    let found = pools(&status);
    assert_eq!(cells(found["scripts"]), [("default", "word_count", 1)]);
    assert_eq!(cells(found["files"]), [("default", "reads", 1)]);
    assert_eq!(cells(found["actions"]), [("", "desk.plain", 1)]);
    assert_eq!(cells(found["network"]), [("", "desk.far", 1)]);
    let keys = |pool: &Value| -> Vec<String> {
        let keys = pool.as_object().expect("a pool").keys();
        keys.filter(|key| *key != "name").cloned().collect()
    };
    let zygotes: Vec<Process> = stage.node.family();
    for (name, pool) in &found {
        assert_eq!(keys(pool), keys(found["scripts"]), "{name}");
        let zygote = pool["zygote"].as_u64().expect("a zygote");
        assert!(zygotes.iter().any(|process| u64::from(process.pid) == zygote), "{name}: {pool}");
    }

    let subject = format!("supervisor.heartbeat.{}", stage.node.name());
    let mut beats = stage.client.nats().subscribe(subject).await.expect("a subscription");
    let beat =
        tokio::time::timeout(Duration::from_secs(20), beats.next()).await.expect("a beat").expect("open");
    let beat: Value = serde_json::from_slice(&beat.payload).expect("JSON");
    let places = &status["pool"]["places"];
    let room = |name: &str| json!({"name": name, "places": places, "free": places, "queued": 0, "warm": 1});
    assert_eq!(beat["pools"], json!(OTHERS.map(room)));
    assert_eq!((&beat["places"], &beat["free"], &beat["queued"]), (places, places, &json!(0)));
    assert_eq!(beat["warm"], json!(["default/word_count", "default/reads", "desk.plain", "desk.far"]));

    let run = |words: &[&str]| {
        let output =
            harness::node::program().args(words).args(["--nats", stage.node.url()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (words, headings, figures) in [
        (["status"].as_slice(), "RUNNING QUEUED CELLS KILLED DIED PYTHON", format!("0/{places} 0 1 0 0")),
        (&["status", "--cluster"], "FREE QUEUED WARM", format!("{places}/{places} 0 1")),
    ] {
        let table = run(words);
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let lines: Vec<String> = lines.skip_while(|line| *line != format!("NODE POOL {headings}")).collect();
        for (line, name) in lines.iter().skip(1).zip(OTHERS) {
            let expected = format!("{} {name} {figures}", stage.node.name());
            assert!(line.starts_with(&expected), "no {expected} in {table}");
        }
        assert!(lines.len() > OTHERS.len(), "{table}");
    }
    stage.close();
}

#[tokio::test]
async fn a_node_with_one_pool_tells_of_no_other() {
    let stage = Stage::open().await;
    let status = status(&stage.client).await;
    assert!(status["pool"].is_object() && status.get("pools").is_none(), "{status}");
    let output = harness::node::program().args(["status", "--nats", stage.node.url()]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("PART") && !table.contains("POOL"), "{table}");
    stage.close();
}

#[tokio::test]
async fn a_new_worker_keeps_the_cells_of_each_pool_and_a_new_zygote_comes_to_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with(options(folder.path())).await;
    call_each(&stage.client).await;
    let before = status(&stage.client).await;
    ask(&stage, "supervisor.restart", json!({"part": "worker"})).await.ok();
    call_each(&stage.client).await;
    let after = status(&stage.client).await;
    for key in ["zygote", "started"] {
        assert_eq!(each(&after, key), each(&before, key), "{key}");
    }
    let calls = |status: &Value| -> Vec<u64> {
        pools(status).values().flat_map(|pool| cells(pool)).map(|(_, _, calls)| calls).collect()
    };
    assert_eq!((calls(&before), calls(&after)), (vec![1; 4], vec![2; 4]));

    ask(&stage, "supervisor.restart", json!({"part": "zygote"})).await.ok();
    let old = each(&before, "zygote");
    wait::eventually("another zygote in each pool", Duration::from_secs(30), || async {
        let new = each(&status(&stage.client).await, "zygote");
        let is_new = |(name, zygote): (&String, &Value)| zygote.is_u64() && *zygote != old[name];
        new.iter().all(is_new).then_some(())
    })
    .await;
    call_each(&stage.client).await;
    stage.close();
}

#[tokio::test]
async fn other_limits_are_those_of_the_pool_of_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with(options(folder.path())).await;
    call_each(&stage.client).await;
    let before = status(&stage.client).await;
    let answer = ask(&stage, "supervisor.pool", json!({"resize": {"places": 1, "warm": 7}})).await;
    assert_eq!((&answer.data()["pool"]["places"], &answer.data()["pool"]["warm"]), (&json!(1), &json!(7)));
    // A new worker has the pools of the old one.
    ask(&stage, "supervisor.restart", json!({"part": "worker"})).await.ok();
    wait::eventually("a new worker", Duration::from_secs(10), || async {
        let status = status(&stage.client).await;
        let mut parts = status["parts"].as_array().expect("parts").iter();
        let worker = parts.find(|part| part["name"] == "worker").expect("a worker");
        (worker["restarts"] == 1 && worker["state"] == "up").then_some(())
    })
    .await;
    let after = status(&stage.client).await;
    assert_eq!((&after["pool"]["places"], &after["pool"]["warm"]), (&json!(1), &json!(7)));
    assert_eq!(after["pools"], before["pools"]);
    stage.close();
}

#[tokio::test]
async fn a_node_that_cannot_fork_for_one_of_its_pools_is_not_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage::with(options(folder.path())).await;
    assert_eq!(status(&stage.client).await["ready"], true, "a node begins with all of its zygotes");
    let client = &stage.client;
    // Again and again: the node takes longer and longer to start another one.
    wait::eventually("a node that is not ready", Duration::from_secs(30), || async {
        let status = status(client).await;
        let zygote = pools(&status)["network"]["zygote"].as_u64();
        let process = zygote.and_then(|pid| Process::find(u32::try_from(pid).expect("a process id")));
        process.iter().for_each(Process::kill);
        (status["ready"] == false && zygote.is_none()).then_some(())
    })
    .await;
    wait::eventually("a node that is ready again", Duration::from_secs(30), || async {
        (status(client).await["ready"] == true).then_some(())
    })
    .await;
    call_each(client).await;
    stage.close();
}
