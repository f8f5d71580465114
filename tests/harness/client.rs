//! Requests over NATS as any application makes them, and replies held to what every reply must be.
//!
//! What a reply says is for the tests to judge; that it is a whole reply is judged here, for each of them.

use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use protocol::{Format, envelope, format};
use serde_json::{Value, json};

/// Longest wait for any reply; a test that means a shorter one says so itself.
const LIMIT: Duration = Duration::from_secs(40);

/// A connection to the broker.
#[derive(Debug, Clone)]
pub struct Client {
    nats: async_nats::Client,
}

/// A reply of a node.
#[derive(Debug)]
pub struct Answer {
    /// The whole envelope.
    pub body: Value,
    /// Its bytes as they came, for what a JSON value cannot hold.
    pub bytes: Bytes,
    /// The headers.
    pub headers: HeaderMap,
    /// From request to reply, as the caller sees it.
    pub took: Duration,
}

impl Client {
    /// Connects to the broker at `url`.
    ///
    /// # Panics
    /// There is none.
    pub async fn connect(url: &str) -> Self {
        let options = async_nats::ConnectOptions::new().connection_timeout(Duration::from_secs(5));
        Self { nats: options.connect(url).await.expect("a broker") }
    }

    /// Connects to the broker at `url` as a user with a password.
    ///
    /// # Panics
    /// There is none, or it refuses.
    pub async fn connect_as(url: &str, user: &str, password: &str) -> Self {
        let options =
            async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        Self { nats: options.connect(url).await.expect("a broker that takes this user") }
    }

    /// The connection itself, for what is no request to a node.
    #[must_use]
    pub fn nats(&self) -> &async_nats::Client {
        &self.nats
    }

    /// A bare payload in JSON.
    pub async fn call(&self, subject: &str, payload: &Value) -> Answer {
        self.send(subject, HeaderMap::new(), payload.to_string()).await
    }

    /// A bare payload in MessagePack.
    pub async fn call_packed(&self, subject: &str, payload: &Value) -> Answer {
        let body = rmp_serde::to_vec_named(payload).expect("a value that MessagePack has");
        self.send(subject, packed(), body).await
    }

    /// A whole envelope around `payload` with further fields in `more`.
    pub async fn call_whole(&self, subject: &str, payload: &Value, more: &Value) -> Answer {
        self.send(subject, HeaderMap::new(), whole(subject, payload, more).to_string()).await
    }

    /// Any bytes with any headers.
    ///
    /// # Panics
    /// Nobody answers, or the reply is not a whole one.
    pub async fn send(&self, subject: &str, headers: HeaderMap, body: impl Into<Bytes>) -> Answer {
        match self.try_send(subject, headers, body).await {
            Ok(answer) => answer,
            Err(error) => panic!("no reply from {subject}: {error}"),
        }
    }

    /// Any bytes with any headers; nobody there is an error.
    ///
    /// # Errors
    /// No node serves the subject, or none answers in time.
    pub async fn try_send(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Answer, async_nats::RequestError> {
        let request = async_nats::Request::new().headers(headers).payload(body.into()).timeout(Some(LIMIT));
        let begin = Instant::now();
        let message = self.nats.send_request(subject.to_owned(), request).await?;
        Ok(Answer::of(&message, begin.elapsed()))
    }
}

impl Client {
    /// Lets the next `times` visits of a point in the node's code panic.
    ///
    /// # Panics
    /// The node has no such point, or is a build without the feature `faults`.
    pub async fn strike(&self, point: &str, times: u64) {
        let body = json!({"point": point, "times": times}).to_string();
        let answer = self.nats.request("faults.strike", body.into()).await;
        let answer = answer.expect("a program with the feature `faults`: run `make build`");
        let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        assert_eq!(answer["armed"], true, "no such point: {point}");
    }
}

/// The headers of a MessagePack request.
#[must_use]
pub fn packed() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(format::CONTENT_TYPE, Format::MessagePack.content_type());
    headers
}

/// The whole envelope of an action around `payload`, with the fields of `more` added or put in place of the usual ones.
#[must_use]
pub fn whole(action: &str, payload: &Value, more: &Value) -> Value {
    let mut envelope = json!({
        "requestId": uuid::Uuid::now_v7().to_string(),
        "action": action,
        "payload": payload,
        "timestamp": jiff::Timestamp::now().to_string(),
    });
    for (key, value) in more.as_object().expect("further fields") {
        envelope[key] = value.clone();
    }
    envelope
}

impl Answer {
    /// Reads a reply and holds it to what every reply must be.
    ///
    /// # Panics
    /// It is not a whole reply.
    #[must_use]
    pub fn of(message: &Message, took: Duration) -> Self {
        let headers = message.headers.clone().unwrap_or_default();
        let media = headers.get(format::CONTENT_TYPE).map_or("", async_nats::HeaderValue::as_str);
        let body: Value = match Format::from_content_type(media).expect("a media type that we know") {
            Format::Json => serde_json::from_slice(&message.payload).expect("JSON"),
            Format::MessagePack => rmp_serde::from_slice(&message.payload).expect("MessagePack"),
        };
        let answer = Self { body, bytes: message.payload.clone(), headers, took };
        answer.check();
        answer
    }

    fn check(&self) {
        let id = self.body["requestId"].as_str();
        assert!(id.is_some_and(|id| !id.is_empty()), "a reply without its id: {}", self.body);
        assert_eq!(self.header(envelope::REQUEST_ID), id, "{}", self.body);
        assert!(self.header(envelope::NODE).is_some_and(|node| !node.is_empty()), "{:?}", self.headers);
        let number = self.header(envelope::ERROR_NUMBER);
        let text = self.header(envelope::ERROR_TEXT);
        if self.is_ok() {
            assert_eq!((number, text), (None, None), "a success with headers of a failure");
        } else {
            let number: u16 = number.expect("an error number").parse().expect("a number");
            assert!((400..600).contains(&number), "{number}");
            assert!(text.is_some_and(|text| text.starts_with(self.code())), "{text:?} of {}", self.body);
        }
    }

    /// Whether it is a success, of an action or of a channel.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        let said = self.body.get("ok").or_else(|| self.body.get("success"));
        said.and_then(Value::as_bool).unwrap_or_else(|| panic!("neither ok nor success: {}", self.body))
    }

    /// Holds it to be a success.
    ///
    /// # Panics
    /// It is a failure.
    pub fn ok(&self) {
        assert!(self.is_ok(), "failed: {}", self.body);
    }

    /// What a success returned.
    ///
    /// # Panics
    /// It is a failure.
    #[must_use]
    pub fn data(&self) -> &Value {
        assert!(self.is_ok(), "failed: {}", self.body);
        &self.body["data"]
    }

    /// The code of a failure, or `OK`.
    #[must_use]
    pub fn code(&self) -> &str {
        let code = self.body.pointer("/error/code").or_else(|| self.body.get("code"));
        code.and_then(Value::as_str).unwrap_or("OK")
    }

    /// The details of a failure of an action.
    ///
    /// # Panics
    /// There are none.
    #[must_use]
    pub fn details(&self) -> &Value {
        self.body.pointer("/error/details").unwrap_or_else(|| panic!("no details: {}", self.body))
    }

    /// Code and path of a refused request or a broken answer, of an action or of a channel.
    #[must_use]
    pub fn complaint(&self) -> (&str, &str) {
        let path =
            self.body.pointer("/error/details/path").or_else(|| self.body.pointer("/data/fields/0/path"));
        (self.code(), path.and_then(Value::as_str).unwrap_or(""))
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}
