//! Load over NATS: one connection, one reply subscription, requests matched by the last token of their inbox.

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::latencies::Latencies;

/// Longest wait for any one reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that makes load.
pub(crate) struct Client {
    nats: async_nats::Client,
}

/// What is asked again and again.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) subject: String,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Request {
    /// A bare payload in JSON.
    pub(crate) fn json(subject: &str, payload: &Value) -> Self {
        Self { subject: subject.to_owned(), headers: None, body: payload.to_string().into() }
    }

    /// A bare payload in MessagePack.
    pub(crate) fn packed(subject: &str, payload: &Value) -> Self {
        let body = rmp_serde::to_vec_named(payload).expect("a value that MessagePack has").into();
        Self { subject: subject.to_owned(), headers: Some(harness::client::packed()), body }
    }

    /// The same for a project.
    pub(crate) fn of_project(mut self, project: &str) -> Self {
        self.headers.get_or_insert_default().insert(protocol::envelope::PROJECT, project);
        self
    }

    /// The same to another subject.
    pub(crate) fn to(&self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self.clone() }
    }
}

/// What became of many requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// Successes a second.
    pub(crate) rate: f64,
    /// Requests that were refused and sent again.
    pub(crate) refused: usize,
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self { nats: async_nats::connect(url).await.expect("a connection") }
    }

    /// Requests one after the other.
    pub(crate) async fn sequential(&self, request: &Request, count: usize) -> Latencies {
        self.in_turn(std::slice::from_ref(request), count, |_, _| {}).await
    }

    /// Requests one after the other, each of `requests` in its turn; `look` sees which it was and the reply.
    pub(crate) async fn in_turn(
        &self,
        requests: &[Request],
        count: usize,
        mut look: impl FnMut(usize, &Message),
    ) -> Latencies {
        let (inbox, mut replies) = self.inbox().await;
        let mut latencies = Latencies::default();
        for (number, request) in (0..requests.len()).cycle().zip(requests.iter().cycle()).take(count) {
            let begun = Instant::now();
            self.publish(request, &inbox, 0).await;
            let reply = next(&mut replies).await;
            latencies.add(begun.elapsed());
            look(number, &reply);
        }
        latencies
    }

    /// Requests with `outstanding` under way at a time. One that is refused for want of a place is sent again.
    pub(crate) async fn many(&self, request: &Request, count: usize, outstanding: usize) -> Done {
        let (inbox, mut replies) = self.inbox().await;
        let begun = Instant::now();
        let (mut sent, mut done, mut refused) = (0, 0, 0);
        while done < count {
            while sent - done - refused < outstanding.min(count - done) {
                self.publish(request, &inbox, sent).await;
                sent += 1;
            }
            if is_answered(&reply(&mut replies).await) {
                done += 1;
            } else {
                refused += 1;
            }
        }
        Done { rate: count as f64 / begun.elapsed().as_secs_f64(), refused }
    }

    /// Requests at a fixed rate for a time, however late replies are; each of `requests` in its turn.
    pub(crate) async fn paced(&self, requests: &[Request], pause: Duration, count: usize) -> Latencies {
        let (inbox, mut replies) = self.inbox().await;
        let mut begun = Vec::with_capacity(count);
        let mut latencies = Latencies::default();
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut taken = 0;
        while taken < count {
            tokio::select! {
                reply = next(&mut replies) => {
                    let number = reply.subject.rsplit('.').next().and_then(|token| token.parse::<usize>().ok());
                    let begun: &Instant = &begun[number.expect("a number that was sent")];
                    latencies.add(begun.elapsed());
                    taken += 1;
                }
                _ = ticks.tick(), if begun.len() < count => {
                    let number = begun.len();
                    begun.push(Instant::now());
                    self.publish(&requests[number % requests.len()], &inbox, number).await;
                }
            }
        }
        latencies
    }

    /// One request, and the whole reply whatever it says.
    pub(crate) async fn ask(&self, request: &Request) -> Value {
        let (inbox, mut replies) = self.inbox().await;
        self.publish(request, &inbox, 0).await;
        let reply = tokio::time::timeout(PATIENCE, replies.next()).await;
        let reply = reply.expect("a reply in time").expect("a reply");
        serde_json::from_slice(&reply.payload).unwrap_or_else(|_| json!({"ok": reply.status.is_none()}))
    }

    async fn inbox(&self) -> (String, Subscriber) {
        let inbox = self.nats.new_inbox();
        let replies = self.nats.subscribe(format!("{inbox}.*")).await.expect("a subscription");
        self.nats.flush().await.expect("a flush");
        (inbox, replies)
    }

    async fn publish(&self, request: &Request, inbox: &str, number: usize) {
        let (reply, subject) = (format!("{inbox}.{number}"), request.subject.clone());
        let sent = match &request.headers {
            None => self.nats.publish_with_reply(subject, reply, request.body.clone()).await,
            Some(headers) => {
                let headers = headers.clone();
                self.nats.publish_with_reply_and_headers(subject, reply, headers, request.body.clone()).await
            }
        };
        sent.expect("a publish");
    }
}

/// The next reply.
async fn reply(replies: &mut Subscriber) -> Message {
    let reply = tokio::time::timeout(PATIENCE, replies.next()).await;
    reply.expect("a reply in time").expect("a reply")
}

/// The next reply, which must be a success.
async fn next(replies: &mut Subscriber) -> Message {
    let reply = reply(replies).await;
    assert!(is_answered(&reply), "refused: {:?}", reply.payload);
    reply
}

/// Whether a reply is a success; `OVERLOADED` is none, and any other failure must not pass for speed.
fn is_answered(reply: &Message) -> bool {
    let error = reply.headers.as_ref().and_then(|headers| headers.get(protocol::envelope::ERROR_TEXT));
    let refused = error.is_some_and(|text| text.as_str().starts_with("OVERLOADED"));
    assert!(refused || (error.is_none() && reply.status.is_none()), "not a success: {:?}", reply.payload);
    !refused
}
