//! The task that keeps a link alive: it reads, hands on and writes, looks whether the broker is still there, and connects again.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::ServerAddr;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::time::{Interval, MissedTickBehavior};

use super::Link;
use super::dial::{self, Connection, Stream, Terms};
use super::wire::{self, Info, Operation};

/// A broker that has not said anything for two to three of these has gone.
const PING: Duration = Duration::from_secs(2);
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
    #[error(transparent)]
    Broken(#[from] wire::Broken),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Keeps `link` alive until it is closed.
pub(super) fn begin(link: Link, terms: Terms, first: Connection) {
    tokio::task::spawn_local(async move {
        let mut connection = first;
        loop {
            let mut driver = Driver::new(&link, connection);
            let ended = poll_fn(|context| driver.turn(context)).await;
            drop(driver);
            link.disconnected();
            if link.0.closed.get() {
                return;
            }
            if let (Err(why), false) = (ended, link.0.ending.get()) {
                tracing::warn!(%why, "the connection to the broker is lost; trying again");
            }
            let Some(next) = connect_again(&link, &terms).await else { return };
            connection = next;
        }
    });
}

/// Tries one broker of the cluster after the other; nothing once the link is closed.
async fn connect_again(link: &Link, terms: &Terms) -> Option<Connection> {
    for attempt in 0.. {
        tokio::time::sleep(pause(attempt)).await;
        if link.0.closed.get() {
            break;
        }
        let servers = link.0.servers.borrow().clone();
        let server = servers.get(attempt.checked_rem(servers.len()).unwrap_or(0)).unwrap_or(&terms.address);
        match dial::dial(terms, server).await {
            Ok(connection) => return Some(connection),
            Err(error @ (dial::Error::Denied(_) | dial::Error::Login(_))) => {
                tracing::warn!(%error, attempt, "the broker cannot be connected to");
            }
            Err(error) => tracing::debug!(%error, attempt, "the broker cannot be connected to"),
        }
    }
    None
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
    /// `PING`s since the broker last said anything.
    unheard: u32,
    /// Whether something was written that the stream may still hold back.
    unflushed: bool,
}

impl<'a> Driver<'a> {
    fn new(link: &'a Link, connection: Connection) -> Self {
        let Connection { stream, info, input } = connection;
        link.connected(&info);
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { link, stream, input, beat, unheard: 0, unflushed: false }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        if self.link.0.closed.get() {
            return self.close(context);
        }
        if let Err(ended) = self.read(context) {
            return Poll::Ready(Err(ended));
        }
        // Behind reading: a node that was stopped for a while has not been unheard.
        while self.beat.poll_tick(context).is_ready() {
            if self.unheard >= 2 {
                return Poll::Ready(Err(Ended::Silent));
            }
            self.unheard += 1;
            self.link.ping(None);
        }
        if let Poll::Ready(Err(error)) = self.write(context) {
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
            self.input.reserve(READ);
            let read = pin!(self.stream.read_buf(&mut self.input)).poll(context);
            match read {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Ended::Closed),
                Poll::Ready(read) => drop(read?),
            }
            self.unheard = 0;
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
                Operation::Refused(text) => {
                    let text: String = text.chars().take(LONGEST_TEXT).collect();
                    tracing::warn!("broker: {text}");
                }
                Operation::Fine => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.link.0.outbox.borrow_mut();
        while outbox.waiting() > 0 {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, outbox.rest()))?;
            if outbox.waiting() > PAUSE_READING {
                // It is not heard, but it takes something.
                self.unheard = 0;
            }
            outbox.wrote(count);
            self.unflushed = true;
        }
        drop(outbox);
        self.link.0.room.notify_waiters();
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
        let waiting = std::mem::take(&mut *outbox);
        for (sid, subscription) in &*self.0.subscriptions.borrow() {
            if !subscription.ended {
                subscription.say(*sid, &mut outbox);
            }
        }
        outbox.append(waiting);
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
        if info.max_payload > 0 {
            self.0.max_payload.set(info.max_payload);
        }
        if info.ldm {
            tracing::warn!("the broker is about to end; the node goes to another one, or waits");
        }
        let mut servers = self.0.servers.borrow_mut();
        for url in &info.connect_urls {
            let Ok(server) = url.parse::<ServerAddr>() else { continue };
            if servers.len() < MOST_SERVERS && !servers.contains(&server) {
                servers.push(server);
            }
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
