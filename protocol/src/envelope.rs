//! The envelope of actions: what a request may hold and how a reply is written. Channels have their own, in `channel`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::failure::{self, ActionUnknown, Failure};
use crate::format::Format;
use crate::problem::{Problem, ROOT, safe};
use crate::raw::{self, Raw};
use crate::writer::Writer;

/// Header that carries a call's deadline onward, in ms since the epoch.
pub const DEADLINE: &str = "Callboard-Deadline";
/// Header that names the project of a bare payload.
pub const PROJECT: &str = "Callboard-Project";
/// Header of every reply: the request it answers.
pub const REQUEST_ID: &str = "Callboard-Request-Id";
/// Header of every reply: the node that answered.
pub const NODE: &str = "Callboard-Node";
/// Header that joins what belongs together over several requests; a UUID.
pub const CORRELATION_ID: &str = "Callboard-Correlation-Id";
/// ADR-32 header of a failure: its number.
pub const ERROR_NUMBER: &str = "Nats-Service-Error-Code";
/// ADR-32 header of a failure: its code and text.
pub const ERROR_TEXT: &str = "Nats-Service-Error";

/// A caller's id for a request: 1–128 characters of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct RequestId(#[schemars(length(min = 1, max = 128), regex(pattern = r"^[\x20-\x7e]+$"))] Arc<str>);

impl RequestId {
    /// Checks `text`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b));
        fits.then(|| Self(text.into()))
    }

    /// A new id, a UUID v7, for a caller who gave none.
    #[must_use]
    pub fn generate() -> Self {
        crate::Id::generate().into()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<crate::Id> for RequestId {
    fn from(id: crate::Id) -> Self {
        Self(id.with_text(|text| text.into()))
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        Self::new(&text).ok_or_else(|| safe("expected 1 to 128 characters of printable ASCII"))
    }
}

/// The isolation boundary of scripts, records and state: `[a-z0-9_]{1,64}`, refused otherwise, never normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Project(#[schemars(regex(pattern = r"^[a-z0-9_]{1,64}$"))] Cow<'static, str>);

impl Project {
    /// Checks `text`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        fits.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Project {
    fn default() -> Self {
        Self(Cow::Borrowed("default"))
    }
}

impl<'de> Deserialize<'de> for Project {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        Self::new(&text).ok_or_else(|| safe("expected 1 to 64 characters of a-z, 0-9 and _"))
    }
}

/// What a caller must show to cancel or resume its call. Cannot be printed.
#[derive(Clone, PartialEq, Eq, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Token(#[schemars(length(min = 16, max = 128))] String);

impl Token {
    /// A random one.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// Its text, for the first part of a stream to the caller whose call it is, and for nobody else.
    #[must_use]
    pub fn shown_to_its_caller(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        let fits = (16..=128).contains(&text.chars().count());
        if fits { Ok(Self(text.into_owned())) } else { Err(safe("expected 16 to 128 characters")) }
    }
}

/// Text, borrowed where the message allows. A plain `Cow` would always own.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct Text;
    impl<'de> de::Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(value))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(value.to_owned()))
        }
    }
    deserializer.deserialize_str(Text)
}

/// A request as a caller may write it in full.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ActionRequest")]
pub struct Envelope<'a> {
    /// Chosen by the caller; the reply carries the same one.
    pub request_id: RequestId,
    /// Must equal the subject's action.
    pub action: Cow<'a, str>,
    /// Follows the action's own schema.
    #[serde(borrow)]
    pub payload: Raw<'a>,
    /// When the caller sent it, RFC 3339.
    #[schemars(with = "String")]
    pub timestamp: jiff::Timestamp,
    /// Shortens or extends the action's default, in ms, capped by the node's maximum.
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// Asks for parts as they come; only for actions that can stream.
    pub stream: Option<bool>,
    /// The isolation boundary; `default` if left out.
    pub project: Option<Project>,
    /// How long work goes on when nobody listens any more, in ms.
    #[schemars(range(max = 60_000))]
    pub lease_ms: Option<u32>,
    /// Whoever cancels or resumes must show it.
    pub token: Option<Token>,
}

/// A request as the node takes it, whichever way it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The caller's id; a bare payload bears none.
    pub request_id: Option<RequestId>,
    /// What the action gets.
    pub payload: Raw<'a>,
    /// When the caller sent it; a bare payload does not say.
    pub timestamp: Option<jiff::Timestamp>,
    /// The time that the caller gives it, in ms.
    pub timeout_ms: Option<u64>,
    /// Whether parts are asked for.
    pub stream: bool,
    /// The isolation boundary, if the envelope names one.
    pub project: Option<Project>,
    /// How long work goes on when nobody listens any more, in ms.
    pub lease_ms: u32,
    /// What whoever cancels must show.
    pub token: Option<Token>,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The caller's id if it could be read.
    pub request_id: Option<RequestId>,
    /// Why.
    pub failure: Failure,
}

/// What tells an envelope from a bare payload.
#[derive(Deserialize)]
struct Probe {
    payload: Option<de::IgnoredAny>,
}

/// What can be saved of a broken envelope for its reply.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remains<'a> {
    #[serde(borrow)]
    request_id: Option<Raw<'a>>,
}

