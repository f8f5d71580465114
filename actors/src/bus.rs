//! The node's connection to the broker: the one place that knows NATS. It takes messages in, hands them to the
//! router and publishes exactly one terminal reply each. ADR-32 services are in `bus::service`, the way of one
//! message in `bus::intake`, what of it runs on in `bus::tasks`, repeats in `bus::once`, questions to other parts in
//! `bus::ask`, the connection itself in `bus::link`.

pub mod ask;
#[cfg(feature = "faults")]
pub mod fault;
pub mod gate;
pub mod intake;
pub mod link;
pub mod login;
mod once;
pub mod reply;
pub mod service;
pub mod stats;
mod stream;
mod tasks;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use protocol::actions::Role;
use protocol::subject::Prefix;
use protocol::{actions, channels};

use crate::call::Held;
use crate::config;
use crate::telemetry::trace::Tracer;
use link::{Heard, Link, Listening, Refused, To, dial};

/// Smallest `max_payload` of a broker that carries everything Callboard may answer, in bytes.
const WANTED_PAYLOAD: usize = 4 << 20;
/// Longest wait for room of an event.
const TELL: Duration = Duration::from_secs(10);
/// How long the broker has to take the last replies.
const LEAVE: Duration = Duration::from_secs(2);
/// How long a node waits to hear itself.
const HEAR: Duration = Duration::from_secs(2);

/// Why the broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("cannot connect to the broker at {url}: {why}")]
    Connect {
        /// Where it should be.
        url: String,
        /// What the client says.
        why: String,
    },
    /// The broker does not let us in.
    #[error("the broker at {0} does not let this user in")]
    Denied(String),
    /// A file that the connection needs.
    #[error(transparent)]
    Login(#[from] login::Error),
    /// The node cannot hear itself.
    #[error("the node does not hear its own request: {0}")]
    Deaf(&'static str),
}

/// How far a node has stopped taking messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It takes all.
    Not,
    /// What callers ask for ends. What runs may need to ask other parts, and operators may want to look and cancel.
    Outside,
    /// All ends.
    All,
}

impl Stop {
    /// With which stop an action ends.
    fn of_action(spec: &actions::Spec) -> Self {
        if spec.between_parts { Self::All } else { Self::Outside }
    }

    /// With which stop a channel ends.
    fn of_channel(spec: &channels::Spec) -> Self {
        if spec.role == Role::Supervisor { Self::All } else { Self::Outside }
    }
}

/// An action that is served besides those that every worker has.
#[derive(Debug)]
pub struct Added {
    /// What is fixed about it.
    pub spec: &'static actions::Spec,
    /// JSON Schema of its payload, as text.
    pub input: String,
    /// JSON Schema of its data, as text.
    pub output: String,
}

/// The connection, shared by everything in the node.
pub struct Bus {
    link: Link,
    /// In front of every subject.
    pub prefix: Prefix,
    /// The node's name.
    pub node: String,
    /// The headers of replies that say the same in all.
    common: reply::CommonHeaders,
    /// The service's id, a new one at each start.
    pub id: protocol::Id,
    /// When the node connected.
    pub started: jiff::Timestamp,
    /// Subject prefixes that replies may go to, besides NATS's own.
    inboxes: Vec<String>,
    /// Actions that are served besides those that every worker has.
    added: RefCell<Vec<&'static actions::Spec>>,
    settings: intake::Settings,
    /// Memory that replies are written into.
    room: Cell<Vec<u8>>,
    stats: stats::Stats,
    tracer: Tracer,
    /// The calls that can be cancelled.
    pub held: Held,
    repeats: once::Repeats,
    gates: gate::Gates,
    /// Messages that are handled, of those that end first and of those that end last.
    in_flight: [Cell<u64>; 2],
    idle: tokio::sync::Notify,
    /// Subscriptions, and with which stop they end.
    listening: RefCell<Vec<(Stop, u64)>>,
}

