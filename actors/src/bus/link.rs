//! The node's own connection to the broker. It differs from a general client in what a node lives by: messages are handled where they
//! are read, without a queue in between; what is sent is written straight into the buffer that goes out next, many messages at once;
//! and a subscription ends by the broker's word that nothing more comes (`PONG`), so that a stop loses no message. docs/decisions
//! says why there is one beside async-nats.
//!
//! One thread: nothing here is shared with another.

pub mod dial;
mod drive;
pub mod headers;
mod outbox;
mod upcoming;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_nats::ServerAddr;
use futures_util::Stream;
use tokio::sync::{Notify, mpsc, oneshot};

pub use self::headers::Block;
pub use self::outbox::{Refused, To};
pub use self::upcoming::{Expected, Upcoming};
pub use self::wire::Message;

use self::outbox::Outbox;

/// Messages that wait for somebody who hears them one by one; what comes beyond is dropped, with a warning.
const WAITING: usize = 65_536;

/// What is done with a message.
type Handler = Rc<dyn Fn(Message)>;

/// A connection that is made anew whenever it breaks, until [`Link::close`]. Clones are the same one.
#[derive(Clone)]
pub struct Link(Rc<Inner>);

struct Inner {
    outbox: RefCell<Outbox>,
    subscriptions: RefCell<BTreeMap<u64, Subscription>>,
    /// Requests of our own that wait for an answer, by the last word of the inbox that it comes to.
    requests: RefCell<BTreeMap<u64, oneshot::Sender<Message>>>,
    /// Who waits for which `PONG`, in the order of our `PING`s.
    pongs: RefCell<VecDeque<Option<oneshot::Sender<()>>>>,
    numbers: Cell<u64>,
    /// In front of the inboxes of this connection.
    inbox: String,
    connected: Cell<bool>,
    /// It need not be told that the broker has gone.
    ending: Cell<bool>,
    closed: Cell<bool>,
    /// The brokers that can be connected to; the first one is that of the terms.
    servers: RefCell<Vec<ServerAddr>>,
    /// Wakes the task that reads and writes.
    waker: RefCell<Option<Waker>>,
    /// Whether that task will run anyhow: it has been woken, or runs.
    woken: Cell<bool>,
    /// Told while there is room again.
    room: Notify,
    connections: Cell<u64>,
    upcoming: Upcoming,
}

struct Subscription {
    subject: String,
    group: Option<&'static str>,
    handler: Handler,
    /// The broker was told that no more is wanted.
    ended: bool,
}

/// A subscription. It ends when this is dropped.
pub struct Listening {
    link: Link,
    sid: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.link.end([self.sid]);
        let gone = self.link.0.subscriptions.borrow_mut().remove(&self.sid);
        // With its handler more may go that listens.
        drop(gone);
    }
}

/// Messages of a subscription, one by one, until the connection is closed. The subscription ends when this is dropped.
pub struct Heard {
    _listening: Listening,
    messages: mpsc::Receiver<Message>,
}

impl Stream for Heard {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.messages.poll_recv(context)
    }
}

/// An answer that is waited for. Nothing is kept of it once this is dropped.
struct Asked {
    link: Link,
    number: u64,
    answer: oneshot::Receiver<Message>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.link.0.requests.borrow_mut().remove(&self.number);
    }
}

impl Link {
    /// Connects to the broker.
    ///
    /// # Errors
    /// There is none, or it does not let us in.
    pub async fn connect(terms: dial::Terms) -> Result<Self, dial::Error> {
        let connection = dial::dial(&terms, &terms.address).await?;
        let link = Self(Rc::new(Inner {
            outbox: RefCell::new(Outbox::new(connection.info.largest())),
            subscriptions: RefCell::default(),
            requests: RefCell::default(),
            pongs: RefCell::default(),
            numbers: Cell::new(1),
            inbox: format!("_INBOX.{}.", uuid::Uuid::new_v4().simple()),
            connected: Cell::new(false),
            ending: Cell::new(false),
            closed: Cell::new(false),
            servers: RefCell::new(vec![terms.address.clone()]),
            waker: RefCell::default(),
            woken: Cell::new(false),
            room: Notify::new(),
            connections: Cell::new(0),
            upcoming: Upcoming::default(),
        }));
        let answers = link.clone();
        let every = format!("{}*", link.0.inbox);
        link.subscribe(every, None, move |message| answers.answered(message));
        drive::begin(link.clone(), terms, connection);
        Ok(link)
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.get()
    }

