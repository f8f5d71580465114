//! How an action fails: one variant a code, each with the details that actions.md gives it. Texts of codes live in `code`.
//!
//! `output` and `exception` hold what user code wrote and may therefore hold content: they go to the caller only.
//! [`Failure::reason`] is what may stand in a log line or an event.

use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::problem::Problem;

/// Why a call failed, with its details.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// `PY_TIMEOUT`.
    Timeout(Timeout),
    /// `PY_PROCESS_DOWN`.
    ProcessDown(ProcessDown),
    /// `PY_INVALID_RESPONSE`.
    InvalidResponse(InvalidResponse),
    /// `PY_ACTION_FAILED`.
    ActionFailed(ActionFailed),
    /// `ACTION_UNKNOWN`.
    ActionUnknown(ActionUnknown),
    /// `REQUEST_INVALID`.
    RequestInvalid(Problem),
    /// `OVERLOADED`.
    Overloaded(Overloaded),
    /// `CANCELLED`.
    Cancelled(Cancelled),
    /// `UNAVAILABLE`.
    Unavailable(Unavailable),
}

/// Where a call stood when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It had not begun; none of its code ran.
    Queued,
    /// Its code was running; the cell was killed.
    Running,
}

/// Details of `PY_TIMEOUT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeout {
    /// The time that the call was given, in ms.
    pub timeout_ms: u64,
    /// Whether it had begun.
    pub stage: Stage,
    /// How late it already was when a worker took it, in ms; a large figure also shows a wrong clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// The end of the cell that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Box<Death>>,
    /// What the script had printed (for the caller only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Details of `PY_PROCESS_DOWN`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessDown {
    /// A reason other than what the process ran: `circuit_open`, `load_timeout`, `neighbour`, `no_process`, `not_locked`,
    /// `protocol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Box<Death>>,
    /// What the script had printed (for the caller only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The end of a cell, explained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Death {
    /// How long each phase of the call took, in ms.
    pub phases: Phases,
    /// The line of the script it was at, from 1, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The most memory that the process had at once, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Its exit status, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The signal that ended it, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// What the lock refused to the script last: an audit event of Python (`open`) or a system call (`newfstatat`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What to do about it.
    pub advice: String,
}

/// How long each phase of a call took, in ms; a phase that was not reached is left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phases {
    /// Waiting for a place in the pool.
    pub queued: f64,
    /// Starting a cell, where none was warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<f64>,
    /// Compiling and importing the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<f64>,
    /// Running the entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<f64>,
}

/// Details of `PY_INVALID_RESPONSE`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvalidResponse {
    /// Where the answer breaks its contract.
    pub path: String,
    /// What the contract asks for.
    pub problem: String,
    /// A machine-readable cause: `too_large`, `html_limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The script that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The line at which the function begins that answered, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the script printed (for the caller only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Details of `PY_ACTION_FAILED`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActionFailed {
    /// A machine-readable cause: `raised`, `script_missing`, `script_disabled`, `wrong_kind`, `syntax`, `entrypoint_missing` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The script's slug as the caller named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What it asks for and was not granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// The line in the script's body, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the lock refused, where that is why: an audit event of Python (`open`) or a system call (`newfstatat`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Type, text and the script's own frames (for the caller only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// What the script printed (for the caller only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Details of `ACTION_UNKNOWN`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionUnknown {
    /// The name in the envelope, cut at 64 characters.
    pub action: String,
}

/// Details of `OVERLOADED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Overloaded {
    /// When a place is likely free, in ms.
    pub retry_after_ms: u64,
}

/// Details of `CANCELLED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// `request`, `drain` or `caller_gone`.
    pub by: String,
}

/// Details of `UNAVAILABLE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unavailable {
    /// The part that is down.
    pub part: String,
    /// When it is likely back, in ms.
    pub retry_after_ms: u64,
}

impl Failure {
    /// A request that breaks its schema.
    pub fn request(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::RequestInvalid(Problem::new(path, problem))
    }

    /// An answer that breaks its contract.
    pub fn response(path: impl Into<String>, problem: impl Into<String>) -> Self {
        let Problem { path, problem } = Problem::new(path, problem);
        Self::InvalidResponse(InvalidResponse { path, problem, ..InvalidResponse::default() })
    }

    /// A part of the node that is down.
    pub fn unavailable(part: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::Unavailable(Unavailable { part: part.into(), retry_after_ms })
    }

