//! How a command fails: what a person reads and the exit status. The classes of codes on the wire stand in `protocol`.

use std::path::PathBuf;

use callboard::{broker, config, data, node, telemetry};
use protocol::channel;

use super::{client, out};

/// Exit status of the usage class.
pub(crate) const USAGE: u8 = 2;
/// Exit status of the class of what cannot be reached.
pub(crate) const UNREACHABLE: u8 = 3;
/// Exit status of a node that ended because a part of it stayed down: `EX_SOFTWARE` of sysexits.h.
pub(crate) const SOFTWARE: u8 = 70;
const DENIED: u8 = 4;
/// Exit status of the class of what there is not.
pub(crate) const NOT_FOUND: u8 = 5;
const TIMEOUT: u8 = 6;
const OTHER: u8 = 1;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::load::Error),
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    #[error(transparent)]
    Data(#[from] data::Error),
    #[error(transparent)]
    Broker(#[from] broker::Error),
    #[error(transparent)]
    Node(#[from] node::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The command line says something that cannot be done.
    #[error("{0}")]
    Usage(&'static str),
    /// The command line gives JSON that is none; serde's text names the place, not the content.
    #[error("the input is no JSON: {0}")]
    Json(serde_json::Error),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("standard input or output failed: {0}")]
    Console(std::io::Error),
    /// This process cannot do what it needs of the system.
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
}

impl Error {
    /// Tells the person, and answers the exit status.
    pub(crate) fn report(&self) -> u8 {
        out::talk(&format!("callboard: {self}"));
        if let Some(remediation) = self.remediation() {
            out::talk(&format!("  {remediation}"));
        }
        self.exit_status()
    }

    fn remediation(&self) -> Option<String> {
        match self {
            Self::Config(error) => Some(error.remediation().to_owned()),
            Self::Data(error) => Some(error.remediation().to_owned()),
            Self::Broker(error) => Some(error.remediation()),
            Self::Node(error) => Some(error.remediation().to_string()),
            Self::Client(error) => error.remediation(),
            Self::Telemetry(_) | Self::Usage(_) | Self::Json(_) => None,
            Self::File { .. } | Self::Console(_) | Self::System { .. } => None,
        }
    }

    /// The exit status.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Json(_) => USAGE,
            Self::Client(error) => match error {
                client::Error::Denied { .. } => DENIED,
                client::Error::Late { .. } => TIMEOUT,
                client::Error::Unreachable { .. } | client::Error::NobodyServes { .. } => UNREACHABLE,
                client::Error::Lost(_) => UNREACHABLE,
                client::Error::Subject(_) | client::Error::TooLarge => USAGE,
                client::Error::Unreadable => OTHER,
            },
            Self::Node(error) if error.is_unreachable() => UNREACHABLE,
            Self::Node(error) if error.is_denied() => DENIED,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => NOT_FOUND,
            Self::Node(_) | Self::Broker(_) | Self::Data(_) | Self::Telemetry(_) => OTHER,
            Self::File { .. } | Self::Console(_) | Self::System { .. } => OTHER,
        }
    }
}

/// The exit status of a code in a reply, of an action or a channel. A code that is newer than this program counts
/// as the rest.
pub(crate) fn exit_status(code: &str) -> u8 {
    let of_action =
        protocol::code::ALL.iter().find(|known| known.as_str() == code).map(|known| known.exit_status());
    let of_channel =
        || channel::ALL.iter().find(|known| known.as_str() == code).map(|known| known.exit_status());
    of_action.or_else(of_channel).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_exit_status_of_its_class() {
        for (code, status) in [
            ("OK", 0),
            ("PY_ACTION_FAILED", 1),
            ("REQUEST_INVALID", 2),
            ("VALIDATION_ERROR", 2),
            ("OVERLOADED", 3),
            ("SERVICE_FAILURE", 3),
            ("ACTION_UNKNOWN", 5),
            ("SCRIPT_NOT_FOUND", 5),
            ("PY_TIMEOUT", 6),
            ("TIMEOUT", 6),
            ("FROM_THE_FUTURE", 1),
        ] {
            assert_eq!(exit_status(code), status, "{code}");
        }
    }

    #[test]
    fn every_failure_of_the_connection_has_the_exit_status_of_its_class() {
        let url = || "nats://h".to_owned();
        for (error, status) in [
            (client::Error::Unreachable { url: url(), why: "refused".to_owned() }, 3),
            (client::Error::NobodyServes { subject: "a.b".to_owned(), url: url() }, 3),
            (client::Error::Denied { url: url() }, 4),
            (client::Error::Late { subject: "a.b".to_owned(), waited_ms: 1 }, 6),
        ] {
            assert_eq!(Error::from(error).exit_status(), status);
        }
        assert_eq!(Error::Usage("").exit_status(), 2);
    }
}
