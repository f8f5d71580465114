//! Where an actor lives: a factory, an address and restarts. How soon and how often it is restarted is in `backoff`.
//!
//! actix's own `Supervisor` does not survive a panic, restarts without limit and reuses broken state. A slot makes
//! a new actor from its factory instead, and tells a sender whose message was lost so at once.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message};
use futures_util::FutureExt as _;
use protocol::Failure;
use protocol::channels::supervisor_status::{Part, State};
use tokio::sync::{Notify, oneshot};

use crate::backoff::{Backoff, INTENSITY, WINDOW};

/// How long an actor that was replaced still takes what was sent to it.
const LEAVE: Duration = Duration::from_millis(100);
/// Between the panic of a task that must go on and its next beginning.
const TASK_PAUSE: Duration = Duration::from_secs(1);

/// A place for one actor. The actor ends with it.
pub struct Slot<A: Actor<Context = Context<A>>> {
    inner: Rc<Inner<A>>,
}

struct Inner<A: Actor<Context = Context<A>>> {
    name: &'static str,
    factory: Box<dyn Fn() -> A>,
    life: RefCell<Life<A>>,
    fallen: Rc<Notify>,
}

struct Life<A: Actor<Context = Context<A>>> {
    /// The actor, unless its factory failed.
    actor: Option<Living<A>>,
    restarts: u64,
    backoff: Backoff,
    /// No restart before this moment.
    not_before: Option<Instant>,
    failed: bool,
}

struct Living<A: Actor<Context = Context<A>>> {
    addr: Addr<A>,
    /// Dropping it stops the actor, whatever it waits for.
    _tie: oneshot::Sender<()>,
}

impl<A: Actor<Context = Context<A>>> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<A: Actor<Context = Context<A>>> Slot<A> {
    /// Starts an actor made by `factory` under `name`, and again, after a pause, whenever it has gone.
    pub fn start(name: &'static str, factory: impl Fn() -> A + 'static) -> Self {
        let fallen = Rc::new(Notify::new());
        let life = Life::new(begin(&factory, &fallen), 0);
        let factory = Box::new(factory);
        let inner = Rc::new(Inner { name, factory, life: RefCell::new(life), fallen: Rc::clone(&fallen) });
        tokio::task::spawn_local(keep(Rc::downgrade(&inner), fallen));
        Self { inner }
    }

    /// Sends a message and waits for its answer. A mailbox is short: a sender waits for its turn.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the actor is down, or went down under the message.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, Failure>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        self.inner.look();
        let addr = self.inner.life.borrow().addr().cloned().ok_or_else(|| self.unavailable())?;
        addr.send(message).await.map_err(|_| {
            self.inner.look();
            self.unavailable()
        })
    }

    /// Puts a new actor in the place of the one that is there, or of one that stays down. What the old one has begun
    /// comes to its end.
    pub fn restart(&self) {
        let actor = begin(&*self.inner.factory, &self.inner.fallen);
        if actor.is_none() {
            self.inner.fallen.notify_one();
        }
        let restarts = self.inner.life.borrow().restarts + 1;
        let old = self.inner.life.replace(Life::new(actor, restarts));
        tokio::task::spawn_local(async move {
            // What is on its way to it is still taken.
            tokio::time::sleep(LEAVE).await;
            drop(old);
        });
    }

    /// Takes the actor down, as a panic in its mailbox would: what was done on its behalf has panicked. The failure
    /// that tells of it.
    #[must_use]
    pub fn fall(&self) -> Failure {
        self.inner.life.borrow_mut().actor = None;
        self.inner.fallen.notify_one();
        self.inner.look();
        self.unavailable()
    }

    /// Whether there is an actor.
    ///
    /// # Errors
    /// `UNAVAILABLE` while it is down.
    pub fn check(&self) -> Result<(), Failure> {
        self.inner.look();
        let up = self.inner.life.borrow().addr().is_some();
        if up { Ok(()) } else { Err(self.unavailable()) }
    }

    /// How the actor is.
    #[must_use]
    pub fn part(&self) -> Part {
        self.inner.part()
    }

    /// What tells how the actor is, and nothing once the slot has gone.
    pub fn observer(&self) -> impl Fn() -> Option<Part> + 'static {
        let inner = Rc::downgrade(&self.inner);
        move || inner.upgrade().map(|inner| inner.part())
    }

    fn unavailable(&self) -> Failure {
        let life = self.inner.life.borrow();
        let wait =
            life.not_before.map_or(life.backoff.pause(), |at| at.saturating_duration_since(Instant::now()));
        Failure::unavailable(self.inner.name, crate::call::millis(wait).max(1))
    }
}

