//! Load over NATS: one connection, one reply subscription, requests matched by the last token of their inbox.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::figures::Latencies;

/// Longest wait for any one reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that makes load.
pub(crate) struct Client {
    nats: async_nats::Client,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self { nats: async_nats::connect(url).await.expect("a connection") }
    }

    /// Requests one after the other.
    pub(crate) async fn sequential(&self, subject: &str, body: &str, count: usize) -> Latencies {
        let (inbox, mut replies) = self.inbox().await;
        let body = Bytes::from(body.to_owned());
        let mut latencies = Latencies::new();
        for _ in 0..count {
            let begun = Instant::now();
            self.publish(subject, &inbox, 0, &body).await;
            let reply = tokio::time::timeout(PATIENCE, replies.next())
                .await
                .expect("a reply in time")
                .expect("a reply");
            latencies.add(begun.elapsed());
            check(&reply);
        }
        latencies
    }

    /// Requests with `outstanding` under way at a time; gives replies a second.
    pub(crate) async fn many(&self, subject: &str, body: &str, count: usize, outstanding: usize) -> f64 {
        let (inbox, mut replies) = self.inbox().await;
        let body = Bytes::from(body.to_owned());
        let begun = Instant::now();
        for number in 0..outstanding {
            self.publish(subject, &inbox, number, &body).await;
        }
        for done in 1..=count {
            let reply = tokio::time::timeout(PATIENCE, replies.next())
                .await
                .expect("a reply in time")
                .expect("a reply");
            check(&reply);
            if done + outstanding <= count {
                self.publish(subject, &inbox, done + outstanding, &body).await;
            }
        }
        count as f64 / begun.elapsed().as_secs_f64()
    }

    async fn inbox(&self) -> (String, async_nats::Subscriber) {
        let inbox = self.nats.new_inbox();
        let replies = self.nats.subscribe(format!("{inbox}.*")).await.expect("a subscription");
        self.nats.flush().await.expect("a flush");
        (inbox, replies)
    }

    async fn publish(&self, subject: &str, inbox: &str, number: usize, body: &Bytes) {
        let reply = format!("{inbox}.{number}");
        self.nats.publish_with_reply(subject.to_owned(), reply, body.clone()).await.expect("a publish");
    }

    async fn request(&self, body: &Value) -> Value {
        let reply = self.nats.request("macro.render", body.to_string().into()).await.expect("a reply");
        serde_json::from_slice(&reply.payload).expect("JSON")
    }
}

/// A failure must not pass for speed.
fn check(reply: &async_nats::Message) {
    let failed = reply.headers.as_ref().is_some_and(|headers| headers.get("Nats-Service-Error").is_some());
    assert!(!failed && reply.status.is_none(), "not a success: {:?}", reply.payload);
}

/// How long after the `PY_TIMEOUT` of an endless loop the same script answers again.
pub(crate) async fn print_kill_to_next(client: &Client) {
    let context = |on: bool| json!({"env": {"isPreview": false}, "params": {"on": on}});
    let endless = json!({
        "requestId": "bench", "action": "macro.render", "timestamp": jiff::Timestamp::now().to_string(), "timeoutMs": 50,
        "payload": {"script": "loop", "context": context(true)},
    });
    let mut next = Latencies::new();
    let mut late = Latencies::new();
    for _ in 0..20 {
        let mut endless = endless.clone();
        endless["timestamp"] = json!(jiff::Timestamp::now().to_string());
        let begun = Instant::now();
        let reply = client.request(&endless).await;
        late.add(begun.elapsed().saturating_sub(Duration::from_millis(50)));
        assert_eq!(reply["error"]["code"], "PY_TIMEOUT", "{reply}");
        let begun = Instant::now();
        let reply = client.request(&json!({"script": "loop", "context": context(false)})).await;
        next.add(begun.elapsed());
        assert_eq!(reply["ok"], true, "{reply}");
    }
    println!(
        "\nafter an endless loop (20 times): PY_TIMEOUT {late} past the deadline; next answer of that script {next}"
    );
}
