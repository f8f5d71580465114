//! The NATS micro service (ADR-32) that every node is: found, described and counted by tools that know nothing of us.

use std::time::Duration;

use futures_util::StreamExt;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::script;
use harness::stage::Stage;
use protocol::{actions, channels};
use serde_json::{Value, json};

/// Every reply to an empty request on `subject`, until `expected` have come; one more would be found by the last check.
async fn replies(client: &Client, subject: &str, expected: usize) -> Vec<Value> {
    let nats = client.nats();
    let inbox = nats.new_inbox();
    let mut inbound = nats.subscribe(inbox.clone()).await.expect("a subscription");
    nats.publish_with_reply(subject.to_owned(), inbox, "".into()).await.expect("published");
    let mut replies = Vec::new();
    while replies.len() < expected {
        let next = tokio::time::timeout(Duration::from_secs(5), inbound.next()).await;
        let message = next
            .unwrap_or_else(|_| panic!("{} of {expected} replies to {subject}", replies.len()))
            .expect("open");
        assert!(message.status.is_none(), "{subject}: {:?}", message.status);
        replies.push(serde_json::from_slice(&message.payload).expect("JSON"));
    }
    let more = tokio::time::timeout(Duration::from_millis(200), inbound.next()).await;
    assert!(more.is_err(), "more than {expected} replies to {subject}");
    replies
}

fn endpoint<'a>(reply: &'a Value, subject: &str) -> &'a Value {
    let endpoints = reply["endpoints"].as_array().expect("endpoints");
    endpoints
        .iter()
        .find(|endpoint| endpoint["subject"] == subject)
        .unwrap_or_else(|| panic!("no {subject} in {reply}"))
}

#[tokio::test]
async fn each_node_answers_to_the_services_name_and_its_own_id() {
    let stage = Stage::open().await;
    let second = Node::start(&stage.broker.url(), &Options::new());
    for subject in ["$SRV.PING", "$SRV.PING.callboard"] {
        let pings = replies(&stage.client, subject, 2).await;
        assert_ne!(pings[0]["id"], pings[1]["id"]);
        for ping in &pings {
            assert_eq!(
                (&ping["type"], &ping["name"]),
                (&json!("io.nats.micro.v1.ping_response"), &json!("callboard"))
            );
            assert_eq!(ping["version"].as_str().map(|version| version.split('.').count()), Some(3), "{ping}");
            let own = format!("$SRV.PING.callboard.{}", ping["id"].as_str().expect("an id"));
            assert_eq!(replies(&stage.client, &own, 1).await[0]["id"], ping["id"]);
        }
    }
    assert!(stage.client.nats().request("$SRV.PING.another", "".into()).await.is_err());
    assert!(second.stop().left.is_empty());
    stage.close();
}

#[tokio::test]
async fn a_ping_without_a_reply_subject_harms_nobody() {
    let stage = Stage::open().await;
    for subject in ["$SRV.PING", "$SRV.INFO.callboard", "$SRV.STATS"] {
        stage.client.nats().publish(subject, "".into()).await.unwrap();
    }
    assert_eq!(replies(&stage.client, "$SRV.PING", 1).await.len(), 1);
    assert!(stage.client.call("script.list", &json!({})).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn info_names_every_subject_that_the_node_serves() {
    let stage = Stage::open().await;
    let info = replies(&stage.client, "$SRV.INFO.callboard", 1).await.remove(0);
    assert_eq!(info["type"], "io.nats.micro.v1.info_response");
    assert!(!info["description"].as_str().unwrap_or_default().is_empty());
    let metadata = info["metadata"].as_object().expect("metadata");
    assert!(metadata.values().all(Value::is_string), "{info}");
    assert!(metadata.values().any(|value| value == stage.node.name()), "no node name in {info}");
    for action in actions::ALL {
        let endpoint = endpoint(&info, action.name);
        assert_eq!(endpoint["queue_group"], action.role.as_str(), "{endpoint}");
        let name = endpoint["name"].as_str().expect("a name");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{name}");
    }
    for channel in channels::ALL {
        endpoint(&info, &channel.name.replace(':', "."));
    }
    stage.close();
}

#[tokio::test]
async fn a_node_of_one_role_serves_the_subjects_of_that_role() {
    let stage = Stage::with(Options::new().roles("scripts")).await;
    let info = replies(&stage.client, "$SRV.INFO", 1).await.remove(0);
    endpoint(&info, "script.list");
    endpoint(&info, "supervisor.status");
    let subjects: Vec<&str> = info["endpoints"]
        .as_array()
        .expect("endpoints")
        .iter()
        .filter_map(|one| one["subject"].as_str())
        .collect();
    assert!(!subjects.contains(&"macro.render"), "{subjects:?}");
    assert!(stage.client.call("script.list", &json!({})).await.is_ok());
    stage.close();
}

#[tokio::test]
async fn statistics_count_requests_and_failures_and_hold_no_content() {
    let fail = "def render(context):\n    raise ValueError('CANARY-31fe')\n";
    let stage = Stage::with(Options::new().script("fail.py", script::render("fail", fail))).await;
    let call = |slug: &str| {
        let payload = json!({"script": slug, "context": script::context(&json!({"id": "76979871"}))});
        let client = stage.client.clone();
        async move { client.call("macro.render", &payload).await }
    };
    for _ in 0..3 {
        assert!(call("vimeo").await.is_ok());
    }
    for _ in 0..2 {
        assert!(!call("fail").await.is_ok());
    }
    let stats = replies(&stage.client, "$SRV.STATS.callboard", 1).await.remove(0);
    assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
    assert!(stats["started"].as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{stats}");
    let counted = endpoint(&stats, "macro.render");
    assert_eq!((&counted["num_requests"], &counted["num_errors"]), (&json!(5), &json!(2)), "{counted}");
    assert!(
        counted["last_error"].as_str().is_some_and(|error| error.contains("PY_ACTION_FAILED")),
        "{counted}"
    );
    let (all, mean) = (counted["processing_time"].as_u64(), counted["average_processing_time"].as_u64());
    assert!(mean > Some(0) && all.map(|all| all / 5) == mean, "{counted}");
    assert_eq!(endpoint(&stats, "utility.run")["num_requests"], 0);
    assert!(!stats.to_string().contains("CANARY"), "{stats}");
    stage.close();
}

#[tokio::test]
async fn a_node_says_that_it_lives_and_what_it_has_free() {
    let stage = Stage::open().await;
    let mut beats = stage.client.nats().subscribe("supervisor.heartbeat.*").await.unwrap();
    let beat = tokio::time::timeout(Duration::from_secs(10), beats.next()).await.expect("a beat").unwrap();
    assert_eq!(beat.subject.as_str(), format!("supervisor.heartbeat.{}", stage.node.name()));
    let beat: serde_json::Value = serde_json::from_slice(&beat.payload).unwrap();
    assert_eq!((&beat["node"], &beat["ready"]), (&json!(stage.node.name()), &json!(true)), "{beat}");
    assert!(beat["free"].as_u64() > Some(0), "{beat}");
    stage.close();
}
