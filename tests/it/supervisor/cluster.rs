//! `supervisor:status` for all nodes: one answer, whoever is there and whoever has just gone.

use std::time::Duration;

use futures_util::StreamExt;
use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::wait;
use serde_json::{Value, json};

fn named(name: &str, broker: &Broker) -> Node {
    Node::start(&broker.url(), &Options::new().roles("worker").argument("--name").argument(name))
}

/// All answers to a question for all nodes that come until one would have come for sure.
async fn answers(client: &Client) -> Vec<Value> {
    let nats = client.nats();
    let inbox = nats.new_inbox();
    let mut inbound = nats.subscribe(inbox.clone()).await.expect("a subscription");
    let question = json!({"cluster": true}).to_string();
    nats.publish_with_reply("supervisor.status", inbox, question.into()).await.expect("published");
    let mut answers = Vec::new();
    // Longer than the last candidate waits and gathers.
    while let Ok(message) = tokio::time::timeout(Duration::from_secs(2), inbound.next()).await {
        let message = message.expect("open");
        assert!(message.status.is_none(), "{:?}", message.status);
        answers.push(serde_json::from_slice(&message.payload).expect("JSON"));
    }
    answers
}

fn members(answer: &Value) -> Vec<(&str, bool)> {
    let nodes = answer["data"]["nodes"].as_array().unwrap_or_else(|| panic!("no nodes in {answer}"));
    nodes.iter().map(|node| (node["node"].as_str().expect("a name"), node["answered"] == true)).collect()
}

/// Waits until each node has heard of all of them.
async fn acquainted(client: &Client, names: &[&str]) {
    for name in names {
        wait::eventually("nodes to know each other", Duration::from_secs(10), || async {
            let answer = client.call("supervisor.status", &json!({"cluster": true, "node": name})).await;
            assert_eq!(answer.body["data"]["node"], **name);
            let nodes = answer.data()["nodes"].as_array().expect("nodes").clone();
            let others = nodes.iter().filter(|node| node["node"] != **name);
            (others.filter(|node| node["beatAgeMs"].is_u64()).count() + 1 == names.len()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn one_node_answers_for_all_and_another_when_it_has_died() {
    let broker = Broker::start();
    let [a, b, c] = ["a", "b", "c"].map(|name| named(name, &broker));
    let client = Client::connect(&broker.url()).await;
    acquainted(&client, &["a", "b", "c"]).await;
    let found = answers(&client).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["data"]["node"], "a");
    assert_eq!(members(&found[0]), [("a", true), ("b", true), ("c", true)]);
    let one = &found[0]["data"]["nodes"][1];
    assert_eq!((&one["roles"], &one["ready"]), (&json!(["worker", "supervisor"]), &json!(true)), "{one}");
    assert!(one["free"].as_u64() > Some(0) && one["version"].is_string(), "{one}");

    // It dies without a word: the others still hold it to live.
    assert!(a.end(rustix::process::Signal::KILL).left.is_empty());
    let found = answers(&client).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["data"]["node"], "b");
    assert_eq!(members(&found[0]), [("a", false), ("b", true), ("c", true)]);
    assert_eq!(found[0]["data"]["nodes"][0]["ready"], false);

    // One that stops says so, and is not missed.
    assert_eq!(b.stop().code, Some(0));
    wait::eventually("the node to be forgotten", Duration::from_secs(5), || async {
        let found = client.call("supervisor.status", &json!({"cluster": true})).await;
        (members(&found.body) == [("a", false), ("c", true)]).then_some(())
    })
    .await;
    assert_eq!(c.stop().code, Some(0));
}

#[tokio::test]
async fn the_command_line_shows_all_nodes_of_one_answer() {
    let broker = Broker::start();
    let [a, b] = ["node-a", "node-b"].map(|name| named(name, &broker));
    let client = Client::connect(&broker.url()).await;
    acquainted(&client, &["node-a", "node-b"]).await;
    let run = |words: &[&str]| {
        let output = harness::node::program().args(words).args(["--nats", &broker.url()]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = run(&["status", "--cluster"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NODE") && lines[0].contains("BEAT"), "{table}");
    assert!(lines[1].starts_with("node-a") && lines[2].starts_with("node-b"), "{table}");
    let json: Value = serde_json::from_str(&run(&["status", "--cluster", "--json"])).unwrap();
    let names: Vec<&Value> = json.as_array().expect("a list").iter().map(|node| &node["node"]).collect();
    assert_eq!(names, ["node-a", "node-b"]);
    assert_eq!((a.stop().code, b.stop().code), (Some(0), Some(0)));
}
