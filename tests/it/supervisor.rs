//! What an operator asks of nodes: how all of them are, other sizes, a new part, an end.

mod cluster;
mod pools;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::processes::Process;
use harness::stage::Stage;
use harness::wait;
use serde_json::{Value, json};

use crate::deadlines::{self, deaths};

fn quick() -> Value {
    deadlines::request("others", "")
}

async fn pool(client: &Client) -> Value {
    client.call("supervisor.status", &json!({})).await.data()["pool"].clone()
}

async fn ask(stage: &Stage, channel: &str, mut payload: Value) -> harness::client::Answer {
    payload["node"] = json!(stage.node.name());
    stage.client.call(channel, &payload).await
}

#[tokio::test]
async fn a_pool_that_shrinks_ends_idle_cells_at_once_and_lets_running_ones_finish() {
    let stage = Stage::with(deadlines::options()).await;
    let two = ["others", "youtube"].map(|slug| {
        let context = harness::script::context(&json!({"id": "dQw4w9WgXcQ"}));
        json!({"script": slug, "context": context})
    });
    for payload in &two {
        assert!(stage.client.call("macro.render", payload).await.is_ok());
    }
    let payload = json!({"script": "cases", "context": harness::script::context(&json!({"case": "while", "seconds": 1}))});
    let running = stage.client.call("macro.render", &payload);
    let resized = async {
        let busy = deaths::busy_cell(&stage.client, "cases").await;
        let idle: Vec<Process> = stage.node.cells().into_iter().filter(|cell| *cell != busy).collect();
        assert!(idle.len() >= 2, "{idle:?}");
        let answer = ask(&stage, "supervisor.pool", json!({"resize": {"places": 1, "warm": 1}})).await;
        let pool = &answer.data()["pool"];
        assert_eq!((&pool["places"], &pool["warm"]), (&json!(1), &json!(1)), "{pool}");
        assert_eq!(pool["cells"].as_array().map(Vec::len), Some(1), "{pool}");
        wait::until("idle cells to end", Duration::from_secs(5), || {
            idle.iter().all(|cell| !cell.runs()).then_some(())
        });
        assert!(busy.runs(), "a cell was ended under its call");
    };
    let (answer, ()) = tokio::join!(running, resized);
    assert!(answer.is_ok(), "{}", answer.body);
    for payload in &two {
        assert!(stage.client.call("macro.render", payload).await.is_ok());
        assert_eq!(pool(&stage.client).await["cells"].as_array().map(Vec::len), Some(1), "more are kept");
    }
    stage.close();
}

#[tokio::test]
async fn a_pool_that_grows_runs_what_waited_for_a_place() {
    let stage = Stage::with(deadlines::options().setting("WORKER__PLACES", "1")).await;
    assert!(stage.client.call("macro.render", &quick()).await.is_ok());
    let endless = deadlines::call(&stage.client, "cases", "while", 8_000);
    let waiting = async {
        deaths::busy_cell(&stage.client, "cases").await;
        let payload = quick();
        let waits = stage.client.call("macro.render", &payload);
        let grown = async {
            wait::eventually("a call that waits", Duration::from_secs(5), || async {
                (pool(&stage.client).await["queued"] == 1).then_some(())
            })
            .await;
            ask(&stage, "supervisor.pool", json!({"resize": {"places": 2}})).await
        };
        let (answer, grown) = tokio::join!(waits, grown);
        assert_eq!((&grown.data()["pool"]["places"], &grown.data()["pool"]["warm"]), (&json!(2), &json!(64)));
        answer
    };
    let (endless, answer) = tokio::join!(endless, waiting);
    assert!(answer.is_ok(), "{}", answer.body);
    assert!(answer.took < Duration::from_secs(6), "waited for the other to end: {:?}", answer.took);
    assert_eq!(endless.code(), "PY_TIMEOUT");
    stage.close();
}

#[tokio::test]
async fn a_new_worker_or_zygote_loses_no_call() {
    let stage = Stage::with(deadlines::options()).await;
    for part in ["worker", "zygote", "scripts"] {
        let before = pool(&stage.client).await;
        let long = json!({"script": "cases", "context": harness::script::context(&json!({"case": "while", "seconds": 1.5}))});
        let running = stage.client.call("macro.render", &long);
        let restarted = async {
            deaths::busy_cell(&stage.client, "cases").await;
            let answer = ask(&stage, "supervisor.restart", json!({"part": part})).await;
            assert_eq!(answer.data(), &json!({"node": stage.node.name(), "part": part}));
            let payload = quick();
            let calls = (0..20).map(|_| stage.client.call("macro.render", &payload));
            for answer in join_all(calls).await {
                assert!(answer.is_ok(), "{part}: {}", answer.body);
            }
        };
        let (answer, ()) = tokio::join!(running, restarted);
        assert!(answer.is_ok(), "{part}: {}", answer.body);
        if part == "zygote" {
            let old = Process::find(u32::try_from(before["zygote"].as_u64().unwrap()).unwrap());
            wait::eventually("another zygote, and the old one to end", Duration::from_secs(10), || async {
                let zygote = pool(&stage.client).await["zygote"].clone();
                let gone = old.as_ref().is_none_or(|old| !old.runs());
                (zygote.is_u64() && zygote != before["zygote"] && gone).then_some(())
            })
            .await;
        }
    }
    let status = stage.client.call("supervisor.status", &json!({})).await;
    for part in status.data()["parts"].as_array().expect("parts") {
        let restarts = u8::from(part["name"] != "supervisor");
        assert_eq!((&part["state"], &part["restarts"]), (&json!("up"), &json!(restarts)), "{part}");
    }
    stage.close();
}

