//! The node's connection to the broker: the one place that knows NATS. It takes messages in, hands them to the
//! router and publishes exactly one terminal reply each. ADR-32 services are in `bus::service`, the way of one
//! message in `bus::intake`, repeats in `bus::once`, questions to other parts in `bus::ask`.

pub mod ask;
#[cfg(feature = "faults")]
pub mod fault;
pub mod gate;
pub mod intake;
pub mod login;
mod once;
pub mod reply;
pub mod service;
pub mod stats;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, Event, Subscriber};
use futures_util::StreamExt as _;
use protocol::actions::Role;
use protocol::subject::Prefix;
use protocol::{actions, channels};
use tokio::sync::watch;

use crate::call::Held;
use crate::config;

/// Smallest `max_payload` of a broker that carries everything Callboard may answer, in bytes.
const WANTED_PAYLOAD: usize = 4 << 20;
/// Longest wait for the first connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A half-open connection is noticed after two to three of these.
const PING: Duration = Duration::from_secs(2);
/// Longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_millis(550);
/// Messages that one subscription holds before the broker is told that we are slow.
const PENDING: usize = 65_536;

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
    /// The connection broke while the node was starting.
    #[error("the broker refused a subscription: {0}")]
    Subscribe(String),
    /// The node cannot hear itself.
    #[error("the node does not hear its own request: {0}")]
    Deaf(String),
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
    client: async_nats::Client,
    /// In front of every subject.
    pub prefix: Prefix,
    /// The node's name.
    pub node: String,
    /// The service's id, a new one at each start.
    pub id: protocol::Id,
    /// When the node connected.
    pub started: jiff::Timestamp,
    /// Subject prefixes that replies may go to, besides NATS's own.
    inboxes: Vec<String>,
    /// Actions that are served besides those that every worker has.
    added: RefCell<Vec<&'static actions::Spec>>,
    settings: intake::Settings,
    stats: stats::Stats,
    /// The calls that can be cancelled.
    pub held: Held,
    repeats: once::Repeats,
    gates: gate::Gates,
    /// Messages that are handled, of those that end first and of those that end last.
    in_flight: [Cell<u64>; 2],
    idle: tokio::sync::Notify,
    stop: watch::Sender<Stop>,
    listening: RefCell<Vec<(Stop, tokio::task::JoinHandle<()>)>>,
    connections: watch::Receiver<u64>,
}

impl Bus {
    /// Connects to the broker.
    ///
    /// # Errors
    /// There is none, or it does not let us in.
    pub async fn connect(config: &config::Config, node: &str, url: &str) -> Result<Rc<Self>, Error> {
        let (counter, connections) = watch::channel(0_u64);
        let stop = watch::Sender::new(Stop::Not);
        let options = options(config, node, url, counter, stop.subscribe()).await?;
        let connect = tokio::time::timeout(CONNECT, options.connect(url)).await;
        let failed = |why: String| Error::Connect { url: config::without_login(url), why };
        let client = match connect.map_err(|_| failed("no answer".to_owned()))? {
            Err(error) if login::is_denied(&error) => return Err(Error::Denied(config::without_login(url))),
            connected => connected.map_err(|error| failed(error.to_string()))?,
        };
        let largest = client.max_payload();
        if largest < WANTED_PAYLOAD {
            tracing::warn!(
                largest,
                wanted = WANTED_PAYLOAD,
                "the broker's max_payload is small: large answers will fail"
            );
        }
        Ok(Rc::new(Self {
            client,
            prefix: Prefix::new(&config.node.prefix).unwrap_or_default(),
            node: node.to_owned(),
            id: protocol::Id::generate(),
            started: jiff::Timestamp::now(),
            inboxes: config.nats.inboxes.clone(),
            added: RefCell::default(),
            settings: intake::Settings::new(config),
            stats: stats::Stats::default(),
            held: Held::default(),
            repeats: once::Repeats::new(Duration::from_millis(config.node.repeats_ms)),
            gates: gate::Gates::new(config.node.in_flight),
            in_flight: Default::default(),
            idle: tokio::sync::Notify::new(),
            stop,
            listening: RefCell::new(Vec::new()),
            connections,
        }))
    }

