//! The envelope of channels: profiles, scripts, records, diagnostics and the supervisor use it. The texts that a
//! person reads live in `channel::text`.

pub mod text;

use serde::{Deserialize, Serialize};

use crate::envelope::{Project, RequestId};
use crate::format::Format;
use crate::problem::{Problem, ROOT, safe};
use crate::raw::{self, Raw};
use crate::writer::Writer;

/// How a channel's call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "ChannelCode")]
pub enum Code {
    /// Done.
    Ok,
    /// No profile has that id.
    ProfileNotFound,
    /// The request breaks its schema or a rule; `data.fields` says where.
    ValidationError,
    /// Another activation is in flight, or the active profile has no successor.
    ConflictActiveProfile,
    /// The vault has no master key.
    SafeStorageUnavailable,
    /// Something that the call needs has failed.
    ServiceFailure,
    /// One endpoint answered in two ways.
    DiscoveryConflict,
    /// A stored profile cannot be read.
    VaultReadError,
    /// A profile cannot be stored.
    VaultWriteError,
    /// The provider asks to wait.
    RateLimited,
    /// The deadline passed.
    Timeout,
    /// No script has that id or slug.
    ScriptNotFound,
    /// The script has changed since it was read.
    VersionConflict,
    /// Another script bears that slug.
    SlugTaken,
    /// File and index both changed.
    SyncConflict,
    /// The store failed.
    StoreError,
    /// Nothing has that id.
    NotFound,
}

/// Every code, for tables and tests.
pub const ALL: [Code; 17] = [
    Code::Ok,
    Code::ProfileNotFound,
    Code::ValidationError,
    Code::ConflictActiveProfile,
    Code::SafeStorageUnavailable,
    Code::ServiceFailure,
    Code::DiscoveryConflict,
    Code::VaultReadError,
    Code::VaultWriteError,
    Code::RateLimited,
    Code::Timeout,
    Code::ScriptNotFound,
    Code::VersionConflict,
    Code::SlugTaken,
    Code::SyncConflict,
    Code::StoreError,
    Code::NotFound,
];

impl Code {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::ProfileNotFound => "PROFILE_NOT_FOUND",
            Self::ValidationError => "VALIDATION_ERROR",
            Self::ConflictActiveProfile => "CONFLICT_ACTIVE_PROFILE",
            Self::SafeStorageUnavailable => "SAFE_STORAGE_UNAVAILABLE",
            Self::ServiceFailure => "SERVICE_FAILURE",
            Self::DiscoveryConflict => "DISCOVERY_CONFLICT",
            Self::VaultReadError => "VAULT_READ_ERROR",
            Self::VaultWriteError => "VAULT_WRITE_ERROR",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::ScriptNotFound => "SCRIPT_NOT_FOUND",
            Self::VersionConflict => "VERSION_CONFLICT",
            Self::SlugTaken => "SLUG_TAKEN",
            Self::SyncConflict => "SYNC_CONFLICT",
            Self::StoreError => "STORE_ERROR",
            Self::NotFound => "NOT_FOUND",
        }
    }

    /// The number of header `Nats-Service-Error-Code`; `None` for a success.
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        match self {
            Self::Ok => None,
            Self::ValidationError => Some(400),
            Self::ProfileNotFound | Self::ScriptNotFound | Self::NotFound => Some(404),
            Self::ConflictActiveProfile
            | Self::DiscoveryConflict
            | Self::VersionConflict
            | Self::SlugTaken
            | Self::SyncConflict => Some(409),
            Self::RateLimited => Some(429),
            Self::VaultReadError | Self::VaultWriteError | Self::StoreError => Some(500),
            Self::SafeStorageUnavailable | Self::ServiceFailure => Some(503),
            Self::Timeout => Some(504),
        }
    }

    /// The exit status of the command line; see [`crate::code::Code::exit_status`].
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::ValidationError => 2,
            Self::SafeStorageUnavailable | Self::ServiceFailure => 3,
            Self::ProfileNotFound | Self::ScriptNotFound | Self::NotFound => 5,
            Self::Timeout => 6,
            Self::ConflictActiveProfile
            | Self::DiscoveryConflict
            | Self::VaultReadError
            | Self::VaultWriteError
            | Self::RateLimited
            | Self::VersionConflict
            | Self::SlugTaken
            | Self::SyncConflict
            | Self::StoreError => 1,
        }
    }
}

/// What an operator is to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Runs the application's technology in class rooms.
    InstructionalTechnologist,
    /// Answers for the curriculum.
    CurriculumLead,
    /// Helps users.
    SupportEngineer,
}

/// A language tag as BCP 47 writes it, at most 35 characters; only its shape is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Locale(
    #[schemars(length(max = 35), regex(pattern = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"))] String,
);

