//! Where an actor lives: a factory, an address, back-off and a limit on restarts.
//!
//! actix's own `Supervisor` does not survive a panic, restarts without limit and reuses broken state. A slot makes
//! a new actor from its factory instead, and tells a sender whose message was lost so at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, MailboxError, Message};
use protocol::Failure;
use protocol::channels::supervisor_status::{Part, State};

/// First pause before a restart; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// This many restarts …
const INTENSITY: usize = 5;
/// … within this time mean that the actor is broken, not unlucky.
const WINDOW: Duration = Duration::from_secs(10);
/// After this long without a restart, the pauses begin anew.
const QUIET: Duration = Duration::from_secs(60);

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
    recent: VecDeque<Instant>,
    pause: Duration,
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
        let addr = factory().start();
        let life = Life {
            addr,
            restarts: 0,
            recent: VecDeque::new(),
            pause: FIRST_PAUSE,
            not_before: None,
            failed: false,
        };
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
        let wait = life.not_before.map_or(life.pause, |at| at.saturating_duration_since(Instant::now()));
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
    fn note_death(&mut self, name: &str, now: Instant) {
        if self.recent.back().is_some_and(|last| now.duration_since(*last) > QUIET) {
            self.pause = FIRST_PAUSE;
        }
        while self.recent.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > INTENSITY {
            self.failed = true;
            tracing::error!(part = name, "failed {INTENSITY} times in {WINDOW:?} and stays down");
            return;
        }
        let pause = jittered(self.pause);
        tracing::warn!(part = name, pause_ms = crate::call::millis(pause), "went down and is started again");
        self.not_before = Some(now + pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// A pause between a half and the whole of `pause`, so that many nodes do not restart in step.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
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
    }
}