    /// Takes calls for `roles`, and for the actions that are added to theirs, and hands them to `router`, until
    /// [`Bus::drain`].
    ///
    /// # Errors
    /// The broker refuses a subscription.
    pub async fn serve(
        self: &Rc<Self>,
        roles: &[Role],
        added: Vec<Added>,
        router: Rc<crate::router::Router>,
    ) -> Result<(), Error> {
        self.added.replace(added.iter().map(|added| added.spec).collect());
        let own = actions::ALL.iter().filter(|spec| roles.contains(&spec.role)).map(|spec| (spec, None));
        let added = added.into_iter().map(|added| (added.spec, Some((added.input, added.output))));
        for (spec, schemas) in own.chain(added) {
            let subscriber = self.subscribe(spec.name, Some(spec.role)).await?;
            let endpoint = self.stats.endpoint(spec.name, spec.role, self.gates.of(spec.role), schemas);
            let served = Rc::new(intake::Served { spec, endpoint });
            self.listen(
                Stop::of_action(spec),
                subscriber,
                Rc::clone(&router),
                move |bus, router, message| intake::action(bus, router, &served, &message),
            );
        }
        for spec in channels::ALL.iter().filter(|spec| roles.contains(&spec.role)) {
            let subject = protocol::subject::of_channel(spec.name);
            let group = (spec.role != Role::Supervisor).then_some(spec.role);
            let subscriber = self.subscribe(&subject, group).await?;
            let endpoint = self.stats.endpoint(spec.name, spec.role, self.gates.of(spec.role), None);
            let end = Stop::of_channel(spec);
            self.listen(end, subscriber, Rc::clone(&router), move |bus, router, message| {
                let (bus, router, endpoint) = (Rc::clone(bus), Rc::clone(router), Rc::clone(&endpoint));
                Some(intake::channel(bus, router, spec, endpoint, message))
            });
        }
        let held = self.held.clone();
        tokio::task::spawn_local(async move {
            crate::slot::lasting("deadlines", async || held.give_up_late_ones().await).await;
        });
        service::serve(self).await
    }

    /// Whether an action of that name is on the whitelist.
    fn knows(&self, name: &str) -> bool {
        actions::find(name).is_some() || self.added.borrow().iter().any(|spec| spec.name == name)
    }

    async fn subscribe(&self, name: &str, group: Option<Role>) -> Result<Subscriber, Error> {
        let subject = self.prefix.subject(name);
        let subscribed = match group {
            Some(role) => self.client.queue_subscribe(subject, role.as_str().to_owned()).await,
            None => self.client.subscribe(subject).await,
        };
        subscribed.map_err(|error| Error::Subscribe(error.to_string()))
    }

    /// Reads each message where it comes in and does what is left to do for it in a task of its own, until the stop
    /// `end`; then takes what has already come.
    fn listen<F>(
        self: &Rc<Self>,
        end: Stop,
        mut subscriber: Subscriber,
        router: Rc<crate::router::Router>,
        handle: impl Fn(&Rc<Self>, &Rc<crate::router::Router>, async_nats::Message) -> Option<F> + 'static,
    ) where
        F: Future<Output = ()> + 'static,
    {
        let bus = Rc::clone(self);
        let mut stop = self.stop.subscribe();
        let task = tokio::task::spawn_local(async move {
            let mut draining = false;
            loop {
                let message = tokio::select! {
                    message = subscriber.next() => message,
                    () = reached(&mut stop, end), if !draining => {
                        draining = true;
                        if let Err(error) = subscriber.drain().await {
                            tracing::warn!(%error, "a subscription could not be drained");
                        }
                        continue;
                    }
                };
                let Some(message) = message else { break };
                let done = InFlight::of(&bus, end);
                let Some(handled) = handle(&bus, &router, message) else { continue };
                // In a box: the runtime moves what it is given several times.
                tokio::task::spawn_local(Box::pin(async move {
                    handled.await;
                    drop(done);
                }));
            }
        });
        self.listening.borrow_mut().push((end, task));
    }