impl<A: Actor<Context = Context<A>>> Inner<A> {
    fn part(&self) -> Part {
        self.look();
        let life = self.life.borrow();
        let state = match (life.failed, life.addr()) {
            (true, _) => State::Failed,
            (false, Some(_)) => State::Up,
            (false, None) => State::Restarting,
        };
        Part { name: self.name.to_owned(), state, restarts: life.restarts }
    }

    /// Notes a death and, once its pause is over, starts a new actor. What is left of the pause.
    fn look(&self) -> Option<Duration> {
        let mut life = self.life.borrow_mut();
        if life.failed || life.addr().is_some() {
            return None;
        }
        let now = Instant::now();
        if life.not_before.is_none() {
            life.note_death(self.name, now);
        }
        let at = life.not_before?;
        if now < at {
            return Some(at - now);
        }
        life.not_before = None;
        life.restarts += 1;
        life.actor = None;
        drop(life);
        let actor = begin(&*self.factory, &self.fallen);
        if actor.is_none() {
            // Nobody else tells of a factory that failed.
            self.fallen.notify_one();
        }
        self.life.borrow_mut().actor = actor;
        None
    }
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    fn new(actor: Option<Living<A>>, restarts: u64) -> Self {
        Self { actor, restarts, backoff: Backoff::default(), not_before: None, failed: false }
    }

    fn addr(&self) -> Option<&Addr<A>> {
        self.actor.as_ref().map(|actor| &actor.addr).filter(|addr| addr.connected() && !self.failed)
    }

    fn note_death(&mut self, name: &str, now: Instant) {
        let Some(pause) = self.backoff.note_death(now) else {
            self.failed = true;
            tracing::error!(part = name, "failed {INTENSITY} times in {WINDOW:?} and stays down");
            return;
        };
        tracing::warn!(part = name, pause_ms = crate::call::millis(pause), "went down and is started again");
        self.not_before = Some(now + pause);
    }
}

/// Tells that an actor's context has gone, however it went.
struct Fall(Rc<Notify>);

