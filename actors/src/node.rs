//! A node: the parts that its roles need, put together; started, made ready, and stopped in order.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use protocol::actions::Role;
use protocol::channels::supervisor_counters;
use protocol::channels::supervisor_pool::Resize;
use protocol::channels::supervisor_status::{Part, State as PartState};
use protocol::envelope::Project;
use tokio::sync::Notify;

use crate::bus::{self, Bus, Stop};
use crate::call::By;
use crate::config::Config;
use crate::router::Router;
use crate::service::Services;
use crate::slot::{self, Slot};
use crate::telemetry::export::{self, Exporter};
use crate::{scripts, supervisor, worker};

/// Longest wait for the worker's zygotes.
const WORKER: Duration = Duration::from_secs(20);
/// Longest wait for the replies of calls that were cancelled.
const CANCELLED: Duration = Duration::from_secs(1);
/// How often the node looks whether a part has failed for good.
const LOOK: Duration = Duration::from_millis(500);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No broker.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// No Python.
    #[error(transparent)]
    Python(#[from] worker::python::Error),
    /// No scripts.
    #[error(transparent)]
    Scripts(#[from] scripts::Error),
    /// A setting that only shows to be missing now.
    #[error("{0}")]
    Setting(&'static str),
    /// A module of actions.
    #[error("actions: {0}")]
    Action(#[from] worker::action::Error),
    /// Cells cannot be made.
    #[error("the worker did not become ready: {0}")]
    Worker(String),
    /// Traces.
    #[error(transparent)]
    Telemetry(#[from] export::Error),
    /// Cells without their lock where others could reach them.
    #[error("cells without their lock are refused on a broker that is not on this machine")]
    Unlocked,
}

impl Error {
    /// Whether the broker is what is missing.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Bus(bus::Error::Connect { .. }))
    }

    /// Whether the broker is there but does not let the node in.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Bus(bus::Error::Denied(_)))
    }

    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> &'static str {
        match self {
            Self::Bus(bus::Error::Connect { .. }) => "start a broker there, or name another with --nats",
            Self::Bus(bus::Error::Login(_)) => "name readable files with nats.credentials and nats.ca",
            Self::Bus(bus::Error::Denied(_)) => {
                "check user and password in the address, or name a credentials file with nats.credentials"
            }
            Self::Bus(bus::Error::Deaf(_)) => {
                "let this user subscribe to Callboard's subjects and $SRV.>, and publish to inboxes"
            }
            Self::Python(error) => error.remediation(),
            Self::Scripts(scripts::Error::Folder { .. }) => {
                "make the folder readable and writable, or name another with scripts.folder"
            }
            Self::Scripts(scripts::Error::Store(_) | scripts::Error::Library(_)) => {
                "look at the disk and at the version of this program; docs/operations.md says more on the store"
            }
            Self::Setting(_) => "name it on the command line or in the configuration",
            Self::Action(worker::action::Error::Timeout { .. }) => {
                "correct the name, or leave the setting out"
            }
            Self::Action(worker::action::Error::Network { .. }) => {
                "run callboard doctor; docs/security.md says what network needs"
            }
            Self::Action(_) => "correct the module, or leave it out of actions.modules",
            Self::Worker(_) => "run callboard doctor",
            Self::Telemetry(_) => "correct the variables OTEL_*, or leave out telemetry.endpoint",
            Self::Unlocked => "use a broker on 127.0.0.1, or a kernel that allows the lock",
        }
    }
}

/// Why a node ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// A part failed for good.
    PartFailed,
    /// It was told to by `supervisor:drain`.
    Drained,
}

/// A running node.
pub struct Node {
    bus: Rc<Bus>,
    url: String,
    watched: Rc<supervisor::Watched>,
    taking: Rc<Cell<bool>>,
    worker: worker::Current,
    services: Rc<Services>,
    exporter: Exporter,
    drain: Duration,
    give_up: Duration,
}

