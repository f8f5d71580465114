//! Repeats of calls. Who calls again with the same id and the same content while the first call runs joins it; what
//! is worth it is kept for a while for those who ask later. Kept content stays in memory and goes by a timer. What a
//! call and its outcome are is the business of `bus::once`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::envelope::{Project, RequestId};
use protocol::{Format, Id};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

/// Most calls that one id stands for, running and kept. More run as if they bore no id.
const MOST_OF_ID: usize = 64;
/// What is held for an outcome besides its own bytes, about.
const OVERHEAD: usize = 512;

/// What tells calls apart. Whoever sends all of it again repeats the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The caller's id.
    pub id: RequestId,
    /// The action, or the channel with its colon.
    pub subject: &'static str,
    /// The isolation boundary.
    pub project: Project,
    /// Who asks, where the envelope says.
    pub operator: Option<Id>,
    /// Whether parts of the answer are asked for.
    pub parts: bool,
    /// The encoding of the payload.
    pub format: Format,
    /// The encoded payload.
    pub payload: Bytes,
}

impl Named {
    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.payload).into()
    }
}

struct Entry<T> {
    number: u64,
    subject: &'static str,
    project: Project,
    operator: Option<Id>,
    parts: bool,
    format: Format,
    stage: Stage<T>,
}

enum Stage<T> {
    /// The payload is held by the call itself too, so that nothing needs to be hashed.
    Running {
        payload: Bytes,
        told: watch::Receiver<Option<Rc<T>>>,
    },
    Kept {
        digest: [u8; 32],
        outcome: Rc<T>,
        weight: usize,
    },
}

impl<T> Entry<T> {
    /// Whether `named` is this call as far as all but the payload tells.
    fn may_be(&self, named: &Named) -> bool {
        (self.subject, &self.project, self.operator, self.parts, self.format)
            == (named.subject, &named.project, named.operator, named.parts, named.format)
    }
}

struct State<T> {
    by_id: HashMap<RequestId, Vec<Entry<T>>>,
    /// The kept ones with their ends, the oldest first.
    order: VecDeque<(Instant, RequestId, u64)>,
    weight: usize,
    next: u64,
}

struct Inner<T> {
    time: Duration,
    most: usize,
    sweeping: Cell<bool>,
    state: RefCell<State<T>>,
}

/// The calls that run and the outcomes that are kept.
pub struct Repeats<T>(Rc<Inner<T>>);

/// What a call turns out to be.
pub enum Entered<T> {
    /// The first of its kind: it must run.
    First(First<T>),
    /// Another like it runs.
    Joined(Joined<T>),
    /// Another like it has run.
    Kept(Rc<T>),
}

/// A call that runs. Dropped without an outcome, it lets those who joined it go without one.
pub struct First<T> {
    inner: Rc<Inner<T>>,
    named: Named,
    number: u64,
    tell: watch::Sender<Option<Rc<T>>>,
}

/// A call that waits for another like it.
pub struct Joined<T>(watch::Receiver<Option<Rc<T>>>);

impl<T> Joined<T> {
    /// How the first one ended; `None` if it was lost.
    pub async fn outcome(mut self) -> Option<Rc<T>> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<T: 'static> Repeats<T> {
    /// Keeps outcomes for `time`, and at most `most` bytes of them.
    #[must_use]
    pub fn new(time: Duration, most: usize) -> Self {
        let state = State { by_id: HashMap::new(), order: VecDeque::new(), weight: 0, next: 0 };
        Self(Rc::new(Inner { time, most, sweeping: Cell::new(false), state: RefCell::new(state) }))
    }

    /// Takes a call in.
    #[must_use]
    pub fn enter(&self, named: Named) -> Entered<T> {
        if let Some(found) = self.find(&named) {
            return found;
        }
        let (tell, told) = watch::channel(None);
        let mut state = self.0.state.borrow_mut();
        state.next += 1;
        let number = state.next;
        let entries = state.by_id.entry(named.id.clone()).or_default();
        if entries.len() < MOST_OF_ID {
            entries.push(Entry {
                number,
                subject: named.subject,
                project: named.project.clone(),
                operator: named.operator,
                parts: named.parts,
                format: named.format,
                stage: Stage::Running { payload: named.payload.clone(), told },
            });
        }
        drop(state);
        Entered::First(First { inner: Rc::clone(&self.0), named, number, tell })
    }

