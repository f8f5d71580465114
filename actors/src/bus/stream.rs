//! The parts of a streamed answer on their way to the caller's inbox, in order, and the look whether anybody is still there.
//! What the parts say comes from the handler (`call::Stream`); the terminal reply goes out in `bus::intake`, after all of
//! them.
//!
//! Each part bears a reply subject of its own stream. Nobody answers there: if nobody listens where the part goes, the
//! broker itself says so.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use protocol::Format;
use protocol::envelope::{REQUEST_ID, Token};
use protocol::format::CONTENT_TYPE;
use protocol::stream::{Channel, Kind, MOST_TEXT, Part, head};
use tokio::sync::{mpsc, oneshot};

use super::Bus;
use super::link::{Block, Message, To};
use crate::call::{By, Origin, Piece, Stream};

/// After this long without a part, an empty one asks whether the caller is still there.
const QUIET: Duration = Duration::from_millis(400);
/// Somebody of whom the broker has not said for so long that they are away is back.
const BACK: Duration = Duration::from_millis(1_500);
/// Longest wait for room.
const SEND: Duration = Duration::from_secs(5);
/// Pieces that wait to be sent.
const WAITING: usize = 64;

/// Whom the parts go to.
pub(super) struct Listener {
    pub(super) inbox: String,
    pub(super) format: Format,
    pub(super) token: Token,
    /// How long work goes on when nobody listens.
    pub(super) lease: Duration,
    /// The call that is then cancelled.
    pub(super) origin: Origin,
}

/// Parts that are being sent.
pub(super) struct Parts {
    end: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Parts {
    /// Begins to send; what is put into the stream goes to `listener`.
    pub(super) fn begin(bus: &Rc<Bus>, listener: Listener) -> (Stream, Self) {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        let sending = Sending { bus: Rc::clone(bus), listener, next: 0, left: MOST_TEXT };
        let task = tokio::task::spawn_local(sending.run(waiting, ended));
        (Stream::new(pieces), Self { end, task })
    }

    /// Sends what is left, and nothing after that.
    pub(super) async fn end(self) {
        let _gone = self.end.send(());
        let _panicked = self.task.await;
    }
}

struct Sending {
    bus: Rc<Bus>,
    listener: Listener,
    next: u64,
    left: usize,
}

impl Sending {
    async fn run(mut self, mut waiting: mpsc::Receiver<Piece>, mut ended: oneshot::Receiver<()>) {
        let absent = self.bus.link.new_inbox();
        let mut said = self.bus.link.hear(absent.clone());
        if !self.send(Kind::Start, Channel::Meta, "", &absent).await {
            return;
        }
        let mut presence = Presence::default();
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                piece = waiting.recv() => {
                    let Some(Piece { channel, text }) = piece else { return };
                    let fits = head(&text, self.left);
                    self.left -= fits.len();
                    if !fits.is_empty() && !self.send(Kind::Chunk, channel, fits, &absent).await {
                        return;
                    }
                }
                _ = &mut ended, if !ending => {
                    ending = true;
                    waiting.close();
                }
                Some(message) = said.next() => presence.hear(&message, Instant::now()),
                () = tokio::time::sleep(QUIET), if !ending => {
                    if !self.send(Kind::Chunk, Channel::Meta, "", &absent).await {
                        return;
                    }
                }
            }
            if presence.absence(Instant::now()).is_some_and(|absence| absence >= self.listener.lease) {
                self.listener.origin.cancel.cancel(By::Caller);
            }
        }
    }

    /// Sends a part; whether the broker took it. After one that it did not take there are no more: numbers have no gaps.
    async fn send(&mut self, kind: Kind, channel: Channel, text: &str, absent: &str) -> bool {
        let Listener { inbox, format, origin, token, .. } = &self.listener;
        let part = Part {
            request_id: origin.request_id.clone(),
            seq: self.next,
            kind,
            channel,
            text: text.into(),
            token: (kind == Kind::Start).then(|| token.shown_to_its_caller().into()),
        };
        self.next += 1;
        let (to, body) = (To { subject: inbox, reply: Some(absent) }, part.write(*format));
        let headers = |block: &mut Block<'_>| {
            block.put(CONTENT_TYPE, format.content_type());
            block.put(REQUEST_ID, origin.request_id.as_str());
            origin.trace.headers(|name, value| block.put(name, value));
        };
        match self.bus.link.publish_within(SEND, to, headers, &body).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a part could not be sent");
                false
            }
        }
    }
}

/// Since when nobody listens, and when the broker said so last.
#[derive(Default)]
struct Presence(Option<(Instant, Instant)>);

impl Presence {
    /// Hears what comes back from a part: that nobody was there.
    fn hear(&mut self, message: &Message, now: Instant) {
        if message.is_no_responders() {
            self.is_absent(now);
        }
    }

    fn is_absent(&mut self, now: Instant) {
        let since = self.0.map_or(now, |(since, _)| since);
        self.0 = Some((since, now));
    }

    /// How long nobody has listened by now; nothing if somebody does.
    fn absence(&mut self, now: Instant) -> Option<Duration> {
        self.0 = self.0.filter(|(_, last)| now.duration_since(*last) < BACK);
        self.0.map(|(since, _)| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_within_the_lease_was_not_away() {
        let (mut presence, start) = (Presence::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(presence.absence(at(0)), None);
        presence.is_absent(at(0));
        presence.is_absent(at(400));
        assert_eq!(presence.absence(at(800)), Some(Duration::from_millis(800)));
        assert_eq!(presence.absence(at(400 + 1_500)), None);
        presence.is_absent(at(3_000));
        assert_eq!(presence.absence(at(3_000)), Some(Duration::ZERO));
    }
}