/// The actors of a node.
struct Actors {
    worker: Option<Slot<worker::Worker>>,
    scripts: Option<Slot<scripts::Scripts>>,
    current: worker::Current,
}

impl Node {
    /// Starts every part and resolves when all are ready and calls reach them.
    ///
    /// # Errors
    /// A part cannot be started.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let url = config.nats.url.clone().ok_or(Error::Setting("no broker is named (nats.url)"))?;
        let name = config.node.name.clone().unwrap_or_else(default_name);
        let exporter = Exporter::start(&config.telemetry, &name).await?;
        let bus = Bus::connect(&config, &name, &url, exporter.tracer()).await?;
        let mut roles = config.node.roles.clone();
        roles.push(Role::Supervisor);
        roles.sort_unstable();
        roles.dedup();
        let current: worker::Current = Rc::default();
        let mut actions = None;
        let mut worker = None;
        if roles.contains(&Role::Worker) {
            actions = find_actions(&config).await?.map(Rc::new);
            worker = Some(start_worker(&config, &bus, &current, actions.clone()).await?);
        }
        let scripts = match roles.contains(&Role::Scripts) {
            true => Some(start_scripts(&config, &bus).await?),
            false => None,
        };
        let taking = Rc::new(Cell::new(false));
        let services = Rc::new(Services::new(&config.service));
        let actors =
            Actors { worker: worker.clone(), scripts: scripts.clone(), current: Rc::clone(&current) };
        let names = actions.iter().flat_map(|table| &table.actions).map(|action| action.spec.name.to_owned());
        let watched = watch(&bus, &roles, &taking, actors, &services, names.collect(), config.node.drain_ms);
        let looked_at = Rc::clone(&watched);
        let supervisor =
            Slot::start("supervisor", move || supervisor::Supervisor::new(Rc::clone(&looked_at)));
        let _only_once = watched.itself.set(Box::new(supervisor.observer()));
        #[cfg(feature = "faults")]
        bus::fault::serve(&bus);
        let added = actions.iter().flat_map(|table| &table.actions);
        let added = added.map(|action| bus::Added {
            spec: action.spec,
            input: action.input.clone(),
            output: action.output.clone(),
        });
        let worker = worker.map(|slot| worker::Door::new(slot, Rc::clone(&current)));
        bus.serve(&roles, added.collect(), Rc::new(Router { worker, scripts, supervisor }));
        bus.hear_oneself().await?;
        taking.set(true);
        supervisor::heartbeat::listen(&watched);
        let beating = Rc::downgrade(&watched);
        tokio::task::spawn_local(async move {
            slot::lasting("heartbeat", async || supervisor::heartbeat::beat(beating.clone()).await).await;
        });
        // Programs may call the node as soon as they are started.
        services.start();
        services.settled().await;
        let drain = Duration::from_millis(config.node.drain_ms);
        let give_up = Duration::from_millis(config.node.give_up_ms);
        Ok(Self { bus, url, watched, taking, worker: current, services, exporter, drain, give_up })
    }

    /// Its name in replies.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bus.node
    }

    /// Where its broker is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Resolves when the node should end by itself.
    pub async fn stopped(&self) -> Stopped {
        tokio::select! {
            stopped = self.part_failed() => stopped,
            () = self.watched.drain.notified() => Stopped::Drained,
        }
    }

    async fn part_failed(&self) -> Stopped {
        let mut since: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            // The node goes on without a program.
            let parts = self.watched.actors();
            match parts.iter().find(|part| part.state == PartState::Failed) {
                Some(part) if since.get_or_insert_with(Instant::now).elapsed() >= self.give_up => {
                    tracing::error!(part = part.name, "is down for good: the node ends, to be started anew");
                    return Stopped::PartFailed;
                }
                Some(_) => {}
                None => since = None,
            }
        }
    }

    /// Stops in order: no new calls of others; those that run to their end or, past the limit, cancelled; only then
    /// what parts ask of each other, which running calls may have needed; the cells; what is left to send.
    pub async fn stop(&self) {
        self.taking.set(false);
        supervisor::heartbeat::leave(&self.watched);
        let worker = self.worker.borrow().upgrade();
        let end = Instant::now() + self.drain;
        for stop in [Stop::Outside, Stop::All] {
            let left = end.saturating_duration_since(Instant::now()).max(CANCELLED);
            // Programs end beside what runs: what they ask for now is not taken any more.
            let (drained, ()) = tokio::join!(self.bus.drain(stop, left), self.services.stop());
            if !drained {
                tracing::warn!("calls were still running and are cancelled");
                self.bus.held.cancel_all(By::Drain);
                self.bus.drain(stop, CANCELLED).await;
            }
        }
        if let Some(worker) = worker {
            for pool in worker.pools() {
                pool.stop().await;
            }
        }
        self.bus.leave().await;
        self.exporter.stop().await;
    }
}