impl<'a> Request<'a> {
    /// Reads the body of a message that came on the subject of `action`. `known` is the whitelist. A bare payload is not read: whoever
    /// takes it does.
    ///
    /// # Errors
    /// The body is no request for this action.
    pub fn read(
        format: Format,
        body: &'a [u8],
        action: &str,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, Box<Refused>> {
        if !raw::may_have_payload(format, body) {
            return Ok(Self::of_bare(format, body));
        }
        match raw::read_object::<Probe>(format, body, ROOT) {
            Ok(Probe { payload: None }) => Ok(Self::of_bare(format, body)),
            Ok(Probe { payload: Some(_) }) => match raw::read_object::<Envelope<'a>>(format, body, ROOT) {
                Ok(envelope) => Self::of_envelope(envelope, action, known),
                Err(problem) => Err(refuse(saved_id(format, body), problem.into())),
            },
            Err(unreadable) => Err(refuse(None, unreadable.into())),
        }
    }

    fn of_envelope(
        envelope: Envelope<'a>,
        action: &str,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, Box<Refused>> {
        let id = envelope.request_id;
        if envelope.action != action {
            let failure = if known(&envelope.action) {
                Failure::request("action", "names another action than the subject does")
            } else {
                Failure::ActionUnknown(ActionUnknown { action: envelope.action.chars().take(64).collect() })
            };
            return Err(refuse(Some(id), failure));
        }
        let lease_ms = envelope.lease_ms.unwrap_or(0);
        if lease_ms > 60_000 {
            return Err(refuse(Some(id), Failure::request("leaseMs", "expected 0 to 60000")));
        }
        if envelope.timeout_ms == Some(0) {
            return Err(refuse(Some(id), Failure::request("timeoutMs", "expected at least 1")));
        }
        Ok(Self {
            request_id: Some(id),
            payload: envelope.payload,
            timestamp: Some(envelope.timestamp),
            timeout_ms: envelope.timeout_ms,
            stream: envelope.stream.unwrap_or(false),
            project: envelope.project,
            lease_ms,
            token: envelope.token,
        })
    }

    fn of_bare(format: Format, body: &'a [u8]) -> Self {
        Self {
            request_id: None,
            payload: Raw::trusted(format, body),
            timestamp: None,
            timeout_ms: None,
            stream: false,
            project: None,
            lease_ms: 0,
            token: None,
        }
    }
}

fn refuse(request_id: Option<RequestId>, failure: Failure) -> Box<Refused> {
    Box::new(Refused { request_id, failure })
}

fn saved_id(format: Format, body: &[u8]) -> Option<RequestId> {
    raw::read_object::<Remains<'_>>(format, body, ROOT).ok()?.request_id?.read(ROOT).ok()
}

/// A reply as it is sent. The data, which may be large, stay where they are.
#[derive(Debug)]
pub struct Written<'a> {
    /// What stands before the data, and behind them.
    around: Vec<u8>,
    before: usize,
    data: &'a [u8],
}

impl<'a> Written<'a> {
    /// The reply of a success, with the action's data as they are. What stands around them is written into `room`.
    #[must_use]
    pub fn success(
        format: Format,
        request_id: &str,
        data: &Raw<'a>,
        timestamp: jiff::Timestamp,
        room: Vec<u8>,
    ) -> Self {
        debug_assert_eq!(data.format(), format, "data in another format than their reply");
        let [begin, to_data, to_time, end]: [&[u8]; 4] = match format {
            Format::Json => [br#"{"requestId":"#, br#","ok":true,"data":"#, br#","timestamp":"#, b"}"],
            Format::MessagePack => [b"\x84\xa9requestId", b"\xa2ok\xc3\xa4data", b"\xa9timestamp", b""],
        };
        let mut writer = Writer::within(format, room);
        writer.literal(begin);
        writer.text(request_id);
        writer.literal(to_data);
        let before = writer.len();
        writer.literal(to_time);
        writer.timestamp(timestamp);
        writer.literal(end);
        Self { around: writer.finish(), before, data: data.bytes() }
    }

    /// The reply of a failure, written into `room`.
    #[must_use]
    pub fn failure(
        format: Format,
        request_id: &str,
        failure: Failure,
        timestamp: jiff::Timestamp,
        room: Vec<u8>,
    ) -> Self {
        let mut writer = Writer::within(format, room);
        writer.object(4);
        writer.key("requestId");
        writer.text(request_id);
        writer.key("ok");
        writer.value(&false);
        writer.key("error");
        writer.value(&failure::Body::from(failure));
        writer.key("timestamp");
        writer.timestamp(timestamp);
        writer.end_object();
        let around = writer.finish();
        Self { before: around.len(), around, data: &[] }
    }

    /// Its bytes in their order.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 3] {
        let (before, after) = self.around.split_at(self.before);
        [before, self.data, after]
    }

    /// The memory that it was written into, to be used again.
    #[must_use]
    pub fn into_room(self) -> Vec<u8> {
        self.around
    }
}

/// A reply as a caller reads it. Replies may grow: unknown keys are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ActionReply")]
pub struct Reply {
    /// The request that this answers.
    pub request_id: String,
    /// Whether `data` or `error` is there.
    pub ok: bool,
    /// What the action returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<failure::Body>,
    /// When the node answered, RFC 3339.
    pub timestamp: String,
}

impl Reply {
    /// Reads a reply in either format.
    ///
    /// # Errors
    /// The bytes are no reply.
    pub fn read(format: Format, body: &[u8]) -> Result<Self, Problem> {
        raw::read_object(format, body, ROOT)
    }
}

#[cfg(test)]
mod tests;