impl Bus {
    /// Connects to the broker.
    ///
    /// # Errors
    /// There is none, or it does not let us in.
    pub async fn connect(
        config: &config::Config,
        node: &str,
        url: &str,
        tracer: Tracer,
    ) -> Result<Rc<Self>, Error> {
        let failed = |why: String| Error::Connect { url: config::without_login(url), why };
        let terms = dial::Terms {
            address: url.parse().map_err(|_| failed(dial::Error::Address.to_string()))?,
            name: format!("callboard {node}"),
            credentials: config.nats.credentials.clone(),
            ca: config.nats.ca.clone(),
        };
        let link = Link::connect(terms).await.map_err(|error| match error {
            dial::Error::Denied(_) => Error::Denied(config::without_login(url)),
            dial::Error::Login(error) => error.into(),
            other => failed(other.to_string()),
        })?;
        let largest = link.max_payload();
        if largest < WANTED_PAYLOAD {
            tracing::warn!(
                largest,
                wanted = WANTED_PAYLOAD,
                "the broker's max_payload is small: large answers will fail"
            );
        }
        Ok(Rc::new(Self {
            link,
            prefix: Prefix::new(&config.node.prefix).unwrap_or_default(),
            node: node.to_owned(),
            common: reply::CommonHeaders::of(node),
            id: protocol::Id::generate(),
            started: jiff::Timestamp::now(),
            inboxes: config.nats.inboxes.clone(),
            added: RefCell::default(),
            settings: intake::Settings::new(config),
            room: Cell::default(),
            stats: stats::Stats::default(),
            tracer,
            held: Held::default(),
            repeats: once::Repeats::new(Duration::from_millis(config.node.repeats_ms)),
            gates: gate::Gates::new(config.node.in_flight),
            in_flight: Default::default(),
            idle: tokio::sync::Notify::new(),
            listening: RefCell::default(),
        }))
    }

    /// Takes calls for `roles`, and for the actions that are added to theirs, and hands them to `router`, until
    /// [`Bus::drain`].
    pub fn serve(self: &Rc<Self>, roles: &[Role], added: Vec<Added>, router: Rc<crate::router::Router>) {
        self.added.replace(added.iter().map(|added| added.spec).collect());
        let own = actions::ALL.iter().filter(|spec| roles.contains(&spec.role)).map(|spec| (spec, None));
        let added = added.into_iter().map(|added| (added.spec, Some((added.input, added.output))));
        for (spec, schemas) in own.chain(added) {
            let endpoint = self.stats.endpoint(spec.name, spec.role, self.gates.of(spec.role), schemas);
            let served = Rc::new(intake::Served { spec, endpoint });
            let (group, router) = (Some(spec.role), Rc::clone(&router));
            let read = move |bus: &_, message| intake::action(bus, &router, &served, &message);
            self.listen(spec.name, group, Stop::of_action(spec), read, intake::LetIn::run);
        }
        for spec in channels::ALL.iter().filter(|spec| roles.contains(&spec.role)) {
            let subject = protocol::subject::of_channel(spec.name);
            let group = (spec.role != Role::Supervisor).then_some(spec.role);
            let endpoint = self.stats.endpoint(spec.name, spec.role, self.gates.of(spec.role), None);
            let router = Rc::clone(&router);
            let read = |bus: &_, message| Some((Rc::clone(bus), message));
            self.listen(&subject, group, Stop::of_channel(spec), read, move |(bus, message)| {
                intake::channel(bus, Rc::clone(&router), spec, Rc::clone(&endpoint), message)
            });
        }
        let held = self.held.clone();
        tokio::task::spawn_local(async move {
            crate::slot::lasting("deadlines", async || held.give_up_late_ones().await).await;
        });
        service::serve(self);
    }

    /// Whether an action of that name is on the whitelist.
    fn knows(&self, name: &str) -> bool {
        actions::find(name).is_some() || self.added.borrow().iter().any(|spec| spec.name == name)
    }