/// The actions of the modules that are configured, if there are any.
///
/// # Errors
/// A module that cannot be used, or no Python for it.
pub async fn find_actions(config: &Config) -> Result<Option<worker::action::Table>, Error> {
    let configured = worker::action::Configured {
        modules: &config.actions.modules,
        grants: &config.grant,
        timeouts: &config.timeouts,
    };
    if configured.modules.is_empty() {
        configured.check_timeouts(&[])?;
        return Ok(None);
    }
    let command = worker::python::command_of_actions(&config.python, &config.actions).await?;
    let bounds = worker::bounds(&config.worker);
    Ok(Some(worker::action::Table::load(configured, bounds, command).await?))
}

async fn start_worker(
    config: &Config,
    bus: &Rc<Bus>,
    current: &worker::Current,
    actions: Option<Rc<worker::action::Table>>,
) -> Result<Slot<worker::Worker>, Error> {
    if config.worker.unlocked && !is_loopback(config.nats.url.as_deref().unwrap_or_default()) {
        return Err(Error::Unlocked);
    }
    let command = worker::python::command(&config.python).await?;
    let (bus, settings, made) = (Rc::clone(bus), config.worker.clone(), Rc::clone(current));
    let grants = config.grant.clone();
    let kept: RefCell<Option<Rc<worker::State>>> = RefCell::default();
    let counters: Rc<worker::counters::Counters> = Rc::default();
    let slot = Slot::start("worker", move || {
        // Calls that run and warm cells outlive the actor, unless what it was that failed is a pool.
        let sound = kept.take().filter(|state| !state.is_broken());
        let made_anew = || {
            let (command, actions, counters) = (command.clone(), actions.clone(), Rc::clone(&counters));
            worker::State::new(Rc::clone(&bus), &settings, &grants, command, actions, counters)
        };
        let state = sound.unwrap_or_else(made_anew);
        kept.replace(Some(Rc::clone(&state)));
        worker::Worker::new(state, &made)
    });
    let failed = |why: &str| Error::Worker(why.to_owned());
    let state = current.borrow().upgrade().ok_or_else(|| failed("it went down"))?;
    tokio::time::timeout(WORKER, futures_util::future::join_all(state.pools().map(|pool| pool.ready())))
        .await
        .map_err(|_| failed("no zygote; the log lines say why"))?;
    worker::probe::check(&state.pool).await.map_err(|error| failed(&error.to_string()))?;
    Ok(slot)
}

