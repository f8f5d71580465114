//! Publishing replies: where they may go, the headers they bear, and what does not fit.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use protocol::envelope::{CORRELATION_ID, ERROR_NUMBER, ERROR_TEXT, NODE, REQUEST_ID, RequestId, Token};
use protocol::format::CONTENT_TYPE;
use protocol::{Failure, Format, Id};

use super::intake::Taken;
use super::link::headers::Lines;
use super::link::{Block, Message, Refused, To};
use super::stream::Listener;
use super::{Bus, InFlight, Stop};
use crate::telemetry::trace::{Span, Trace};

/// Most bytes of memory that are kept for the next reply.
const MOST_ROOM: usize = 4 << 10;
/// Longest wait for room, of which there is none once much waits for a broker that is away.
const SEND: Duration = Duration::from_secs(10);

/// What is known of a reply before its body is.
#[derive(Clone)]
pub(super) struct Outgoing {
    /// Text, in the bytes of the message.
    inbox: Bytes,
    pub(super) format: Format,
    /// A new one until the caller's is known.
    pub(super) request_id: RequestId,
    pub(super) correlation: Id,
    pub(super) trace: Trace,
    pub(super) failed: Option<Failed>,
}

/// The failure in the headers of a reply.
#[derive(Clone)]
pub(super) struct Failed {
    pub(super) number: u16,
    pub(super) code: &'static str,
    pub(super) text: &'static str,
}

impl Failed {
    pub(super) fn of(failure: &Failure) -> Self {
        let code = failure.code();
        Self { number: code.number(), code: code.as_str(), text: code.message() }
    }
}

/// The headers that all replies of a format bear.
pub(super) struct CommonHeaders {
    json: Lines,
    message_pack: Lines,
}

impl CommonHeaders {
    /// Those of a node of that name.
    pub(super) fn of(node: &str) -> Self {
        let of = |format: Format| Lines::new([(NODE, node), (CONTENT_TYPE, format.content_type())]);
        Self { json: of(Format::Json), message_pack: of(Format::MessagePack) }
    }
}

impl Outgoing {
    /// The reply to `message`, and the span of its handling if that is recorded; `None`, counted, if there is nowhere
    /// it may go.
    pub(super) fn of(bus: &Bus, message: &Message) -> Option<(Self, Option<Span>)> {
        let Some(inbox) = message.reply().filter(|inbox| bus.may_reply_to(inbox)).and(message.to_reply())
        else {
            bus.stats.dropped.set(bus.stats.dropped.get() + 1);
            tracing::debug!(subject = message.subject(), "dropped: no reply subject in an inbox");
            return None;
        };
        let headers = message.headers();
        let (trace, span) = bus.tracer.take(message.subject(), |name| headers.get(name));
        // Who names nothing gets one name for both.
        let named = headers.get(CORRELATION_ID).and_then(Id::new);
        let correlation = named.unwrap_or_else(Id::generate);
        let outgoing = Self {
            inbox,
            format: Format::Json,
            request_id: named.map_or_else(|| correlation.into(), |_| RequestId::generate()),
            correlation,
            trace,
            failed: None,
        };
        Some((outgoing, span))
    }

    /// It bears the caller's own id, if there is one.
    pub(super) fn bear(&mut self, id: Option<RequestId>) {
        if let Some(id) = id {
            self.request_id = id;
        }
    }

    /// Whom parts go to that come before it.
    pub(super) fn listener(&self, taken: &mut Taken, lease: Duration) -> Listener {
        Listener {
            inbox: self.reply_to().to_owned(),
            format: self.format,
            // Whoever knows the id could cancel it otherwise.
            token: taken.token.get_or_insert_with(Token::generate).clone(),
            lease,
            origin: taken.call.origin.clone(),
        }
    }

    /// Where it goes.
    pub(super) fn reply_to(&self) -> &str {
        // It was read as text before.
        std::str::from_utf8(&self.inbox).unwrap_or_default()
    }

    fn headers(&self, block: &mut Block<'_>, common: &CommonHeaders) {
        block.put(REQUEST_ID, self.request_id.as_str());
        self.correlation.with_text(|text| block.put(CORRELATION_ID, text));
        block.append(match self.format {
            Format::Json => &common.json,
            Format::MessagePack => &common.message_pack,
        });
        self.trace.headers(|name, value| block.put(name, value));
        if let Some(failed) = &self.failed {
            block.put(ERROR_NUMBER, itoa::Buffer::new().format(failed.number));
            block.put(ERROR_TEXT, &format!("{}: {}", failed.code, failed.text));
        }
    }
}

impl Bus {
    /// Whether a reply may go there.
    pub(super) fn may_reply_to(&self, subject: &str) -> bool {
        protocol::subject::is_inbox(subject, &self.inboxes)
    }

    /// Publishes a reply. `Err` is the size of a body that the broker does not carry; nothing was sent then.
    pub(super) fn send(self: &Rc<Self>, outgoing: &Outgoing, body: &[&[u8]]) -> Result<(), usize> {
        let to = To::subject(outgoing.reply_to());
        match self.link.publish(to, |block| outgoing.headers(block, &self.common), body) {
            Ok(()) => {}
            Err(Refused::TooLarge(_)) => return Err(body.iter().map(|part| part.len()).sum()),
            Err(Refused::Full) => self.send_later(outgoing.clone(), body.concat()),
            Err(error @ (Refused::Closed | Refused::Subject)) => {
                tracing::warn!(%error, "a reply could not be sent");
            }
        }
        Ok(())
    }

    /// Keeps the memory that a reply was written into for the next one, unless it is large.
    pub(super) fn keep(&self, mut room: Vec<u8>) {
        room.clear();
        room.shrink_to(MOST_ROOM);
        self.room.set(room);
    }

    /// Publishes a reply as soon as there is room, which there nearly always is at once. A node that stops waits for it.
    fn send_later(self: &Rc<Self>, outgoing: Outgoing, body: Vec<u8>) {
        let (bus, waits) = (Rc::clone(self), InFlight::of(self, Stop::All));
        tokio::task::spawn_local(async move {
            let to = To::subject(outgoing.reply_to());
            let headers = |block: &mut Block<'_>| outgoing.headers(block, &bus.common);
            if let Err(error) = bus.link.publish_within(SEND, to, headers, &body).await {
                tracing::warn!(%error, "a reply could not be sent");
            }
            drop(waits);
        });
    }
}