    /// An action that failed for `reason`, concerning `script`.
    pub fn script(reason: &str, script: &str) -> Self {
        Self::ActionFailed(ActionFailed {
            reason: Some(reason.to_owned()),
            script: Some(script.chars().take(64).collect()),
            ..ActionFailed::default()
        })
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Timeout(_) => Code::PyTimeout,
            Self::ProcessDown(_) => Code::PyProcessDown,
            Self::InvalidResponse(_) => Code::PyInvalidResponse,
            Self::ActionFailed(_) => Code::PyActionFailed,
            Self::ActionUnknown(_) => Code::ActionUnknown,
            Self::RequestInvalid(_) => Code::RequestInvalid,
            Self::Overloaded(_) => Code::Overloaded,
            Self::Cancelled(_) => Code::Cancelled,
            Self::Unavailable(_) => Code::Unavailable,
        }
    }

    /// The machine-readable cause below the code, where there is one. Holds no content.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::ActionFailed(details) => details.reason.as_deref(),
            Self::ProcessDown(details) => details.reason.as_deref(),
            Self::InvalidResponse(details) => details.reason.as_deref(),
            Self::Unavailable(details) => Some(&details.part),
            Self::Cancelled(details) => Some(&details.by),
            Self::Timeout(_) | Self::ActionUnknown(_) | Self::RequestInvalid(_) | Self::Overloaded(_) => None,
        }
    }
}

impl Failure {
    /// What the lock refused, where that is known. Holds no content.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        let death = match self {
            Self::ActionFailed(details) => return details.refused.as_deref(),
            Self::Timeout(details) => &details.death,
            Self::ProcessDown(details) => &details.death,
            _ => return None,
        };
        death.as_ref().and_then(|death| death.refused.as_deref())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::RequestInvalid(problem)
    }
}

/// `error` of a reply: `{code, message, details}`.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The code.
    pub code: Code,
    /// The text of the code; never more than that.
    pub message: String,
    /// What the code's row in actions.md lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// A body whose details wait for its code to tell what they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Undecided {
    code: Code,
    message: String,
    #[serde(default)]
    details: Option<serde_json::Value>,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Undecided { code, message, details } = Undecided::deserialize(deserializer)?;
        let details = details.map(|details| Details::read(code, details)).transpose();
        Ok(Self { code, message, details: details.map_err(serde::de::Error::custom)? })
    }
}

impl Details {
    fn read(code: Code, details: serde_json::Value) -> serde_json::Result<Self> {
        use serde_json::from_value as read;
        Ok(match code {
            Code::PyTimeout => Self::Timeout(read(details)?),
            Code::PyProcessDown => Self::ProcessDown(read(details)?),
            Code::PyInvalidResponse => Self::InvalidResponse(read(details)?),
            Code::PyActionFailed => Self::ActionFailed(read(details)?),
            Code::ActionUnknown => Self::ActionUnknown(read(details)?),
            Code::RequestInvalid => Self::Problem(read(details)?),
            Code::Overloaded => Self::Overloaded(read(details)?),
            Code::Cancelled => Self::Cancelled(read(details)?),
            Code::Unavailable => Self::Unavailable(read(details)?),
        })
    }
}

/// The details of any code. The code tells which; untagged because the wire has no tag here.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Details {
    /// Of `PY_TIMEOUT`.
    Timeout(Timeout),
    /// Of `REQUEST_INVALID`.
    Problem(Problem),
    /// Of `PY_INVALID_RESPONSE`.
    InvalidResponse(InvalidResponse),
    /// Of `ACTION_UNKNOWN`.
    ActionUnknown(ActionUnknown),
    /// Of `UNAVAILABLE`.
    Unavailable(Unavailable),
    /// Of `OVERLOADED`.
    Overloaded(Overloaded),
    /// Of `CANCELLED`.
    Cancelled(Cancelled),
    /// Of `PY_PROCESS_DOWN`.
    ProcessDown(ProcessDown),
    /// Of `PY_ACTION_FAILED`.
    ActionFailed(ActionFailed),
}

impl From<Failure> for Body {
    fn from(failure: Failure) -> Self {
        let code = failure.code();
        let details = match failure {
            Failure::Timeout(details) => Details::Timeout(details),
            Failure::ProcessDown(details) => Details::ProcessDown(details),
            Failure::InvalidResponse(details) => Details::InvalidResponse(details),
            Failure::ActionFailed(details) => Details::ActionFailed(details),
            Failure::ActionUnknown(details) => Details::ActionUnknown(details),
            Failure::RequestInvalid(details) => Details::Problem(details),
            Failure::Overloaded(details) => Details::Overloaded(details),
            Failure::Cancelled(details) => Details::Cancelled(details),
            Failure::Unavailable(details) => Details::Unavailable(details),
        };
        Self { code, message: code.message().to_owned(), details: Some(details) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_survive_the_wire() {
        let timeout = Failure::Timeout(Timeout {
            timeout_ms: 5,
            stage: Stage::Running,
            late_ms: None,
            death: Some(Box::default()),
            output: Some("so far".to_owned()),
        });
        for failure in [
            timeout,
            Failure::request("a", "b"),
            Failure::unavailable("worker", 5),
            Failure::script("raised", "x"),
            Failure::ProcessDown(ProcessDown {
                reason: Some("circuit_open".to_owned()),
                ..ProcessDown::default()
            }),
        ] {
            let body = Body::from(failure);
            let text = serde_json::to_string(&body).unwrap();
            assert_eq!(serde_json::from_str::<Body>(&text).unwrap(), body, "{text}");
        }
    }
}