    /// What a call repeats, if it does.
    #[must_use]
    pub fn find(&self, named: &Named) -> Option<Entered<T>> {
        let state = self.0.state.borrow();
        let mut asked = None;
        let entries = state.by_id.get(&named.id)?.iter().filter(|entry| entry.may_be(named));
        for entry in entries {
            match &entry.stage {
                Stage::Running { payload, told } if *payload == named.payload => {
                    return Some(Entered::Joined(Joined(told.clone())));
                }
                Stage::Kept { digest, outcome, .. }
                    if digest == asked.get_or_insert_with(|| named.digest()) =>
                {
                    return Some(Entered::Kept(Rc::clone(outcome)));
                }
                Stage::Running { .. } | Stage::Kept { .. } => {}
            }
        }
        None
    }
}

impl<T: 'static> First<T> {
    /// Tells those who joined. `weight` is how many bytes the outcome holds if it is to be kept.
    pub fn end(self, outcome: T, weight: Option<usize>) -> Rc<T> {
        let outcome = Rc::new(outcome);
        // Nobody may have joined.
        self.tell.send_replace(Some(Rc::clone(&outcome)));
        if let Some(weight) = weight {
            Inner::keep(&self.inner, &self.named, self.number, &outcome, weight.saturating_add(OVERHEAD));
        }
        outcome
    }
}

impl<T> Drop for First<T> {
    fn drop(&mut self) {
        let mut state = self.inner.state.borrow_mut();
        let running =
            |entry: &Entry<T>| entry.number == self.number && matches!(entry.stage, Stage::Running { .. });
        state.remove(&self.named.id, running);
    }
}

impl<T> State<T> {
    /// Removes an entry of that id.
    fn remove(&mut self, id: &RequestId, is: impl Fn(&Entry<T>) -> bool) {
        let Some(entries) = self.by_id.get_mut(id) else { return };
        if let Some(entry) = entries.iter().position(is).map(|place| entries.swap_remove(place))
            && let Stage::Kept { weight, .. } = entry.stage
        {
            self.weight -= weight;
        }
        if entries.is_empty() {
            self.by_id.remove(id);
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, id, number)) = self.order.pop_front() {
            self.remove(&id, |entry| entry.number == number);
        }
    }
}

impl<T: 'static> Inner<T> {
    fn keep(this: &Rc<Self>, named: &Named, number: u64, outcome: &Rc<T>, weight: usize) {
        if weight > this.most || this.time.is_zero() {
            return;
        }
        let mut state = this.state.borrow_mut();
        while state.weight + weight > this.most {
            state.remove_oldest();
        }
        let entries = state.by_id.get_mut(&named.id).map(Vec::as_mut_slice).unwrap_or_default();
        let Some(entry) = entries.iter_mut().find(|entry| entry.number == number) else { return };
        entry.stage = Stage::Kept { digest: named.digest(), outcome: Rc::clone(outcome), weight };
        state.weight += weight;
        state.order.push_back((Instant::now() + this.time, named.id.clone(), number));
        drop(state);
        if !this.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(this)));
        }
    }

    /// Drops what was kept long enough, and says when the next is due.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.borrow_mut();
        while state.order.front().is_some_and(|(end, ..)| *end <= now) {
            state.remove_oldest();
        }
        state.order.front().map(|(end, ..)| *end)
    }
}

/// Drops outcomes as their time ends, as long as there are any.
async fn sweep<T: 'static>(inner: Weak<Inner<T>>) {
    while let Some(here) = inner.upgrade() {
        let Some(next) = here.expire(Instant::now()) else {
            here.sweeping.set(false);
            return;
        };
        drop(here);
        tokio::time::sleep_until(next.into()).await;
    }
}

#[cfg(test)]
mod tests;
