//! Where an actor lives: a factory, an address and restarts. How soon and how often it is restarted is in `backoff`.
//!
//! actix's own `Supervisor` does not survive a panic, restarts without limit and reuses broken state. A slot makes
//! a new actor from its factory instead, and tells a sender whose message was lost so at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, MailboxError, Message};
use protocol::Failure;
use protocol::channels::supervisor_status::{Part, State};

use crate::backoff::{Backoff, INTENSITY, WINDOW};

/// A place for one actor.
pub struct Slot<A: Actor<Context = Context<A>>> {
    inner: Rc<Inner<A>>,
}

struct Inner<A: Actor<Context = Context<A>>> {
    name: &'static str,
    factory: Box<dyn Fn() -> A>,
    life: RefCell<Life<A>>,
}

struct Life<A: Actor<Context = Context<A>>> {
    addr: Addr<A>,
    restarts: u64,
    backoff: Backoff,
    /// No restart before this moment.
    not_before: Option<Instant>,
    failed: bool,
}

impl<A: Actor<Context = Context<A>>> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<A: Actor<Context = Context<A>>> Slot<A> {
    /// Starts an actor made by `factory` under `name`.
    pub fn start(name: &'static str, factory: impl Fn() -> A + 'static) -> Self {
        let life = Life::new(factory().start());
        Self { inner: Rc::new(Inner { name, factory: Box::new(factory), life: RefCell::new(life) }) }
    }

    /// Sends a message and waits for its answer.
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
        let addr = self.address()?;
        match addr.send(message).await {
            Ok(answer) => Ok(answer),
            Err(MailboxError::Closed | MailboxError::Timeout) => Err(self.unavailable()),
        }
    }

    /// The address of a living actor; starts a new one if the last has gone and its pause is over.
    ///
    /// # Errors
    /// `UNAVAILABLE` while it is down.
    pub fn address(&self) -> Result<Addr<A>, Failure> {
        self.revive();
        let life = self.inner.life.borrow();
        if life.addr.connected() && !life.failed { Ok(life.addr.clone()) } else { Err(self.unavailable()) }
    }

    /// Puts a new actor in the place of the one that is there, or of one that stays down. What the old one has begun
    /// comes to its end.
    pub fn restart(&self) {
        let addr = (self.inner.factory)().start();
        let mut life = self.inner.life.borrow_mut();
        let restarts = life.restarts + 1;
        *life = Life { restarts, ..Life::new(addr) };
    }

    /// How the actor is.
    #[must_use]
    pub fn part(&self) -> Part {
        self.revive();
        let life = self.inner.life.borrow();
        let state = match (life.failed, life.addr.connected()) {
            (true, _) => State::Failed,
            (false, true) => State::Up,
            (false, false) => State::Restarting,
        };
        Part { name: self.inner.name.to_owned(), state, restarts: life.restarts }
    }

    fn unavailable(&self) -> Failure {
        let life = self.inner.life.borrow();
        let wait =
            life.not_before.map_or(life.backoff.pause(), |at| at.saturating_duration_since(Instant::now()));
        Failure::unavailable(self.inner.name, crate::call::millis(wait).max(1))
    }

    fn revive(&self) {
        let now = Instant::now();
        let mut life = self.inner.life.borrow_mut();
        if life.failed || life.addr.connected() {
            return;
        }
        match life.not_before {
            None => life.note_death(self.inner.name, now),
            Some(at) if now >= at => {
                life.not_before = None;
                life.restarts += 1;
                life.addr = (self.inner.factory)().start();
            }
            Some(_) => {}
        }
    }
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    fn new(addr: Addr<A>) -> Self {
        Self { addr, restarts: 0, backoff: Backoff::default(), not_before: None, failed: false }
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