/// Whether a broker's address is one of this machine's own that others cannot reach.
fn is_loopback(url: &str) -> bool {
    let host = url.split("://").last().unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn start_scripts(config: &Config, bus: &Rc<Bus>) -> Result<Slot<scripts::Scripts>, Error> {
    let data = config.node.data.as_ref().ok_or(Error::Setting("no data folder is named (node.data)"))?;
    let folder = config.scripts.folder.clone().unwrap_or_else(|| data.join("scripts"));
    let state = scripts::State::open(Rc::clone(bus), data, folder).await?;
    Ok(Slot::start("scripts", move || scripts::Scripts::new(Rc::clone(&state))))
}

fn watch(
    bus: &Rc<Bus>,
    roles: &[Role],
    taking: &Rc<Cell<bool>>,
    actors: Actors,
    services: &Rc<Services>,
    actions: Vec<String>,
    drain_ms: u64,
) -> Rc<supervisor::Watched> {
    let anew = anew(&actors, services);
    let Actors { worker, scripts, current } = actors;
    let parts = move || {
        let worker = worker.iter().map(Slot::part);
        worker.chain(scripts.iter().map(Slot::part)).collect::<Vec<Part>>()
    };
    let looked_at: Rc<RefCell<_>> = Rc::clone(&current);
    let pool = move || looked_at.borrow().upgrade().map(|worker| worker.pool.status());
    let looked_at = Rc::clone(&current);
    let pools = move || looked_at.borrow().upgrade().map_or_else(Vec::new, |worker| worker.others_status());
    let counting = Rc::clone(&current);
    let counted = move |request: &supervisor_counters::Request, parts: bool| {
        let worker = counting.borrow().upgrade()?;
        let project = request.project.as_ref().map(Project::as_str);
        Some(worker.counters.told(project, request.scripts.as_deref(), parts))
    };
    let resize = move |resize: Resize| {
        let wide = |figure: Option<u32>| figure.and_then(|figure| usize::try_from(figure).ok());
        let worker = current.borrow().upgrade();
        worker.map(|worker| worker.pool.resize(wide(resize.places), wide(resize.warm))).is_some()
    };
    let programs = Rc::clone(services);
    Rc::new(supervisor::Watched {
        bus: Rc::clone(bus),
        roles: roles.to_vec(),
        taking: Rc::clone(taking),
        parts: Box::new(parts),
        services: Box::new(move || programs.parts()),
        itself: OnceCell::new(),
        pool: Box::new(pool),
        pools: Box::new(pools),
        counted: Box::new(counted),
        actions,
        resize: Box::new(resize),
        anew,
        drain: Notify::new(),
        drain_ms,
        leaving: Cell::new(false),
        cluster: supervisor::cluster::Cluster::default(),
    })
}

/// The parts that can be made anew, and how.
fn anew(actors: &Actors, services: &Rc<Services>) -> Vec<(String, Box<dyn Fn()>)> {
    let mut anew: Vec<(String, Box<dyn Fn()>)> = Vec::new();
    if let Some(slot) = actors.worker.clone() {
        anew.push(("worker".to_owned(), Box::new(move || slot.restart())));
        let current: Rc<RefCell<_>> = Rc::clone(&actors.current);
        let renew = move || {
            let worker = current.borrow().upgrade();
            worker.iter().flat_map(|worker| worker.pools()).for_each(|pool| pool.renew());
        };
        anew.push(("zygote".to_owned(), Box::new(renew)));
    }
    if let Some(slot) = actors.scripts.clone() {
        anew.push(("scripts".to_owned(), Box::new(move || slot.restart())));
    }
    for name in services.names() {
        let (services, program) = (Rc::clone(services), name.clone());
        anew.push((name, Box::new(move || services.restart(&program))));
    }
    anew
}

/// The host's name and four random characters: two nodes on one machine must differ.
fn default_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let host: String = host.split('.').next().unwrap_or_default().chars().map(plain).take(40).collect();
    let random = protocol::Id::generate().to_string();
    let tail: String = random.chars().rev().take(4).collect();
    format!("{}-{tail}", if host.is_empty() { "node" } else { &host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_alone_are_loopback() {
        for url in
            ["nats://127.0.0.1:4222", "nats://user:word@localhost:4222", "tls://[::1]:4222", "127.0.0.2"]
        {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["nats://10.0.0.1:4222", "nats://127.0.0.1.example:4222", "nats://localhost@broker:4222", ""]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
