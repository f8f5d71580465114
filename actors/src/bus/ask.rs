//! Questions of one part to another over the bus. They bear the deadline and the correlation of the call that they
//! are asked for, and end by that deadline whatever the broker does.

use std::time::{Duration, Instant, SystemTime};

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Message, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use protocol::envelope::{CORRELATION_ID, DEADLINE, PROJECT, Reply};
use protocol::format::CONTENT_TYPE;
use protocol::{Failure, Format, channel, raw, subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Bus;
use crate::call::{Origin, millis};

impl Bus {
    /// Asks whoever serves `action`.
    ///
    /// # Errors
    /// What the other part answered; `UNAVAILABLE` if nobody serves it; `PY_TIMEOUT` if no answer came in time.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        action: &'static str,
        question: &Q,
        origin: &Origin,
    ) -> Result<A, Failure> {
        let body = serde_json::to_vec(question).map_err(|_| Failure::unavailable(action, 1_000))?;
        let answer = self.request(action, headers(origin), body.into(), origin).await?;
        // Where the other part says that it is too late, or says nothing of use, what counts is whether there is time.
        read(action, &answer.payload).map_err(|failure| match failure {
            Failure::Unavailable(_) if origin.deadline.left().is_zero() => {
                origin.deadline.passed_in_queue(None)
            }
            failure => failure,
        })
    }

    /// Asks whoever serves `action` with a whole envelope in MessagePack; the reply's body, in MessagePack too.
    ///
    /// # Errors
    /// `UNAVAILABLE` if nobody serves it; `PY_TIMEOUT` if no answer came in time; `PY_INVALID_RESPONSE` if it is in
    /// another format.
    pub async fn ask_packed(
        &self,
        action: &'static str,
        envelope: Bytes,
        origin: &Origin,
    ) -> Result<Bytes, Failure> {
        let mut headers = headers(origin);
        headers.insert(CONTENT_TYPE, Format::MessagePack.content_type());
        let answer = self.request(action, headers, envelope, origin).await?;
        match super::intake::header(answer.headers.as_ref(), CONTENT_TYPE).map(Format::from_content_type) {
            Some(Some(Format::MessagePack)) => Ok(answer.payload),
            _ => Err(Failure::response(action, "an answer in another format than its question")),
        }
    }

    /// Sends a request and waits for its reply by the deadline.
    async fn request(
        &self,
        action: &'static str,
        headers: HeaderMap,
        body: Bytes,
        origin: &Origin,
    ) -> Result<Message, Failure> {
        let left = origin.deadline.left();
        let late = || origin.deadline.passed_in_queue(None);
        if left.is_zero() {
            return Err(late());
        }
        let request = Request::new().payload(body).headers(headers).timeout(Some(left));
        let asked = self.client.send_request(self.prefix.subject(action), request);
        // The client's own timeout does not cover a full send queue.
        match tokio::time::timeout(left + Duration::from_millis(10), asked).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(Failure::unavailable(action, 1_000))
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::TimedOut => Err(late()),
            Ok(Err(_)) => Err(Failure::unavailable("broker", 1_000)),
            Err(_) => Err(late()),
        }
    }

    /// Asks all who hear `channel`, and takes the data of those who answer within `window`. What is no success is
    /// left out.
    pub async fn gather<Q: Serialize, A: DeserializeOwned>(
        &self,
        channel: &'static str,
        question: &Q,
        window: Duration,
    ) -> Vec<A> {
        self.gather_until(channel, question, window, |_: &[A]| false).await
    }

    /// The same, but only until those that have come are `enough`.
    pub async fn gather_until<Q: Serialize, A: DeserializeOwned>(
        &self,
        channel: &'static str,
        question: &Q,
        window: Duration,
        enough: impl Fn(&[A]) -> bool,
    ) -> Vec<A> {
        let end = Instant::now() + window;
        let mut answers = Vec::new();
        let gathered = async {
            let inbox = self.client.new_inbox();
            let mut replies = self.client.subscribe(inbox.clone()).await.ok()?;
            let body = serde_json::to_vec(question).ok()?;
            let asked = self.prefix.subject(&subject::of_channel(channel));
            self.client.publish_with_reply(asked, inbox, body.into()).await.ok()?;
            while answers.len() < MOST_ANSWERS && !enough(&answers) {
                let message = replies.next().await?;
                let read = raw::read_object::<channel::Reply>(Format::Json, &message.payload, "answer");
                let data = read.ok().and_then(|reply| reply.data);
                answers.extend(data.and_then(|data| serde_json::from_value(data).ok()));
            }
            Some(())
        };
        let left = end.saturating_duration_since(Instant::now());
        if let Ok(None) = tokio::time::timeout(left, gathered).await {
            tracing::warn!(channel, "others could not be asked");
        }
        answers
    }
}

/// Most answers that are taken to one question.
const MOST_ANSWERS: usize = 4_096;

fn read<A: DeserializeOwned>(action: &'static str, body: &[u8]) -> Result<A, Failure> {
    let broken = |_| Failure::response(action, "an answer that cannot be read");
    let reply = Reply::read(Format::Json, body).map_err(broken)?;
    match (reply.data, reply.error) {
        (Some(data), _) => {
            serde_json::from_value(data).map_err(|_| Failure::response(action, "an answer of another shape"))
        }
        (None, Some(error)) => {
            tracing::warn!(action, code = %error.code, "another part could not answer");
            Err(Failure::unavailable(action, 1_000))
        }
        (None, None) => Err(Failure::response(action, "an answer without data")),
    }
}

fn headers(origin: &Origin) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let deadline = SystemTime::now() + origin.deadline.left();
    let epoch = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    headers.insert(DEADLINE, millis(epoch).to_string());
    headers.insert(CORRELATION_ID, origin.correlation.to_string());
    headers.insert(PROJECT, origin.project.as_str().to_owned());
    headers
}