    /// A subscription of the node's own, outside the routing table.
    ///
    /// # Errors
    /// The broker refuses it.
    pub async fn hear(&self, name: &str) -> Result<Subscriber, Error> {
        self.subscribe(name, None).await
    }

    /// The largest message that the broker carries, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Tells all who listen that something happened. There is no answer.
    pub async fn tell<T: serde::Serialize>(&self, name: &str, event: &T) {
        let body = serde_json::to_vec(event).unwrap_or_default();
        let publish = self.client.publish(self.prefix.subject(name), body.into());
        match tokio::time::timeout(Duration::from_secs(2), publish).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(name, %error, "an event could not be published"),
            Err(_) => tracing::warn!(name, "an event could not be published: the broker is away"),
        }
    }

    /// Sends a request to ourselves: the proof that subscriptions are in force, which a flush is not.
    ///
    /// # Errors
    /// No answer within two seconds.
    pub async fn hear_oneself(&self) -> Result<(), Error> {
        let subject = format!("$SRV.PING.{}.{}", service::NAME, self.id);
        let request = async_nats::Request::new().timeout(Some(Duration::from_secs(2)));
        let answer = self.client.send_request(subject, request).await;
        answer.map(|_| ()).map_err(|error| Error::Deaf(error.to_string()))
    }

    /// Counts the connections made so far; a new one means that messages may have been missed.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }

    /// Takes no more of what ends with `stop`, and waits at most `limit` for what runs of it. Whether all has ended.
    pub async fn drain(&self, stop: Stop, limit: Duration) -> bool {
        self.stop.send_replace(stop);
        let end = Instant::now() + limit;
        let ending =
            self.listening.borrow_mut().extract_if(.., |(with, _)| *with <= stop).collect::<Vec<_>>();
        for (_, task) in ending {
            let left = end.saturating_duration_since(Instant::now());
            let _ended = tokio::time::timeout(left, task).await;
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

    /// Sends what is left to send.
    pub async fn flush(&self) {
        if tokio::time::timeout(Duration::from_secs(2), self.client.flush()).await.is_err() {
            tracing::warn!("the broker did not take the last replies");
        }
    }
}

/// Resolves once the node has stopped as far as `end`, or has gone.
async fn reached(stop: &mut watch::Receiver<Stop>, end: Stop) {
    // What it gives is a lock, which must not be held while anybody waits.
    drop(stop.wait_for(|stop| *stop >= end).await);
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

/// The pause before an attempt to connect again: none at first, then longer and longer, up to half a second and a bit
/// that differs between nodes.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(9);
    let jitter = uuid::Uuid::new_v4().as_u128() as u64 % 64;
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis((1 << doublings) + jitter).min(LONGEST_PAUSE),
    }
}

async fn options(
    config: &config::Config,
    node: &str,
    url: &str,
    counter: watch::Sender<u64>,
    stop: watch::Receiver<Stop>,
) -> Result<ConnectOptions, Error> {
    let options = login::options(&config.nats, url)
        .await?
        .name(format!("callboard {node}"))
        .ping_interval(PING)
        .connection_timeout(CONNECT)
        .subscription_capacity(PENDING)
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            match event {
                Event::Connected => {
                    counter.send_modify(|count| *count += 1);
                    tracing::info!("connected to the broker");
                }
                // A broker of our own ends with the node.
                Event::Disconnected | Event::ClientError(_) if *stop.borrow() != Stop::Not => {}
                Event::Disconnected => tracing::warn!("the connection to the broker is lost; trying again"),
                other => tracing::warn!("broker: {other}"),
            }
            std::future::ready(())
        });
    Ok(options)
}