impl Locale {
    /// Checks `text`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut subtags = text.split('-');
        let language = subtags.next()?;
        let fits = text.len() <= 35
            && (2..=8).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphabetic())
            && subtags
                .all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
        fits.then(|| Self(text.to_owned()))
    }

    /// The primary language in lower case, `de` of `de-AT`.
    #[must_use]
    pub fn language(&self) -> String {
        self.0.split('-').next().unwrap_or_default().to_ascii_lowercase()
    }
}

impl Default for Locale {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl<'de> Deserialize<'de> for Locale {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| safe("expected a BCP 47 language tag"))
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorContext {
    /// The application's id of the person.
    pub operator_id: crate::Id,
    /// What the person is to the application.
    pub operator_role: OperatorRole,
    /// The language of `userMessage`.
    pub locale: Locale,
}

/// A request as a caller may write it in full. Times in channels are ms since the epoch.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ChannelRequest")]
pub struct Envelope<'a> {
    /// Must equal the subject's channel, with its colon.
    pub channel: String,
    /// Chosen by the caller.
    pub request_id: crate::Id,
    /// When the caller sent it.
    pub timestamp: u64,
    /// Who asks.
    #[serde(deserialize_with = "raw::object")]
    pub context: OperatorContext,
    /// Follows the channel's own schema.
    #[serde(borrow)]
    pub payload: Raw<'a>,
    /// The isolation boundary; `default` if left out.
    pub project: Option<Project>,
}

/// A request as the node takes it, whichever way it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The caller's id; a bare payload bears none.
    pub request_id: Option<RequestId>,
    /// When the caller sent it, in ms; a bare payload does not say.
    pub timestamp: Option<u64>,
    /// Who asks; a bare payload does not say.
    pub context: Option<OperatorContext>,
    /// What the channel gets.
    pub payload: Raw<'a>,
    /// The isolation boundary, if the envelope names one.
    pub project: Option<Project>,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The caller's id if it could stand in a reply.
    pub request_id: Option<RequestId>,
    /// Why.
    pub problem: Problem,
}

#[derive(Deserialize)]
struct Probe {
    payload: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remains<'a> {
    #[serde(borrow)]
    request_id: Option<Raw<'a>>,
}

impl<'a> Request<'a> {
    /// Reads the body of a message that came on the subject of `channel`.
    ///
    /// # Errors
    /// The body is no request for this channel.
    pub fn read(format: Format, body: &'a [u8], channel: &str) -> Result<Self, Box<Refused>> {
        let problem = match raw::read_object::<Envelope<'a>>(format, body, ROOT) {
            Ok(envelope) if envelope.channel == channel => return Ok(Self::of_envelope(envelope)),
            Ok(_) => Problem::new("channel", "names another channel than the subject does"),
            Err(problem) => match raw::read_object::<Probe>(format, body, ROOT) {
                Ok(Probe { payload: None }) => return Ok(Self::of_bare(format, body)),
                Ok(Probe { payload: Some(_) }) => problem,
                Err(unreadable) => unreadable,
            },
        };
        let saved =
            raw::read_object::<Remains<'_>>(format, body, ROOT).ok().and_then(|remains| remains.request_id);
        let request_id = saved.and_then(|id| id.read::<RequestId>(ROOT).ok());
        Err(Box::new(Refused { request_id, problem }))
    }

    fn of_envelope(envelope: Envelope<'a>) -> Self {
        Self {
            request_id: Some(envelope.request_id.into()),
            timestamp: Some(envelope.timestamp),
            context: Some(envelope.context),
            payload: envelope.payload,
            project: envelope.project,
        }
    }

    fn of_bare(format: Format, body: &'a [u8]) -> Self {
        Self {
            request_id: None,
            timestamp: None,
            context: None,
            payload: Raw::trusted(format, body),
            project: None,
        }
    }
}

/// Whether the vault has its master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SafeStorageStatus {
    /// It has.
    Available,
    /// It has not, or no vault has been heard of.
    Unavailable,
}

/// What every reply of a channel says besides its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChannelReply")]
pub struct Reply {
    /// The request that this answers.
    pub request_id: String,
    /// The channel, with its colon.
    pub channel: String,
    /// Exactly when `code` is `OK`.
    pub success: bool,
    /// How it ended.
    pub code: Code,
    /// What the channel returned; for `VALIDATION_ERROR` a [`Validation`].
    pub data: Option<serde_json::Value>,
    /// For a person, 1 to 200 characters, in their language.
    pub user_message: String,
    /// What the person can do, at most 200 characters.
    pub remediation: Option<String>,
    /// For developers; null unless the node runs in development mode.
    pub debug: Option<Debug>,
    /// Joins what belongs together over several requests.
    pub correlation_id: crate::Id,
    /// How long the node took.
    pub duration_ms: u64,
    /// The vault's state as this node last heard of it.
    pub safe_storage_status: SafeStorageStatus,
}