#[tokio::test]
async fn a_node_that_is_not_meant_does_nothing_and_stays_silent() {
    let stage = Stage::open().await;
    let nats = stage.client.nats();
    let inbox = nats.new_inbox();
    let mut inbound = nats.subscribe(inbox.clone()).await.unwrap();
    for (channel, payload) in [
        ("supervisor.status", json!({"node": "another", "cluster": true})),
        ("supervisor.restart", json!({"node": "another", "part": "scripts"})),
        ("supervisor.pool", json!({"node": "another", "resize": {"places": 1}})),
        ("supervisor.drain", json!({"node": "another"})),
    ] {
        nats.publish_with_reply(channel, inbox.clone(), payload.to_string().into()).await.unwrap();
    }
    let answer = tokio::time::timeout(Duration::from_secs(1), inbound.next()).await;
    assert!(answer.is_err(), "{answer:?}");
    let status = stage.client.call("supervisor.status", &json!({})).await;
    assert!(status.data()["pool"]["places"] != 1, "{}", status.body);
    let parts = status.data()["parts"].as_array().expect("parts");
    assert!(parts.iter().all(|part| part["restarts"] == 0), "{parts:?}");
    stage.close();
}

#[tokio::test]
async fn what_is_asked_of_a_node_twice_in_one_request_happens_once() {
    let stage = Stage::open().await;
    let envelope = |payload: &Value| {
        json!({
            "channel": "supervisor:restart", "requestId": "0192f1c0-0000-7000-8000-000000000000",
            "timestamp": jiff::Timestamp::now().as_millisecond(), "payload": payload,
            "context": {"operatorId": "0192f1c0-0000-7000-8000-000000000001", "operatorRole": "support_engineer", "locale": "en"},
        })
    };
    let payload = json!({"node": stage.node.name(), "part": "scripts"});
    for _ in 0..3 {
        let answer = stage.client.call("supervisor.restart", &envelope(&payload)).await;
        assert_eq!(answer.data(), &payload);
    }
    let restarts = || async {
        let status = stage.client.call("supervisor.status", &json!({})).await;
        let parts = status.data()["parts"].as_array().expect("parts").clone();
        parts.iter().find(|part| part["name"] == "scripts").expect("scripts")["restarts"].clone()
    };
    assert_eq!(restarts().await, 1);
    let other = json!({"node": stage.node.name(), "part": "worker"});
    assert!(stage.client.call("supervisor.restart", &envelope(&other)).await.is_ok());
    for _ in 0..2 {
        assert!(stage.client.call("supervisor.restart", &payload).await.is_ok());
    }
    assert_eq!(restarts().await, 3, "a bare payload is taken for a repeat");
    stage.close();
}

#[tokio::test]
async fn a_part_that_a_node_does_not_have_is_refused_with_those_that_it_has() {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let refused = ask(&stage, "supervisor.restart", json!({"part": "worker"})).await;
    assert_eq!(refused.complaint(), ("VALIDATION_ERROR", "payload.part"));
    assert!(refused.body.to_string().contains("expected one of scripts"), "{}", refused.body);
    let refused = ask(&stage, "supervisor.pool", json!({"resize": {"places": 1}})).await;
    assert_eq!(refused.complaint(), ("VALIDATION_ERROR", "payload.node"));
    let refused = ask(&stage, "supervisor.pool", json!({"resize": {"places": 0}})).await;
    assert_eq!(refused.complaint(), ("VALIDATION_ERROR", "payload.resize.places"));
    for channel in ["supervisor.restart", "supervisor.drain", "supervisor.pool"] {
        let refused = stage.client.call(channel, &json!({})).await;
        assert_eq!(refused.code(), "VALIDATION_ERROR", "{channel} without a node");
    }
    stage.close();
}

#[tokio::test]
async fn a_node_that_is_told_to_drain_answers_finishes_and_ends() {
    let stage = Stage::with(deadlines::options()).await;
    let second = Node::start(&stage.broker.url(), &deadlines::options());
    let long = json!({"script": "cases", "context": harness::script::context(&json!({"case": "while", "seconds": 1}))});
    let Stage { client, node, broker } = stage;
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.call("macro.render", &long).await }
    });
    let pid = node.pid();
    let busy = wait::eventually("a busy node", Duration::from_secs(10), || async {
        for name in [node.name(), second.name()] {
            let status = client.call("supervisor.status", &json!({"node": name})).await;
            if status.data()["pool"]["running"] != 0 {
                return Some(name.to_owned());
            }
        }
        None
    })
    .await;
    let (busy, idle) = if busy == node.name() { (node, second) } else { (second, node) };
    assert!(pid == busy.pid() || pid == idle.pid());
    let answer = client.call("supervisor.drain", &json!({"node": busy.name()})).await;
    assert_eq!(answer.data(), &json!({"node": busy.name(), "drainMs": 30_000}));
    assert_eq!(answer.header("Callboard-Node"), Some(busy.name()));
    let pid = busy.pid();
    let ended = tokio::task::spawn_blocking(move || {
        wait::until("the node to end", Duration::from_secs(20), || {
            Process::find(pid).is_none_or(|process| process.is_zombie()).then_some(())
        });
        busy.stop()
    });
    assert!(running.await.unwrap().is_ok());
    let stopped = ended.await.unwrap();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.left.is_empty(), "{:?}", stopped.left);
    assert!(client.call("macro.render", &quick()).await.is_ok());
    assert!(idle.stop().left.is_empty());
    drop(broker);
}
