//! The broker settings that come with Callboard, in a real broker: `nats.conf` and the accounts of `deploy/nats`.

use std::time::Duration;

use futures_util::StreamExt;
use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::{script, tools, wait};
use serde_json::{Value, json};

fn request() -> Value {
    json!({"script": "youtube", "context": script::context(&json!({"id": "dQw4w9WgXcQ"}))})
}

#[tokio::test]
async fn a_node_works_on_a_broker_with_our_settings_and_channels_have_their_colon_form() {
    let broker = Broker::of_file(&tools::repository().join("nats.conf"), &[]);
    let node = Node::start(&broker.url(), &Options::new());
    let client = Client::connect(&broker.url()).await;
    assert!(client.call("macro.render", &request()).await.is_ok());
    for channel in ["script:list", "supervisor:status"] {
        let answer = client.call(channel, &json!({})).await;
        assert_eq!((answer.code(), &answer.body["channel"]), ("OK", &json!(channel)));
    }
    assert_eq!(client.nats().server_info().max_payload, 8 << 20);
    assert_eq!(node.stop().code, Some(0));
}

const PASSWORDS: [(&str, &str); 3] = [
    ("CALLBOARD_APPLICATION_PASSWORD", "a-pw"),
    ("CALLBOARD_OPERATOR_PASSWORD", "o-pw"),
    ("CALLBOARD_NODE_PASSWORD", "n-pw"),
];

fn with_user(broker: &Broker, user: &str, password: &str) -> String {
    broker.url().replace("nats://", &format!("nats://{user}:{password}@"))
}

#[tokio::test]
async fn accounts_let_each_do_its_own_and_nothing_else() {
    let broker = Broker::of_file(&tools::repository().join("deploy/nats/accounts.conf"), &PASSWORDS);
    let node = Node::start(&with_user(&broker, "node", "n-pw"), &Options::new());
    assert_eq!(node.url(), broker.url(), "the line `ready` shows a password");

    let application = Client::connect_as(&broker.url(), "application", "a-pw").await;
    let answer = application.call("macro.render", &request()).await;
    assert!(answer.is_ok(), "{}", answer.body);
    assert!(application.call("script.list", &json!({})).await.is_ok());
    let operator = Client::connect_as(&broker.url(), "operator", "o-pw").await;
    assert!(operator.call("supervisor.status", &json!({})).await.is_ok());
    let all = operator.call("supervisor.status", &json!({"cluster": true})).await;
    assert_eq!(all.data()["nodes"][0]["answered"], true, "{}", all.body);
    let resize = json!({"node": node.name(), "resize": {"places": 2}});
    assert_eq!(operator.call("supervisor.pool", &resize).await.data()["pool"]["places"], 2);

    // Neither may listen to what others ask, nor ask what is not theirs. The broker says so in its log.
    let mut overheard = application.nats().subscribe("macro.render").await.unwrap();
    application.nats().publish("supervisor.status", "{}".into()).await.unwrap();
    application.nats().flush().await.unwrap();
    wait::until("the broker's refusals", Duration::from_secs(5), || {
        let log = broker.log();
        let refused = |what: &str| log.lines().any(|line| line.contains("Violation") && line.contains(what));
        (refused("Subscription") && refused("Publish")).then_some(())
    });
    assert!(application.call("macro.render", &request()).await.is_ok());
    assert!(futures_util::FutureExt::now_or_never(overheard.next()).flatten().is_none());

    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0));
    assert!(!stopped.stderr.contains("n-pw"), "a password in the log: {}", stopped.stderr);
    assert!(!broker.log().contains("Violation - Nkey"), "{}", broker.log());
    let by_node =
        broker.log().lines().filter(|line| line.contains("Violation") && line.contains("\"node\"")).count();
    assert_eq!(by_node, 0, "the node asked for what it may not: {}", broker.log());
}

#[tokio::test]
async fn a_broker_that_refuses_a_node_ends_it_with_its_own_status() {
    let broker = Broker::of_file(&tools::repository().join("deploy/nats/accounts.conf"), &PASSWORDS);
    let data = tempfile::tempdir().unwrap();
    let url = with_user(&broker, "node", "wrong");
    let run = move || {
        harness::node::program().args(["dev", "--nats", &url, "--data"]).arg(data.path()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(!said.contains("wrong@") && !said.contains(":wrong"), "a password in the log: {said}");
}
