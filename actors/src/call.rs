//! One call as handlers see it, and its deadline. How it came in and how its answer goes out is the bus's business.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use protocol::envelope::{Project, RequestId, Token};
use protocol::failure::{Cancelled, Stage, Timeout};
use protocol::stream::Channel;
use protocol::{Failure, Format, Id, Problem, raw};
use tokio::sync::{Notify, mpsc};

use crate::telemetry::trace::Trace;

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

    /// The failure of a call that had begun when this passed, of which nobody can say more.
    #[must_use]
    pub fn passed_while_running(&self) -> Failure {
        let timeout_ms = millis(self.timeout);
        let stage = Stage::Running;
        Failure::Timeout(Timeout { timeout_ms, stage, late_ms: None, death: None, output: None })
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

/// Why a call need not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It was cancelled.
    Cancelled(By),
    /// Its handler has not kept to its deadline.
    GivenUp,
}

/// Whether a call still has to go on.
#[derive(Debug, Default)]
pub struct Cancel {
    by: OnceLock<By>,
    given_up: OnceLock<()>,
    told: AtomicWaker,
}

impl Cancel {
    /// Cancels; the first one who does is named.
    pub fn cancel(&self, by: By) {
        let _already = self.by.set(by);
        self.told.wake();
    }

    /// Who cancelled it, if anybody did.
    #[must_use]
    pub fn by(&self) -> Option<By> {
        self.by.get().copied()
    }

    fn give_up(&self) {
        let _already = self.given_up.set(());
        self.told.wake();
    }

    /// Resolves when it need not go on. Only one waits for that: who runs the call.
    pub fn over(&self) -> impl Future<Output = Over> {
        poll_fn(|context| {
            self.told.register(context.waker());
            match (self.by(), self.given_up.get()) {
                (Some(by), _) => Poll::Ready(Over::Cancelled(by)),
                (None, Some(())) => Poll::Ready(Over::GivenUp),
                (None, None) => Poll::Pending,
            }
        })
    }
}

/// The failure of a call that was cancelled.
#[must_use]
pub fn cancelled(by: By) -> Failure {
    Failure::Cancelled(Cancelled { by: by.as_str().to_owned() })
}

/// How long after its deadline a call is given up, should its handler not have kept to it: this …
const BACKSTOP: Duration = Duration::from_millis(45);
/// … and then at least this much more, so that a handler that was held up together with us still says itself what
/// became of it.
const LAST_WORD: Duration = Duration::from_millis(30);
/// How often it is looked for such calls while there are any.
const LOOK: Duration = Duration::from_millis(10);

/// The calls that a node holds: they can be cancelled from outside, and are given up past their deadlines.
#[derive(Debug, Clone, Default)]
pub struct Held(Rc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    entries: RefCell<slab::Slab<Entry>>,
    /// Wakes who looks for late ones.
    some: Notify,
}

#[derive(Debug)]
struct Entry {
    token: Option<Token>,
    origin: Origin,
    /// When it was first seen to be past its deadline.
    overdue: Option<Instant>,
}

impl Held {
    /// Holds a call until the guard is dropped.
    #[must_use]
    pub fn hold(&self, token: Option<Token>, origin: &Origin) -> Hold {
        let mut entries = self.0.entries.borrow_mut();
        if entries.is_empty() {
            self.0.some.notify_one();
        }
        let key = entries.insert(Entry { token, origin: origin.clone(), overdue: None });
        Hold { held: self.clone(), key }
    }

    /// Cancels the calls of that id whose token is the one shown, if they have any. Whether there were such.
    pub fn cancel(&self, id: &RequestId, token: Option<&Token>) -> bool {
        let entries = self.0.entries.borrow();
        let meant = entries.iter().map(|(_, entry)| entry).filter(|entry| {
            entry.origin.request_id == *id && (entry.token.is_none() || entry.token.as_ref() == token)
        });
        meant.map(|entry| entry.origin.cancel.cancel(By::Request)).count() > 0
    }

    /// Cancels every call.
    pub fn cancel_all(&self, by: By) {
        self.0.entries.borrow().iter().for_each(|(_, entry)| entry.origin.cancel.cancel(by));
    }

    /// Gives up calls whose handlers have not kept to their deadlines, for as long as it is polled. One look over all
    /// calls now and then costs less than a timer for each.
    pub async fn give_up_late_ones(&self) {
        loop {
            if self.0.entries.borrow().is_empty() {
                self.0.some.notified().await;
            }
            tokio::time::sleep(LOOK).await;
            self.look(Instant::now());
        }
    }

