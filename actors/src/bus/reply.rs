//! Publishing replies: where they may go, the headers they bear, and what does not fit.

use std::task::Poll;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, Message, Subject};
use protocol::envelope::{CORRELATION_ID, ERROR_NUMBER, ERROR_TEXT, Token};
use protocol::{Failure, Format, Id};

use super::Bus;
use super::intake::{Taken, header};
use super::stream::Listener;

/// Longest wait for a place in the client's send queue, which fills up while the broker is away.
const SEND: Duration = Duration::from_secs(10);

/// The names of the headers that every reply bears, made once: from text each would be allocated anew.
mod names {
    use async_nats::HeaderName;
    use protocol::{envelope, format};

    pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static(envelope::REQUEST_ID);
    pub(super) static NODE: HeaderName = HeaderName::from_static(envelope::NODE);
    pub(super) static CORRELATION_ID: HeaderName = HeaderName::from_static(envelope::CORRELATION_ID);
    pub(super) static CONTENT_TYPE: HeaderName = HeaderName::from_static(format::CONTENT_TYPE);
}

/// What is known of a reply before its body is.
pub(super) struct Outgoing {
    inbox: Subject,
    pub(super) format: Format,
    pub(super) request_id: String,
    pub(super) correlation: Id,
    pub(super) failed: Option<Failed>,
}

/// The failure in the headers of a reply.
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

impl Outgoing {
    /// The reply to `message`; `None`, counted, if there is nowhere it may go.
    pub(super) fn of(bus: &Bus, message: &Message) -> Option<Self> {
        let inbox = message.reply.clone().filter(|inbox| bus.may_reply_to(inbox));
        let Some(inbox) = inbox else {
            bus.stats.dropped.set(bus.stats.dropped.get() + 1);
            tracing::debug!(subject = %message.subject, "dropped: no reply subject in an inbox");
            return None;
        };
        Some(Self {
            inbox,
            format: Format::Json,
            request_id: String::new(),
            correlation: header(message.headers.as_ref(), CORRELATION_ID)
                .and_then(Id::new)
                .unwrap_or_else(Id::generate),
            failed: None,
        })
    }

    /// Whom parts go to that come before it.
    pub(super) fn listener(&self, taken: &mut Taken, lease: Duration) -> Listener {
        Listener {
            inbox: self.inbox.clone(),
            format: self.format,
            // Whoever knows the id could cancel it otherwise.
            token: taken.token.get_or_insert_with(Token::generate).clone(),
            lease,
            origin: taken.call.origin.clone(),
        }
    }

    /// Where it goes.
    pub(super) fn reply_to(&self) -> &str {
        self.inbox.as_str()
    }

    fn headers(&self, node: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, text) in [(&names::REQUEST_ID, self.request_id.as_str()), (&names::NODE, node)] {
            // A line break would end the header; the client panics rather than send one.
            if let Ok(value) = text.parse::<HeaderValue>() {
                headers.insert(name.clone(), value);
            }
        }
        headers.insert(names::CORRELATION_ID.clone(), self.correlation.text());
        headers.insert(names::CONTENT_TYPE.clone(), self.format.content_type());
        if let Some(failed) = &self.failed {
            headers.insert(ERROR_NUMBER, failed.number.to_string());
            headers.insert(ERROR_TEXT, format!("{}: {}", failed.code, failed.text));
        }
        headers
    }
}

impl Bus {
    /// Whether a reply may go there.
    pub(super) fn may_reply_to(&self, subject: &str) -> bool {
        protocol::subject::is_inbox(subject, &self.inboxes)
    }

    /// Publishes a reply. `Err` is the size of a body that the broker does not carry; nothing was sent then.
    pub(super) async fn send(&self, outgoing: &Outgoing, body: Vec<u8>) -> Result<(), usize> {
        // Headers count towards the limit as well.
        const HEADERS: usize = 1_024;
        if body.len() + HEADERS > self.client.max_payload() {
            return Err(body.len());
        }
        let headers = outgoing.headers(&self.node);
        let mut publish =
            Box::pin(self.client.publish_with_headers(outgoing.inbox.clone(), headers, body.into()));
        // There is nearly always a place in the queue; only who has to wait for one needs a timer.
        let published = match futures_util::poll!(&mut publish) {
            Poll::Ready(published) => Ok(published),
            Poll::Pending => tokio::time::timeout(SEND, publish).await,
        };
        match published {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a reply could not be sent"),
            Err(_) => tracing::warn!("a reply could not be sent: the broker is away"),
        }
        Ok(())
    }
}
