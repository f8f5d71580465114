//! One call as handlers see it, and its deadline. How it came in and how its answer goes out is the bus's business.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::envelope::{Project, RequestId};
use protocol::failure::{Stage, Timeout};
use protocol::{Failure, Format, Id, Problem, raw};

/// When a call must be over, on the node's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// The whole time that the call was given, for its caller to read.
    pub timeout: Duration,
}

impl Deadline {
    /// A deadline `timeout` from now.
    #[must_use]
    pub fn within(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout, timeout }
    }

    /// What is left; zero when it is past.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// This deadline, or one `timeout` from now if that comes first.
    #[must_use]
    pub fn no_later_than(&self, timeout: Duration) -> Self {
        let other = Self::within(timeout);
        if other.at < self.at { other } else { *self }
    }

    /// The failure of a call that was not begun when this passed.
    #[must_use]
    pub fn passed_in_queue(&self, late: Option<Duration>) -> Failure {
        Failure::Timeout(Timeout {
            timeout_ms: millis(self.timeout),
            stage: Stage::Queued,
            late_ms: late.map(millis),
            death: None,
        })
    }
}

/// Whole milliseconds, at most `u64::MAX`.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What belongs to a call whoever handles it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The caller's id of the request.
    pub request_id: RequestId,
    /// Joins what belongs together over several requests.
    pub correlation: Id,
    /// The isolation boundary.
    pub project: Project,
    /// When it must be over.
    pub deadline: Deadline,
}

/// A call of an action.
#[derive(Debug, Clone)]
pub struct Call {
    /// What belongs to it whoever handles it.
    pub origin: Origin,
    /// The encoding of payload and answer.
    pub format: Format,
    /// The encoded payload.
    pub payload: Bytes,
}

impl Call {
    /// Reads the payload.
    ///
    /// # Errors
    /// The payload breaks its schema.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        raw::read(self.format, &self.payload, "payload")
    }
}

/// What a handler of an action returns: the encoded data, in the call's format.
pub type Answer = Result<Vec<u8>, Failure>;