    fn look(&self, now: Instant) {
        for (_, entry) in self.0.entries.borrow_mut().iter_mut() {
            if now >= entry.origin.deadline.at + BACKSTOP {
                let since = *entry.overdue.get_or_insert(now);
                if now.duration_since(since) >= LAST_WORD {
                    entry.origin.cancel.give_up();
                }
            }
        }
    }
}

/// Keeps a call among those that are held.
#[derive(Debug)]
pub struct Hold {
    held: Held,
    key: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.0.entries.borrow_mut().remove(self.key);
    }
}

/// What all parts of a call share.
#[derive(Debug)]
pub struct Shared {
    /// The caller's id of the request.
    pub request_id: RequestId,
    /// Joins what belongs together over several requests.
    pub correlation: Id,
    /// The isolation boundary.
    pub project: Project,
    /// The trace that it belongs to.
    pub trace: Trace,
    /// Whether it still has to go on.
    pub cancel: Cancel,
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

/// What belongs to a call whoever handles it. Cheap to clone; clones see the same cancel.
#[derive(Debug, Clone)]
pub struct Origin {
    /// When it must be over.
    pub deadline: Deadline,
    /// Where parts of its answer go, if its caller asks for them.
    pub stream: Option<Stream>,
    shared: Arc<Shared>,
}

impl Origin {
    /// The origin of a call that came in.
    #[must_use]
    pub fn new(
        request_id: RequestId,
        correlation: Id,
        project: Project,
        trace: Trace,
        deadline: Deadline,
    ) -> Self {
        let cancel = Cancel::default();
        let shared = Arc::new(Shared { request_id, correlation, project, trace, cancel });
        Self { deadline, stream: None, shared }
    }

    /// The origin of what the node does for itself.
    #[must_use]
    pub fn own(deadline: Deadline) -> Self {
        Self::new(RequestId::generate(), Id::generate(), Project::default(), Trace::default(), deadline)
    }

    /// The same with another deadline: that of a part.
    #[must_use]
    pub fn until(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Whether both are of the same call.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl std::ops::Deref for Origin {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
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
pub type Answer = Result<Bytes, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        serde_json::from_str(&format!("\"{text}\"")).unwrap()
    }

    fn origin(id: &RequestId, timeout: Duration) -> Origin {
        Origin::new(
            id.clone(),
            Id::generate(),
            Project::default(),
            Trace::default(),
            Deadline::within(timeout),
        )
    }

    #[test]
    fn a_call_is_cancelled_by_its_id_and_token_and_only_while_it_is_held() {
        let (held, id) = (Held::default(), RequestId::new("r").unwrap());
        let [open, secret] = [origin(&id, Duration::MAX / 4), origin(&id, Duration::MAX / 4)];
        let hold = held.hold(None, &open);
        let _secret = held.hold(Some(token("0123456789abcdef")), &secret);
        assert!(held.cancel(&id, None));
        assert!(open.cancel.by() == Some(By::Request) && secret.cancel.by().is_none());
        drop(hold);
        assert!(!held.cancel(&id, Some(&token("another token of it"))));
        assert!(held.cancel(&id, Some(&token("0123456789abcdef"))));
        assert_eq!(secret.cancel.by(), Some(By::Request));
    }

    #[test]
    fn nothing_is_kept_of_a_call_that_is_over() {
        let (held, id) = (Held::default(), RequestId::new("r").unwrap());
        drop(held.hold(None, &origin(&id, Duration::ZERO)));
        assert!(held.0.entries.borrow().is_empty());
    }

    #[test]
    fn a_late_call_is_given_up_only_when_it_had_a_last_word() {
        let (held, id) = (Held::default(), RequestId::new("r").unwrap());
        let [late, early] = [origin(&id, Duration::ZERO), origin(&id, Duration::from_secs(9))];
        let _holds = [held.hold(None, &late), held.hold(None, &early)];
        let given_up = |origin: &Origin| origin.cancel.given_up.get().is_some();
        let then = late.deadline.at + BACKSTOP;
        held.look(late.deadline.at);
        held.look(then);
        assert!(!given_up(&late), "it was seen to be late once");
        held.look(then + LAST_WORD);
        assert!(given_up(&late) && !given_up(&early));
    }

    #[test]
    fn a_part_sees_the_cancel_of_the_whole() {
        let whole = origin(&RequestId::new("r").unwrap(), Duration::from_secs(9));
        let part = whole.until(Deadline::within(Duration::ZERO));
        whole.cancel.cancel(By::Drain);
        assert_eq!(part.cancel.by(), Some(By::Drain));
    }
}
