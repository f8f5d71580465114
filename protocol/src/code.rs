//! The codes of actions: their names on the wire, their HTTP-like numbers for NATS services and their exit classes.
//! The table of user-facing texts for channels lives in `channel`.

use serde::{Deserialize, Serialize};

/// A code that a failed action answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The deadline passed; the cell was stopped.
    PyTimeout,
    /// The Python process died, could not start, or was restarted under the call.
    PyProcessDown,
    /// A reply broke the frame, the envelope or the result schema.
    PyInvalidResponse,
    /// The Python code raised, or what it needs is missing.
    PyActionFailed,
    /// The envelope names an action that is not on the whitelist.
    ActionUnknown,
    /// Envelope or payload breaks its schema.
    RequestInvalid,
    /// The node's queue for this pool is full.
    Overloaded,
    /// Cancelled by request, or the node is draining.
    Cancelled,
    /// A part of the node is down.
    Unavailable,
}

/// Every code, for tables and tests.
pub const ALL: [Code; 9] = [
    Code::PyTimeout,
    Code::PyProcessDown,
    Code::PyInvalidResponse,
    Code::PyActionFailed,
    Code::ActionUnknown,
    Code::RequestInvalid,
    Code::Overloaded,
    Code::Cancelled,
    Code::Unavailable,
];

impl Code {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PyTimeout => "PY_TIMEOUT",
            Self::PyProcessDown => "PY_PROCESS_DOWN",
            Self::PyInvalidResponse => "PY_INVALID_RESPONSE",
            Self::PyActionFailed => "PY_ACTION_FAILED",
            Self::ActionUnknown => "ACTION_UNKNOWN",
            Self::RequestInvalid => "REQUEST_INVALID",
            Self::Overloaded => "OVERLOADED",
            Self::Cancelled => "CANCELLED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The number of header `Nats-Service-Error-Code` (ADR-32; numbers as in diagnostics.md).
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::RequestInvalid => 400,
            Self::ActionUnknown => 404,
            Self::Cancelled => 499,
            Self::PyActionFailed => 500,
            Self::PyInvalidResponse => 502,
            Self::PyProcessDown | Self::Overloaded | Self::Unavailable => 503,
            Self::PyTimeout => 504,
        }
    }

    /// What a person reads first; the same for every failure of this code, so that no content can stand in it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::PyTimeout => "the deadline passed before the action ended",
            Self::PyProcessDown => "the python process ended under the call",
            Self::PyInvalidResponse => "the action's answer does not follow its contract",
            Self::PyActionFailed => "the action failed",
            Self::ActionUnknown => "no such action",
            Self::RequestInvalid => "the request does not follow its schema",
            Self::Overloaded => "the node has no place for another call, try again later or another node",
            Self::Cancelled => "the call was cancelled",
            Self::Unavailable => "a part of the node that this call needs is down",
        }
    }

    /// The exit status of the command line: 0 ok, 2 usage, 3 unreachable, 4 denied, 5 not found, 6 timeout, 1 the rest.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::PyTimeout => 6,
            Self::ActionUnknown => 5,
            Self::RequestInvalid => 2,
            Self::Overloaded | Self::Unavailable => 3,
            Self::PyProcessDown | Self::PyInvalidResponse | Self::PyActionFailed | Self::Cancelled => 1,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_on_the_wire_is_the_serialised_name() {
        for code in ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
