//! Whoever serves `llm.complete`, for tests of those who ask: a subscriber on the real broker that answers as it is
//! told. How models are really reached is not tested with it.

use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{HeaderMap, Message};
use futures_util::StreamExt as _;
use protocol::{Format, format};
use serde_json::{Value, json};

use crate::client::Client;

/// What it answers to a payload; nothing, if there is no answer ever.
type Rule = dyn Fn(&Value) -> Option<Value> + Send + Sync;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The whole envelope.
    pub envelope: Value,
    /// The headers.
    pub headers: HeaderMap,
}

/// A running responder; ends with its owner.
#[derive(Debug)]
pub struct Model {
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    /// Serves `llm.complete`; `rule` makes a whole reply, such as [`answer`], of a payload.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn start(
        client: &Client,
        rule: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let nats = client.nats().clone();
        let mut requests = nats.subscribe("llm.complete").await.expect("a subscription");
        nats.flush().await.expect("a connection");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (seen, rule): (_, Box<Rule>) = (Arc::clone(&asked), Box::new(rule));
        let task = tokio::spawn(async move {
            while let Some(Message { reply, headers, payload, .. }) = requests.next().await {
                let envelope: Value = rmp_serde::from_slice(&payload).expect("an envelope in MessagePack");
                let answered = rule(&envelope["payload"]);
                let headers = headers.unwrap_or_default();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Asked { envelope, headers });
                let (Some(inbox), Some(answer)) = (reply, answered) else { continue };
                let body = rmp_serde::to_vec_named(&answer).expect("MessagePack");
                let mut headers = HeaderMap::new();
                headers.insert(format::CONTENT_TYPE, Format::MessagePack.content_type());
                nats.publish_with_headers(inbox, headers, body.into()).await.expect("a connection");
            }
        });
        Self { asked, task }
    }

    /// What came so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A model's answer of that text.
#[must_use]
pub fn answer(text: &str) -> Value {
    let usage = json!({"inputTokens": 3, "outputTokens": 4});
    let data = json!({"text": text, "modelName": "m", "finishReason": "stop", "usage": usage});
    json!({"requestId": "r", "ok": true, "data": data, "timestamp": "2026-01-01T00:00:00Z"})
}

/// A failure with a reason.
#[must_use]
pub fn failure(code: &str, reason: &str) -> Value {
    let error = json!({"code": code, "message": "words", "details": {"reason": reason}});
    json!({"requestId": "r", "ok": false, "error": error, "timestamp": "2026-01-01T00:00:00Z"})
}

/// The text that was asked about.
#[must_use]
pub fn question(payload: &Value) -> &str {
    payload["messages"][0]["content"].as_str().unwrap_or_default()
}