/// What a developer may see of a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ChannelDebug")]
pub struct Debug {
    /// What happened, without content.
    pub message: String,
    /// Where, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// The data of a `VALIDATION_ERROR`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Validation {
    /// What is wrong, and where.
    pub fields: Vec<Problem>,
}

/// The head of a reply that is about to be written.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// The request that this answers.
    pub request_id: &'a str,
    /// The channel, with its colon.
    pub channel: &'a str,
    /// How it ended.
    pub code: Code,
    /// The language of the texts.
    pub locale: &'a Locale,
    /// What a developer may see.
    pub debug: Option<Debug>,
    /// Joins what belongs together.
    pub correlation_id: crate::Id,
    /// How long the node took.
    pub duration_ms: u64,
    /// The vault's state.
    pub safe_storage_status: SafeStorageStatus,
}

/// Writes a reply with `data` as they are.
#[must_use]
pub fn reply<T: Serialize>(format: Format, head: &Head<'_>, data: Option<&T>) -> Vec<u8> {
    let text = text::of(head.code, head.locale);
    let mut writer = Writer::new(format, 512);
    writer.object(11);
    let mut field = |key: &str, write: &dyn Fn(&mut Writer)| {
        writer.key(key);
        write(&mut writer);
    };
    field("requestId", &|w| w.value(head.request_id));
    field("channel", &|w| w.value(head.channel));
    field("success", &|w| w.value(&(head.code == Code::Ok)));
    field("code", &|w| w.value(&head.code));
    field("data", &|w| w.value(&data));
    field("userMessage", &|w| w.value(text.message));
    field("remediation", &|w| w.value(&text.remediation));
    field("debug", &|w| w.value(&head.debug));
    field("correlationId", &|w| w.value(&head.correlation_id));
    field("durationMs", &|w| w.value(&head.duration_ms));
    field("safeStorageStatus", &|w| w.value(&head.safe_storage_status));
    writer.end_object();
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn full() -> Value {
        json!({
            "channel": "script:list", "requestId": "0192f1c0-0000-7000-8000-000000000000", "timestamp": 5,
            "context": {"operatorId": "0192f1c0-0000-7000-8000-000000000001", "operatorRole": "curriculum_lead", "locale": "de-AT"},
            "payload": {}
        })
    }

    fn refused(value: &Value) -> Refused {
        let json = serde_json::to_vec(value).unwrap();
        let packed = rmp_serde::to_vec_named(value).unwrap();
        let of_json = *Request::read(Format::Json, &json, "script:list").unwrap_err();
        let of_message_pack = *Request::read(Format::MessagePack, &packed, "script:list").unwrap_err();
        assert_eq!(of_json.problem.path, of_message_pack.problem.path);
        of_json
    }

    #[test]
    fn a_whole_envelope_and_a_bare_payload_are_read() {
        let body = serde_json::to_vec(&full()).unwrap();
        let request = Request::read(Format::Json, &body, "script:list").unwrap();
        assert_eq!(request.context.unwrap().locale.language(), "de");
        assert_eq!(request.payload.bytes(), b"{}");
        let request = Request::read(Format::Json, b"{}", "script:list").unwrap();
        assert_eq!(request.context, None);
    }

    #[test]
    fn each_broken_field_is_named_and_the_id_is_kept_if_it_was_a_string() {
        for (pointer, broken, path) in [
            ("/context/locale", json!("de_AT!"), "context.locale"),
            ("/context/operatorRole", json!("boss"), "context.operatorRole"),
            ("/timestamp", json!(-1), "timestamp"),
            ("/channel", json!("script:get"), "channel"),
        ] {
            let mut value = full();
            *value.pointer_mut(pointer).unwrap() = broken;
            let refused = refused(&value);
            assert_eq!(
                (refused.problem.path.as_str(), refused.request_id),
                (path, RequestId::new("0192f1c0-0000-7000-8000-000000000000"))
            );
        }
        let mut value = full();
        value["requestId"] = json!("not a uuid");
        assert_eq!(refused(&value).request_id, RequestId::new("not a uuid"));
    }

    #[test]
    fn a_reply_says_the_same_in_both_formats() {
        let locale = Locale::new("de").unwrap();
        let head = Head {
            request_id: "r",
            channel: "script:list",
            code: Code::ValidationError,
            locale: &locale,
            debug: None,
            correlation_id: crate::Id::from(uuid::Uuid::nil()),
            duration_ms: 3,
            safe_storage_status: SafeStorageStatus::Unavailable,
        };
        let data = Validation { fields: vec![Problem::new("a", "b")] };
        let json: Reply = raw::read(Format::Json, &reply(Format::Json, &head, Some(&data)), ROOT).unwrap();
        let packed: Reply =
            raw::read(Format::MessagePack, &reply(Format::MessagePack, &head, Some(&data)), ROOT).unwrap();
        assert_eq!(json, packed);
        assert!(!json.success);
        assert_eq!(json.data, Some(json!({"fields": [{"path": "a", "problem": "b"}]})));
    }
}
