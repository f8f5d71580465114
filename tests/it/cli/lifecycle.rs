//! How a node begins and ends: with its own broker or on one that is there, alone or beside others.

use std::time::Duration;

use futures_util::future::join_all;
use harness::broker::Broker;
use harness::client::Client;
use harness::node::{self, Node, Options};
use harness::processes::Process;
use harness::script;
use harness::stage::Stage;
use rustix::process::Signal;
use serde_json::{Value, json};

fn request() -> Value {
    json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))})
}

#[tokio::test]
async fn a_node_brings_its_own_broker_and_takes_it_along() {
    let node = Node::with_its_own_broker(&Options::new());
    assert!(node.url().starts_with("nats://127.0.0.1:"), "{}", node.url());
    let client = Client::connect(node.url()).await;
    assert!(client.call("macro.render", &request()).await.is_ok());
    let brokers = node.family().iter().filter(|process| process.name == "nats-server").count();
    assert_eq!(brokers, 1, "{:?}", node.family());
    let stopped = node.stop();
    assert_eq!((stopped.code, stopped.stdout.lines().count()), (Some(0), 1), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn a_broker_of_its_own_does_not_outlive_a_node_that_is_killed() {
    let node = Node::with_its_own_broker(&Options::new());
    let stopped = node.end(Signal::KILL);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn a_node_whose_broker_dies_ends_and_says_why() {
    let node = Node::with_its_own_broker(&Options::new());
    let broker = node.family().into_iter().find(|process| process.name == "nats-server").expect("a broker");
    broker.kill();
    let pid = node.pid();
    harness::wait::until("the node to end", Duration::from_secs(20), || {
        Process::find(pid).is_none_or(|process| process.is_zombie()).then_some(())
    });
    let stopped = node.end(Signal::TERM);
    assert_eq!(stopped.code, Some(3), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("broker"), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn an_interrupt_stops_a_node_as_cleanly() {
    let broker = Broker::start();
    let node = Node::start(&broker.url(), &Options::new());
    let stopped = node.end(Signal::INT);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[test]
fn a_node_without_its_broker_says_so_and_ends() {
    for words in [
        vec!["dev", "--nats", "nats://127.0.0.1:9"],
        vec!["node", "--roles", "worker", "--nats", "nats://127.0.0.1:9"],
    ] {
        let data = tempfile::tempdir().unwrap();
        let output = node::program().args(&words).arg("--data").arg(data.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[tokio::test]
async fn what_runs_when_a_node_is_stopped_runs_to_its_end() {
    let body = "import time\n\ndef main(input=None):\n    time.sleep(1)\n    return 'done'\n";
    let stage = Stage::with(Options::new().script("slow.py", script::main("slow", body))).await;
    let Stage { client, node, broker } = stage;
    let call = tokio::spawn(async move { client.call("utility.run", &json!({"script": "slow"})).await });
    let watcher = Client::connect(&broker.url()).await;
    harness::wait::eventually("the call to run", Duration::from_secs(5), || async {
        let status = watcher.call("supervisor.status", &json!({})).await;
        (status.data()["pool"]["running"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let stopped = tokio::task::spawn_blocking(move || node.stop()).await.unwrap();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_eq!(call.await.unwrap().data()["result"], "done");
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
}

#[tokio::test]
async fn nodes_share_the_work_and_one_that_stops_loses_none_of_it() {
    let stage = Stage::open().await;
    let second = Node::start(&stage.broker.url(), &Options::new());
    let first_name = stage.node.name().to_owned();
    assert_ne!(second.name(), first_name);
    harness::wait::eventually("a call that the second node takes", Duration::from_secs(10), || async {
        let answer = stage.client.call("macro.render", &request()).await;
        (answer.header("Callboard-Node") == Some(second.name())).then_some(())
    })
    .await;
    let client = stage.client.clone();
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let load = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(4));
        let mut calls = Vec::new();
        let mut begun = Some(begun);
        for n in 0..400 {
            tick.tick().await;
            let client = client.clone();
            calls.push(tokio::spawn(async move { client.call("macro.render", &request()).await }));
            if n == 100 {
                begun.take().map(|begun| begun.send(()));
            }
        }
        join_all(calls).await
    });
    beginning.await.expect("load");
    let stopped = tokio::task::spawn_blocking(move || second.stop()).await.unwrap();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let mut by_first = 0;
    for answer in load.await.unwrap() {
        let answer = answer.expect("a call");
        assert!(answer.is_ok(), "{}", answer.body);
        by_first += usize::from(answer.header("Callboard-Node") == Some(&first_name));
    }
    println!("400 calls, {by_first} of them by the node that stayed");
    assert!((100..400).contains(&by_first), "the node that stopped did not share the work");
    stage.close();
}

#[tokio::test]
async fn roles_on_two_machines_find_each_other() {
    let broker = Broker::start();
    let scripts = Node::start(&broker.url(), &Options::new().roles("scripts"));
    let worker = Node::start(&broker.url(), &Options::new().roles("worker"));
    let client = Client::connect(&broker.url()).await;
    let answer = client.call("macro.render", &request()).await;
    assert!(answer.is_ok(), "{}", answer.body);
    assert_eq!(answer.header("Callboard-Node"), Some(worker.name()));
    let listed = client.call("script.list", &json!({})).await;
    assert_eq!(listed.header("Callboard-Node"), Some(scripts.name()));
    assert_eq!(worker.stop().code, Some(0));
    assert_eq!(scripts.stop().code, Some(0));
}

#[tokio::test]
async fn the_node_itself_holds_no_python() {
    let stage = Stage::open().await;
    let maps = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its memory map");
    let node = maps(stage.node.pid());
    assert!(
        node.contains("callboard") && !node.contains("libpython") && !node.contains("libcallboard_cell"),
        "{node}"
    );
    stage.close();
}
