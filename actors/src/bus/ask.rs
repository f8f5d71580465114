//! Questions of one part to another over the bus. They bear the deadline and the correlation of the call that they
//! are asked for, and end by that deadline whatever the broker does.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use opentelemetry::trace::SpanKind;
use protocol::envelope::{CORRELATION_ID, DEADLINE, ERROR_TEXT, PROJECT, Reply};
use protocol::format::CONTENT_TYPE;
use protocol::{Failure, Format, channel, raw, subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Bus;
use super::intake::too_large;
use super::link::{Block, Message, Refused, To};
use crate::call::{Origin, millis};
use crate::telemetry::trace::Trace;

impl Bus {
    /// Asks whoever serves `action`.
    ///
    /// # Errors
    /// What the other part answered; `UNAVAILABLE` if nobody serves it; `PY_TIMEOUT` if no answer came in time;
    /// `PY_INVALID_RESPONSE` with `reason: "too_large"` if the broker does not carry the question.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        action: &'static str,
        question: &Q,
        origin: &Origin,
    ) -> Result<A, Failure> {
        let body = serde_json::to_vec(question).map_err(|_| Failure::unavailable(action, 1_000))?;
        let answer = self.request(action, None, &body, origin).await?;
        // Where the other part says that it is too late, or says nothing of use, what counts is whether there is time.
        read(action, answer.payload()).map_err(|failure| match failure {
            Failure::Unavailable(_) if origin.deadline.left() < ROUNDED => {
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
        let answer = self.request(action, Some(Format::MessagePack), &envelope, origin).await?;
        match answer.headers().get(CONTENT_TYPE).map(Format::from_content_type) {
            Some(Some(Format::MessagePack)) => Ok(answer.to_payload()),
            _ => Err(Failure::response(action, "an answer in another format than its question")),
        }
    }

    /// Sends a request and waits for its reply by the deadline.
    async fn request(
        &self,
        action: &'static str,
        format: Option<Format>,
        body: &[u8],
        origin: &Origin,
    ) -> Result<Message, Failure> {
        let left = origin.deadline.left();
        let late = || origin.deadline.passed_in_queue(None);
        if left.is_zero() {
            return Err(late());
        }
        let subject = self.prefix.subject(action);
        let (trace, mut span) = origin.trace.child("send", SpanKind::Client, Instant::now());
        let asked = self.link.request(&subject, |block| headers(block, format, origin, &trace), body);
        let answer = match tokio::time::timeout(left, asked).await {
            Ok(Ok(answer)) if answer.is_no_responders() => Err(Failure::unavailable(action, 1_000)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Refused::TooLarge(size))) => Err(too_large(size, self.max_payload())),
            Ok(Err(Refused::Full | Refused::Closed | Refused::Subject)) => {
                Err(Failure::unavailable("broker", 1_000))
            }
            Err(_) => Err(late()),
        };
        if let Some(span) = &mut span {
            span.is_message("send", &subject);
            let said = answer.as_ref().ok().and_then(|answer| answer.headers().get(ERROR_TEXT));
            match (&answer, said) {
                (Err(failure), _) => span.fail(failure.code().as_str()),
                (Ok(_), Some(_)) => span.fail("remote"),
                (Ok(_), None) => {}
            }
        }
        answer
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
            let inbox = self.link.new_inbox();
            let mut replies = self.link.hear(inbox.clone());
            let body = serde_json::to_vec(question).ok()?;
            let subject = self.prefix.subject(&subject::of_channel(channel));
            self.link.publish_bare(To { subject: &subject, reply: Some(&inbox) }, &body).ok()?;
            while answers.len() < MOST_ANSWERS && !enough(&answers) {
                let message = replies.next().await?;
                let read = raw::read_object::<channel::Reply>(Format::Json, message.payload(), "answer");
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

/// How much earlier a deadline may be over for the part that was asked: it travels in whole milliseconds, and so does what
/// the way takes.
const ROUNDED: Duration = Duration::from_millis(5);
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

fn headers(block: &mut Block<'_>, format: Option<Format>, origin: &Origin, trace: &Trace) {
    let deadline = SystemTime::now() + origin.deadline.left();
    let epoch = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    block.put(DEADLINE, itoa::Buffer::new().format(millis(epoch)));
    origin.correlation.with_text(|text| block.put(CORRELATION_ID, text));
    block.put(PROJECT, origin.project.as_str());
    trace.headers(|name, value| block.put(name, value));
    if let Some(format) = format {
        block.put(CONTENT_TYPE, format.content_type());
    }
}
