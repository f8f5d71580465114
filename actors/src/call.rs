//! One call as handlers see it, and its deadline. How it came in and how its answer goes out is the bus's business.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::envelope::{Project, RequestId, Token};
use protocol::failure::{Cancelled, Stage, Timeout};
use protocol::stream::Channel;
use protocol::{Failure, Format, Id, Problem, raw};
use tokio::sync::{Notify, mpsc};

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
            output: None,
        })
    }
}

/// Whole milliseconds, at most `u64::MAX`.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Who cancels a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `supervisor.cancel`.
    Request,
    /// The node must stop.
    Drain,
    /// Nobody listens any more where the answer goes.
    Caller,
}

impl By {
    /// The word in `details.by`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Drain => "drain",
            Self::Caller => "caller_gone",
        }
    }
}

/// Whether a call was cancelled; all who hold it see the same.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    by: OnceLock<By>,
    told: Notify,
}

impl Cancel {
    /// Cancels; the first one who does is named.
    pub fn cancel(&self, by: By) {
        let _already = self.0.by.set(by);
        self.0.told.notify_waiters();
    }

    /// Who cancelled it, if anybody did.
    #[must_use]
    pub fn by(&self) -> Option<By> {
        self.0.by.get().copied()
    }

    /// Whether both are of the same call.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when it is cancelled.
    pub async fn cancelled(&self) -> By {
        loop {
            let told = self.0.told.notified();
            match self.by() {
                Some(by) => return by,
                None => told.await,
            }
        }
    }
}

/// The failure of a call that was cancelled.
#[must_use]
pub fn cancelled(by: By) -> Failure {
    Failure::Cancelled(Cancelled { by: by.as_str().to_owned() })
}

/// The calls that a node holds, by the callers' ids, to be cancelled from outside.
#[derive(Debug, Clone, Default)]
pub struct Held(Rc<RefCell<HashMap<String, Vec<Entry>>>>);

#[derive(Debug)]
struct Entry {
    token: Option<Token>,
    cancel: Cancel,
}

impl Held {
    /// Holds a call until the guard is dropped.
    #[must_use]
    pub fn hold(&self, id: &RequestId, token: Option<Token>, cancel: &Cancel) -> Hold {
        let entry = Entry { token, cancel: cancel.clone() };
        self.0.borrow_mut().entry(id.as_str().to_owned()).or_default().push(entry);
        Hold { held: self.clone(), id: id.clone(), cancel: cancel.clone() }
    }

    /// Cancels the calls of that id whose token is the one shown, if they have any. Whether there were such.
    pub fn cancel(&self, id: &RequestId, token: Option<&Token>) -> bool {
        let held = self.0.borrow();
        let entries = held.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let meant = entries.iter().filter(|entry| entry.token.is_none() || entry.token.as_ref() == token);
        meant.map(|entry| entry.cancel.cancel(By::Request)).count() > 0
    }

    /// Cancels every call.
    pub fn cancel_all(&self, by: By) {
        self.0.borrow().values().flatten().for_each(|entry| entry.cancel.cancel(by));
    }
}

/// Keeps a call among those that can be cancelled.
#[derive(Debug)]
pub struct Hold {
    held: Held,
    id: RequestId,
    cancel: Cancel,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.held.0.borrow_mut();
        if let Some(entries) = held.get_mut(self.id.as_str()) {
            entries.retain(|entry| !Arc::ptr_eq(&entry.cancel.0, &self.cancel.0));
            if entries.is_empty() {
                held.remove(self.id.as_str());
            }
        }
    }
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
    /// Whether it still has to go on.
    pub cancel: Cancel,
    /// Where parts of its answer go, if its caller asks for them.
    pub stream: Option<Stream>,
}

/// A piece of an answer, for a caller who asks for parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub channel: Channel,
    /// The text.
    pub text: String,
}

/// Where pieces of an answer are put, in their order. There is little room: who puts more than is sent waits, or goes on without.
#[derive(Debug, Clone)]
pub struct Stream(mpsc::Sender<Piece>);

impl Stream {
    /// What is put there comes out of the other end of `pieces`.
    #[must_use]
    pub const fn new(pieces: mpsc::Sender<Piece>) -> Self {
        Self(pieces)
    }

    /// Puts a piece if there is room; whether there was.
    #[must_use]
    pub fn offer(&self, piece: Piece) -> bool {
        self.0.try_send(piece).is_ok()
    }

    /// Puts a piece as soon as there is room. Nobody may take it any more.
    pub async fn put(&self, piece: Piece) {
        let _nobody_takes_it = self.0.send(piece).await;
    }
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
        raw::read_object(self.format, &self.payload, "payload")
    }
}

/// What a handler of an action returns: the encoded data, in the call's format.
pub type Answer = Result<Vec<u8>, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        serde_json::from_str(&format!("\"{text}\"")).unwrap()
    }

    #[test]
    fn a_call_is_cancelled_by_its_id_and_token_and_only_while_it_is_held() {
        let (held, id) = (Held::default(), RequestId::new("r").unwrap());
        let [open, secret] = [Cancel::default(), Cancel::default()];
        let hold = held.hold(&id, None, &open);
        let _secret = held.hold(&id, Some(token("0123456789abcdef")), &secret);
        assert!(held.cancel(&id, None));
        assert!(open.by() == Some(By::Request) && secret.by().is_none());
        drop(hold);
        assert!(!held.cancel(&id, Some(&token("another token of it"))));
        assert!(held.cancel(&id, Some(&token("0123456789abcdef"))));
        assert_eq!(secret.by(), Some(By::Request));
    }

    #[test]
    fn nothing_is_kept_of_a_call_that_is_over() {
        let (held, id) = (Held::default(), RequestId::new("r").unwrap());
        drop(held.hold(&id, None, &Cancel::default()));
        assert!(held.0.borrow().is_empty());
    }
}