impl Drop for Fall {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A new actor; none if its factory panics.
fn begin<A: Actor<Context = Context<A>>>(factory: &dyn Fn() -> A, fallen: &Rc<Notify>) -> Option<Living<A>> {
    let actor = catch_unwind(AssertUnwindSafe(factory)).ok()?;
    let (tie, tied) = oneshot::channel::<()>();
    let fall = Fall(Rc::clone(fallen));
    let addr = A::create(|context| {
        // Lives in the actor's context and goes with it.
        let held = async move {
            let _fall = fall;
            let _slot_has_gone = tied.await;
        };
        context.spawn(wrap_future::<_, A>(held).map(|(), _, context: &mut Context<A>| context.stop()));
        actor
    });
    Some(Living { addr, _tie: tie })
}

/// Starts the actor anew whenever it has gone, at the end of its pause, whether or not anybody asks for it.
async fn keep<A: Actor<Context = Context<A>>>(slot: Weak<Inner<A>>, fallen: Rc<Notify>) {
    loop {
        fallen.notified().await;
        while let Some(pause) = {
            let Some(slot) = slot.upgrade() else { return };
            slot.look()
        } {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Runs a task that must not end before its time: if it panics, it is begun again after a pause.
pub async fn lasting(name: &'static str, mut task: impl AsyncFnMut()) {
    while AssertUnwindSafe(task()).catch_unwind().await.is_err() {
        tracing::error!(task = name, "a task went down and is started again");
        tokio::time::sleep(TASK_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fragile;

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Ask(bool);

    impl Handler<Ask> for Fragile {
        type Result = u32;

        fn handle(&mut self, Ask(well): Ask, _: &mut Self::Context) -> u32 {
            assert!(well, "a panic for the test");
            7
        }
    }

    async fn until_up(slot: &Slot<Fragile>) {
        while slot.part().state == State::Restarting {
            tokio::task::yield_now().await;
        }
    }

    #[actix_rt::test]
    async fn an_actor_that_panicked_answers_again_and_its_sender_is_told() {
        let slot = Slot::start("fragile", || Fragile);
        assert_eq!(slot.send(Ask(true)).await.unwrap(), 7);
        assert!(matches!(slot.send(Ask(false)).await, Err(Failure::Unavailable(_))));
        until_up(&slot).await;
        assert_eq!(slot.send(Ask(true)).await.unwrap(), 7);
        assert_eq!(slot.part().restarts, 1);
    }

    #[actix_rt::test]
    async fn an_actor_on_whose_behalf_something_panicked_is_replaced_like_one_that_did() {
        let slot = Slot::start("fragile", || Fragile);
        assert!(matches!(slot.fall(), Failure::Unavailable(_)));
        assert!(slot.check().is_err(), "there is a pause first");
        until_up(&slot).await;
        assert_eq!((slot.send(Ask(true)).await.unwrap(), slot.part().restarts), (7, 1));
    }

    #[actix_rt::test]
    async fn messages_in_the_mailbox_of_an_actor_that_panics_are_answered_at_once() {
        let slot = Slot::start("fragile", || Fragile);
        // More than a mailbox holds: the last ones still wait for their turn.
        let sends = (0..40).map(|n| slot.send(Ask(n > 0)));
        let sends = futures_util::future::join_all(sends);
        let answers = tokio::time::timeout(Duration::from_secs(5), sends).await.unwrap();
        assert!(answers.iter().all(|answer| matches!(answer, Err(Failure::Unavailable(_)))), "{answers:?}");
    }

    #[actix_rt::test]
    async fn an_actor_that_went_down_comes_back_though_nobody_asks_for_it() {
        let made = Rc::new(std::cell::Cell::new(0));
        let count = Rc::clone(&made);
        let slot = Slot::start("fragile", move || {
            count.set(count.get() + 1);
            Fragile
        });
        assert!(slot.send(Ask(false)).await.is_err());
        let back = async {
            while made.get() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
    }

    #[actix_rt::test]
    async fn an_actor_whose_factory_panics_is_tried_again_and_then_stays_down() {
        let made = Rc::new(std::cell::Cell::new(0));
        let count = Rc::clone(&made);
        let slot = Slot::start("fragile", move || {
            count.set(count.get() + 1);
            assert!(count.get() == 1, "a panic for the test");
            Fragile
        });
        assert!(slot.send(Ask(false)).await.is_err());
        let down = async {
            while !slot.inner.life.borrow().failed {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), down).await.unwrap();
        assert_eq!(made.get(), 1 + INTENSITY);
    }

    #[actix_rt::test]
    async fn an_actor_ends_with_its_slot_whatever_it_waits_for() {
        struct Waiting(#[allow(dead_code, reason = "its drop is what counts")] Rc<()>);

        impl Actor for Waiting {
            type Context = Context<Self>;

            fn started(&mut self, context: &mut Self::Context) {
                context.spawn(wrap_future(std::future::pending()));
            }
        }

        let held = Rc::new(());
        let lent = Rc::clone(&held);
        let slot = Slot::start("waiting", move || Waiting(Rc::clone(&lent)));
        tokio::task::yield_now().await;
        drop(slot);
        let gone = async {
            while Rc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    }

    #[actix_rt::test]
    async fn an_actor_that_always_panics_stays_down() {
        let slot = Slot::start("fragile", || Fragile);
        for _ in 0..=INTENSITY {
            assert!(slot.send(Ask(false)).await.is_err());
            until_up(&slot).await;
        }
        assert_eq!(slot.part().state, State::Failed);
        assert!(matches!(slot.send(Ask(true)).await, Err(Failure::Unavailable(_))));
        slot.restart();
        assert_eq!(slot.part().state, State::Up, "an operator cannot bring it back");
        assert_eq!(slot.send(Ask(true)).await.unwrap(), 7);
    }
}
