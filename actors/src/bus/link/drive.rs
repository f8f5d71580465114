//! The task that keeps a link alive: it reads, hands on and writes, looks whether the broker is still there, and connects again.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_nats::ServerAddr;
use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::time::{Interval, MissedTickBehavior};

use super::Link;
use super::dial::{self, Connection, Stream, Terms};
use super::outbox::Outbox;
use super::upcoming::Hold;
use super::wire::{self, Info, Operation};

/// A broker that has not said anything for two to three of these has gone, unless it had much to take.
pub(super) const PING: Duration =
    if cfg!(test) { Duration::from_millis(250) } else { Duration::from_secs(2) };
/// How much a broker can take between two `PING`s however slow the way to it is, in bytes: those that it is asked behind so
/// much are answered later.
const TAKEN: usize = 512 << 10;
/// After a connection of this length pauses begin anew.
const HEALTHY: Duration = Duration::from_secs(5);
/// Refusals of the broker are told no more often than this.
const TELL: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to connect again, but for what differs between nodes.
const LONGEST_PAUSE: Duration = Duration::from_millis(550);
/// Room for one read, in bytes.
const READ: usize = 64 << 10;
/// Reads in one turn before other tasks have theirs: some hundred calls, which take a millisecond or two.
const READS: usize = 2;
/// While so many bytes wait to be written, nothing more is read: a broker that takes no answers gets to wait itself.
const PAUSE_READING: usize = 32 << 20;
/// Longest text of a refusal that is told, in characters.
const LONGEST_TEXT: usize = 500;
/// Most other brokers of a cluster that are remembered.
const MOST_SERVERS: usize = 64;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it was closed by the broker")]
    Closed,
    #[error("the broker does not answer any more")]
    Silent,
    #[error("its handling panicked")]
    Panicked,
    #[error(transparent)]
    Broken(#[from] wire::Broken),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Keeps `link` alive until it is closed.
pub(super) fn begin(link: Link, terms: Terms, first: Connection) {
    tokio::task::spawn_local(async move {
        let (mut connection, mut attempt) = (first, 0);
        loop {
            let since = Instant::now();
            let mut driver = Driver::new(&link, connection);
            let turns = AssertUnwindSafe(poll_fn(|context| driver.turn(context))).catch_unwind();
            let ended = turns.await.unwrap_or(Err(Ended::Panicked));
            drop(driver);
            link.disconnected();
            if link.0.closed.get() {
                return;
            }
            if let (Err(why), false) = (ended, link.0.ending.get()) {
                tracing::warn!(%why, "the connection to the broker is lost; trying again");
            }
            if since.elapsed() > HEALTHY {
                attempt = 0;
            }
            let Some(next) = connect_again(&link, &terms, &mut attempt).await else { return };
            connection = next;
        }
    });
}

/// Tries one broker of the cluster after the other; nothing once the link is closed.
async fn connect_again(link: &Link, terms: &Terms, attempt: &mut usize) -> Option<Connection> {
    loop {
        tokio::time::sleep(pause(*attempt)).await;
        if link.0.closed.get() {
            return None;
        }
        let servers = link.0.servers.borrow().clone();
        let server = servers.get(attempt.checked_rem(servers.len()).unwrap_or(0)).unwrap_or(&terms.address);
        *attempt += 1;
        let dialled = AssertUnwindSafe(dial::dial(terms, server)).catch_unwind().await;
        match dialled {
            Ok(Ok(connection)) => return Some(connection),
            Ok(Err(error @ (dial::Error::Denied(_) | dial::Error::Login(_)))) => {
                tracing::warn!(%error, attempt, "the broker cannot be connected to");
            }
            Ok(Err(error)) => tracing::debug!(%error, attempt, "the broker cannot be connected to"),
            Err(_) => tracing::error!(attempt, "an attempt to connect to the broker panicked"),
        }
    }
}

/// The pause before an attempt to connect again: none at first, then longer and longer, up to half a second and a bit
/// that differs between nodes.
fn pause(attempt: usize) -> Duration {
    let Some(doublings) = attempt.checked_sub(1) else { return Duration::ZERO };
    let doublings = u32::try_from(doublings).unwrap_or(u32::MAX).min(9);
    let jitter = uuid::Uuid::new_v4().as_u128() as u64 % 64;
    Duration::from_millis(1 << doublings).min(LONGEST_PAUSE) + Duration::from_millis(jitter)
}

/// One connection.
struct Driver<'a> {
    link: &'a Link,
    stream: Stream,
    input: BytesMut,
    beat: Interval,
    /// `PING`s since the broker last said anything …
    unheard: usize,
    /// … and bytes that were written to it since.
    written: usize,
    /// Whether something was written that the stream may still hold back.
    unflushed: bool,
    hold: Hold,
    /// When a refusal was told last.
    told: Option<Instant>,
}