    /// Reads each message where it comes in, and handles by and by what was read of it, until the stop `end`.
    fn listen<T, F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        name: &str,
        group: Option<Role>,
        end: Stop,
        read: impl Fn(&Rc<Self>, link::Message) -> Option<T> + 'static,
        handle: impl Fn(T) -> F + 'static,
    ) {
        let (bus, tasks) = (Rc::clone(self), tasks::Tasks::new());
        let sid = self.link.subscribe(self.prefix.subject(name), group.map(Role::as_str), move |message| {
            let done = InFlight::of(&bus, end);
            let Some(read) = read(&bus, message) else { return };
            // Not in a block that awaits it: that would have room for it twice.
            tasks.spawn(|| handle(read).map(|()| drop(done)));
        });
        self.listening.borrow_mut().push((end, sid));
    }

    /// A subscription of the node's own, outside the routing table.
    #[must_use]
    pub fn hear(&self, name: &str) -> Heard {
        self.link.hear(self.prefix.subject(name))
    }

    /// The largest message that the broker carries, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.link.max_payload()
    }

    /// Tells all who listen that something happened. There is no answer.
    pub fn tell<T: serde::Serialize>(&self, name: &str, event: &T) {
        let body = serde_json::to_vec(event).unwrap_or_default();
        let subject = self.prefix.subject(name);
        match self.link.publish_bare(To::subject(&subject), &body) {
            Ok(()) => {}
            Err(Refused::Full) => self.tell_later(subject, body),
            Err(error) => tracing::warn!(name, %error, "an event could not be published"),
        }
    }

    fn tell_later(&self, subject: String, body: Vec<u8>) {
        let link = self.link.clone();
        tokio::task::spawn_local(async move {
            let told = link.publish_within(TELL, To::subject(&subject), |_| (), &body).await;
            if let Err(error) = told {
                tracing::warn!(subject, %error, "an event could not be published");
            }
        });
    }

    /// Where it is counted which answers are about to come.
    #[must_use]
    pub fn upcoming(&self) -> link::Upcoming {
        self.link.upcoming()
    }

    /// Whether the broker is there now; what is told while it is not goes out when it is back.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// Sends a request to ourselves: the proof that subscriptions are in force, which a flush is not.
    ///
    /// # Errors
    /// No answer within two seconds.
    pub async fn hear_oneself(&self) -> Result<(), Error> {
        let subject = format!("$SRV.PING.{}.{}", service::NAME, self.id);
        let answer = self.link.request(&subject, |_| (), b"");
        match tokio::time::timeout(HEAR, answer).await {
            Ok(Ok(answer)) if !answer.is_no_responders() => Ok(()),
            Ok(Ok(_)) => Err(Error::Deaf("the broker knows of nobody who listens")),
            Ok(Err(_)) | Err(_) => Err(Error::Deaf("no answer; may this user subscribe and publish?")),
        }
    }

    /// Has `handler` see each message on `name` where it is read, until what is returned is dropped.
    #[must_use]
    pub fn on(&self, name: &str, handler: impl Fn(link::Message) + 'static) -> Listening {
        self.link.listen(self.prefix.subject(name), handler)
    }

    /// How many connections were made so far; a new one means that messages may have been missed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.link.connections()
    }

    /// Takes no more of what ends with `stop`, and waits at most `limit` for what runs of it. Whether all has ended.
    pub async fn drain(&self, stop: Stop, limit: Duration) -> bool {
        self.link.expect_end();
        let end = Instant::now() + limit;
        let ending =
            self.listening.borrow_mut().extract_if(.., |(with, _)| *with <= stop).collect::<Vec<_>>();
        self.link.end(ending.into_iter().map(|(_, sid)| sid));
        // Once the broker says that it has read this, all has come in that it had sent by then. One that is away sends nothing.
        if tokio::time::timeout(limit, self.link.flush()).await.is_err() {
            return false;
        }
        let [outside, between] = &self.in_flight;
        while outside.get() > 0 || (stop == Stop::All && between.get() > 0) {
            let left = end.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, self.idle.notified()).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Sends what is left to send, and leaves the broker.
    pub async fn leave(&self) {
        if !tokio::time::timeout(LEAVE, self.link.flush()).await.unwrap_or(false) {
            tracing::warn!("the broker did not take the last replies");
        }
        self.link.close();
    }
}

/// Counts a message until its handling has ended, however it ends.
struct InFlight(Rc<Bus>, Stop);

impl InFlight {
    fn of(bus: &Rc<Bus>, end: Stop) -> Self {
        let held = Self(Rc::clone(bus), end);
        held.counter().set(held.counter().get() + 1);
        held
    }

    fn counter(&self) -> &Cell<u64> {
        let [outside, between] = &self.0.in_flight;
        if self.1 == Stop::All { between } else { outside }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counter().set(self.counter().get().saturating_sub(1));
        if self.counter().get() == 0 {
            self.0.idle.notify_one();
        }
    }
}