    /// The largest message that the broker carries, headers included, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.0.outbox.borrow().largest
    }

    /// How many connections were made so far; a new one means that messages may have been missed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.0.connections.get()
    }

    /// Where it is counted what is about to be said.
    #[must_use]
    pub fn upcoming(&self) -> Upcoming {
        self.0.upcoming.clone()
    }

    /// Has `handler` do what is to be done with each message on `subject`, of a queue group if there is one, where it is read: it must
    /// not take long. The number of the subscription.
    pub fn subscribe(
        &self,
        subject: String,
        group: Option<&'static str>,
        handler: impl Fn(Message) + 'static,
    ) -> u64 {
        let sid = self.number();
        if self.0.closed.get() {
            return sid;
        }
        let subscription = Subscription { subject, group, handler: Rc::new(handler), ended: false };
        if self.0.connected.get() {
            subscription.say(sid, &mut self.0.outbox.borrow_mut());
            self.wake();
        }
        self.0.subscriptions.borrow_mut().insert(sid, subscription);
        sid
    }

    /// The messages on `subject`, one by one.
    #[must_use]
    pub fn hear(&self, subject: String) -> Heard {
        let (heard, messages) = mpsc::channel(WAITING);
        let listening = self.listen(subject, move |message| {
            if let Err(mpsc::error::TrySendError::Full(message)) = heard.try_send(message) {
                tracing::warn!(subject = message.subject(), "a message was dropped: too many wait already");
            }
        });
        Heard { _listening: listening, messages }
    }

    /// Has `handler` see each message on `subject`, until what is returned is dropped; see [`Link::subscribe`].
    #[must_use]
    pub fn listen(&self, subject: String, handler: impl Fn(Message) + 'static) -> Listening {
        Listening { link: self.clone(), sid: self.subscribe(subject, None, handler) }
    }

    /// Says that no more is wanted of subscriptions. What the broker has sent by then still comes, and is still handled:
    /// all of it once [`Link::flush`] has ended.
    pub fn end(&self, sids: impl IntoIterator<Item = u64>) {
        let mut subscriptions = self.0.subscriptions.borrow_mut();
        for sid in sids {
            let Some(subscription) = subscriptions.get_mut(&sid).filter(|known| !known.ended) else {
                continue;
            };
            subscription.ended = true;
            if self.0.connected.get() {
                self.0.outbox.borrow_mut().word(&["UNSUB ", &sid.to_string()]);
            }
        }
        self.wake();
    }

    /// Resolves when the broker has taken all that was said before, and all has been handled that it had said by then.
    /// Whether it has: not if there is no connection, or if that breaks meanwhile.
    pub async fn flush(&self) -> bool {
        if !self.0.connected.get() {
            return false;
        }
        let (told, pong) = oneshot::channel();
        self.ping(Some(told));
        self.wake();
        pong.await.is_ok()
    }

    /// Sends a message with the headers that `headers` puts; the parts of its payload are carried as one.
    ///
    /// # Errors
    /// No room: the broker is away or slow. Or a subject that is none.
    pub fn publish(
        &self,
        to: To<'_>,
        headers: impl FnOnce(&mut Block<'_>),
        payload: &[&[u8]],
    ) -> Result<(), Refused> {
        self.put(|outbox| outbox.message(to, headers, payload))
    }

    /// Sends a message without headers.
    ///
    /// # Errors
    /// See [`Link::publish`].
    pub fn publish_bare(&self, to: To<'_>, payload: &[u8]) -> Result<(), Refused> {
        self.put(|outbox| outbox.bare(to, &[payload]))
    }

    fn put(&self, put: impl FnOnce(&mut Outbox) -> Result<(), Refused>) -> Result<(), Refused> {
        if self.0.closed.get() {
            return Err(Refused::Closed);
        }
        put(&mut self.0.outbox.borrow_mut())?;
        self.wake();
        Ok(())
    }

    /// The same as [`Link::publish`], but waits for room up to `limit`.
    ///
    /// # Errors
    /// See [`Link::publish`].
    pub async fn publish_within(
        &self,
        limit: Duration,
        to: To<'_>,
        headers: impl Fn(&mut Block<'_>),
        payload: &[u8],
    ) -> Result<(), Refused> {
        match self.publish(to, &headers, &[payload]) {
            Err(Refused::Full) => {}
            sent => return sent,
        }
        let sent = async {
            loop {
                self.0.room.notified().await;
                match self.publish(to, &headers, &[payload]) {
                    Err(Refused::Full) => {}
                    sent => return sent,
                }
            }
        };
        // In a box: there is nearly always room.
        Box::pin(tokio::time::timeout(limit, sent)).await.unwrap_or(Err(Refused::Full))
    }

    /// Sends a request and resolves with the first answer to it, be it the broker's that nobody listens. It has no end of
    /// its own.
    ///
    /// # Errors
    /// See [`Link::publish`].
    pub async fn request(
        &self,
        subject: &str,
        headers: impl FnOnce(&mut Block<'_>),
        payload: &[u8],
    ) -> Result<Message, Refused> {
        let (number, (answered, answer)) = (self.number(), oneshot::channel());
        self.0.requests.borrow_mut().insert(number, answered);
        let mut asked = Asked { link: self.clone(), number, answer };
        let reply = format!("{}{number}", self.0.inbox);
        self.publish(To { subject, reply: Some(&reply) }, headers, &[payload])?;
        (&mut asked.answer).await.map_err(|_| Refused::Closed)
    }

    /// An inbox that nobody else has, to hear at. It is not one of those that requests are answered to.
    #[must_use]
    pub fn new_inbox(&self) -> String {
        format!("_INBOX.{}", uuid::Uuid::new_v4().simple())
    }

    /// Says nothing any more should the broker go away: it may end together with the node.
    pub fn expect_end(&self) {
        self.0.ending.set(true);
    }

    /// Ends the connection for good. What waits to be sent is lost unless it was flushed.
    pub fn close(&self) {
        self.0.closed.set(true);
        let gone = (self.0.subscriptions.take(), self.0.requests.take());
        drop(gone);
        self.wake();
    }

    fn number(&self) -> u64 {
        let number = self.0.numbers.get();
        self.0.numbers.set(number + 1);
        number
    }

    fn wake(&self) {
        if let (Some(waker), false) = (&*self.0.waker.borrow(), self.0.woken.replace(true)) {
            waker.wake_by_ref();
        }
    }

    fn ping(&self, told: Option<oneshot::Sender<()>>) {
        self.0.pongs.borrow_mut().push_back(told);
        self.0.outbox.borrow_mut().word(&["PING"]);
    }

    /// Hands a message to whoever subscribed to it.
    fn dispatch(&self, message: Message) {
        let subscriptions = self.0.subscriptions.borrow();
        let handler = subscriptions.get(&message.sid()).map(|found| Rc::clone(&found.handler));
        drop(subscriptions);
        if let Some(handler) = handler {
            handler(message);
        }
    }

    /// Hands an answer to the request that waits for it.
    fn answered(&self, message: Message) {
        let number = message.subject().rsplit('.').next().and_then(|number| number.parse().ok());
        let waiting = number.and_then(|number: u64| self.0.requests.borrow_mut().remove(&number));
        if let Some(waiting) = waiting {
            let _not_waited_for_any_more = waiting.send(message);
        }
    }
}

impl Subscription {
    fn say(&self, sid: u64, outbox: &mut Outbox) {
        let (sid, group) = (sid.to_string(), self.group.unwrap_or_default());
        let space = if group.is_empty() { "" } else { " " };
        outbox.word(&["SUB ", &self.subject, " ", group, space, &sid]);
    }
}

#[cfg(test)]
mod tests;