impl<'a> Driver<'a> {
    fn new(link: &'a Link, connection: Connection) -> Self {
        let Connection { stream, info, input } = connection;
        link.connected(&info);
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hold = Hold::new(&link.0.upcoming);
        Self { link, stream, input, beat, unheard: 0, written: 0, unflushed: false, hold, told: None }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.link.0.closed.get() {
            return self.close(context);
        }
        self.link.0.woken.set(true);
        if let Err(ended) = self.read(context) {
            return Poll::Ready(Err(ended));
        }
        // Behind reading: a node that was stopped for a while has not been unheard.
        while self.beat.poll_tick(context).is_ready() {
            if self.unheard >= 2 + self.written / TAKEN {
                return Poll::Ready(Err(Ended::Silent));
            }
            self.unheard += 1;
            self.link.ping(None);
        }
        let written = self.write(context);
        if self.link.0.outbox.borrow().has_room() {
            self.link.0.room.notify_waiters();
        }
        if let Poll::Ready(Err(error)) = written {
            return Poll::Ready(Err(error.into()));
        }
        // All that was said meanwhile has been written, or waits for the stream.
        self.link.0.woken.set(false);
        let mut waker = self.link.0.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let stream = Pin::new(&mut self.stream);
        Poll::Ready(ready!(stream.poll_shutdown(context)).map_err(Ended::from))
    }

    fn read(&mut self, context: &mut Context<'_>) -> Result<(), Ended> {
        self.take()?;
        for _ in 0..READS {
            if self.link.0.outbox.borrow().waiting() > PAUSE_READING {
                return Ok(());
            }
            // A large message has its room already.
            if self.input.capacity() == self.input.len() || self.input.is_empty() {
                self.input.reserve(READ);
            }
            let read = pin!(self.stream.read_buf(&mut self.input)).poll(context);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(read) => drop(read?),
            }
            (self.unheard, self.written) = (0, 0);
            self.take()?;
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Handles all that has come in whole.
    fn take(&mut self) -> Result<(), Ended> {
        while let Some(operation) = wire::read(&mut self.input)? {
            match operation {
                Operation::Message(message) => {
                    let handled = AssertUnwindSafe(|| self.link.dispatch(message));
                    if catch_unwind(handled).is_err() {
                        tracing::error!("a message's handler panicked");
                    }
                }
                Operation::Ping => self.link.0.outbox.borrow_mut().word(&["PONG"]),
                Operation::Pong => {
                    if let Some(Some(told)) = self.link.0.pongs.borrow_mut().pop_front() {
                        let _not_waited_for_any_more = told.send(());
                    }
                }
                Operation::Info(info) => self.link.informed(&info),
                Operation::Refused(text) => self.tell(&text),
                Operation::Fine => {}
            }
        }
        Ok(())
    }

    /// Tells of a refusal, unless another one was told just now.
    fn tell(&mut self, text: &str) {
        if self.told.is_none_or(|told| told.elapsed() > TELL) {
            self.told = Some(Instant::now());
            let text: String = text.chars().take(LONGEST_TEXT).collect();
            tracing::warn!("broker: {text}");
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.link.0.outbox.borrow_mut();
        // Whoever has begun a frame goes on with it.
        if !self.unflushed && self.hold.holds(outbox.waiting(), context) {
            return Poll::Pending;
        }
        while outbox.waiting() > 0 {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, outbox.rest()))?;
            outbox.wrote(count);
            self.unflushed = true;
            self.written += count;
        }
        drop(outbox);
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Link {
    /// Says over a new connection what is wanted of it, before all that waits.
    fn connected(&self, info: &Info) {
        self.informed(info);
        let mut outbox = self.0.outbox.borrow_mut();
        let largest = outbox.largest;
        let waiting = std::mem::replace(&mut *outbox, Outbox::new(largest));
        for (sid, subscription) in &*self.0.subscriptions.borrow() {
            if !subscription.ended {
                subscription.say(*sid, &mut outbox);
            }
        }
        outbox.append(&waiting);
        drop(outbox);
        self.0.connected.set(true);
        self.0.connections.set(self.0.connections.get() + 1);
        tracing::info!("connected to the broker");
    }

    fn disconnected(&self) {
        self.0.connected.set(false);
        self.0.pongs.borrow_mut().clear();
        self.0.outbox.borrow_mut().begin_again();
    }

    fn informed(&self, info: &Info) {
        self.0.outbox.borrow_mut().largest = info.largest();
        if info.ldm {
            tracing::warn!("the broker is about to end; the node goes to another one, or waits");
        }
        let others = info.connect_urls.iter().flatten().take(MOST_SERVERS);
        let others: Vec<ServerAddr> = others.filter_map(|url| url.parse().ok()).collect();
        if !others.is_empty() {
            let mut servers = self.0.servers.borrow_mut();
            // The one that was named stays the first, whoever else comes and goes.
            servers.truncate(1);
            servers.extend(others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_second_and_a_bit() {
        assert_eq!(pause(0), Duration::ZERO);
        assert!(pause(1) < Duration::from_millis(66));
        for attempt in [11, 1_000, usize::MAX] {
            assert!(
                (LONGEST_PAUSE - Duration::from_millis(40)..Duration::from_millis(620))
                    .contains(&pause(attempt))
            );
        }
    }
}
