//! Scripts as a worker knows them: fetched over the bus, kept until it is told that they changed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use protocol::abi::Kind;
use protocol::actions::{Action as _, script_fetch};
use protocol::capability::Capability;
use protocol::script::Record;
use protocol::{Failure, Id};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::bus::Bus;
use crate::call::Origin;
use crate::config::grant::Grant;

/// Longest wait for the role that keeps scripts.
const FETCH: Duration = Duration::from_secs(2);
/// Most characters of a capability that are shown to a caller.
const LONGEST_CAPABILITY: usize = 200;
/// Names that are kept, found or not. Beyond that all are asked for anew.
const MOST_NAMES: usize = 10_000;

/// What tells groups of cells apart: all of a script that its cells depend on, as the first half of
/// their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// Of cells that only parse.
    pub const COMPILER: Self = Self([0; 16]);

    fn of(record: &Record, granted: &[Capability]) -> Self {
        let Record { project, id, slug, content_hash, entrypoint, kind, fresh, .. } = record;
        let kind = kind.as_str();
        let mut text = format!("{project}/{id}/{slug}/{content_hash}/{entrypoint}/{kind}/{fresh}");
        for capability in granted {
            text.push('\0');
            text.push_str(&capability.to_string());
        }
        let digest = Sha256::digest(text);
        let mut key = [0; 16];
        key.iter_mut().zip(digest.iter()).for_each(|(byte, digest)| *byte = *digest);
        Self(key)
    }
}

/// A script that can run.
#[derive(Debug)]
pub struct Script {
    /// What is known of it.
    pub record: Record,
    /// Its source.
    pub body: String,
    /// Tells its cells from others'.
    pub key: Key,
    /// What its cells may do beyond their own memory.
    pub granted: Vec<Capability>,
    /// What it asks for and was not granted; it is not called then.
    pub lacks: Option<String>,
    /// Whether it has a `render_many`; known once a cell has loaded it.
    pub many: Cell<Option<bool>>,
}

impl Script {
    /// A script as it was fetched, with what the configuration grants it.
    #[must_use]
    pub fn new(fetched: script_fetch::Script, grants: &[Grant]) -> Self {
        let script_fetch::Script { record, body } = fetched;
        let own = grants.iter().filter(|grant| grant.is_to_script(&record.project, &record.slug));
        let offered: Vec<&Capability> = own.flat_map(|grant| &grant.capabilities).collect();
        let mut granted = Vec::new();
        let mut lacks = None;
        for asked in &record.capabilities {
            match Capability::new(asked).filter(|capability| offered.contains(&capability)) {
                Some(capability) => granted.push(capability),
                None => lacks = lacks.or_else(|| Some(asked.chars().take(LONGEST_CAPABILITY).collect())),
            }
        }
        granted.sort_unstable();
        granted.dedup();
        Self { key: Key::of(&record, &granted), record, body, granted, lacks, many: Cell::new(None) }
    }
}

type Names = HashMap<String, Option<Rc<Script>>>;

/// The scripts that this worker has met.
pub struct Scripts {
    bus: Rc<Bus>,
    grants: Vec<Grant>,
    known: RefCell<HashMap<String, Names>>,
    /// Counts what was forgotten, so that an answer that was under way at the time is not kept.
    forgotten: Cell<u64>,
}

impl Scripts {
    /// Knows none yet.
    #[must_use]
    pub fn new(bus: Rc<Bus>, grants: Vec<Grant>) -> Self {
        Self { bus, grants, known: RefCell::default(), forgotten: Cell::new(0) }
    }

    /// The enabled script of that kind that bears `name`.
    ///
    /// # Errors
    /// There is none, or the role that keeps scripts does not answer.
    pub async fn find(&self, origin: &Origin, kind: Kind, name: &str) -> Result<Rc<Script>, Failure> {
        if let Some(known) = self.known(origin, name) {
            return runnable(known, kind, name);
        }
        let found = self.fetch(origin, vec![name.to_owned()]).await?;
        runnable(found.into_iter().next().flatten(), kind, name)
    }

    /// What each name means, in order; `None` where nothing that runs as `kind` bears it.
    ///
    /// # Errors
    /// The role that keeps scripts does not answer.
    pub async fn find_all(
        &self,
        origin: &Origin,
        kind: Kind,
        names: &[String],
    ) -> Result<HashMap<String, Rc<Script>>, Failure> {
        let unknown: Vec<String> =
            names.iter().filter(|name| self.known(origin, name).is_none()).cloned().collect();
        let mut found: Names = HashMap::new();
        for part in unknown.chunks(script_fetch::MOST) {
            let fetched = self.fetch(origin, part.to_vec()).await?;
            found.extend(part.iter().cloned().zip(fetched));
        }
        let meant = names.iter().filter_map(|name| {
            let script = found.get(name).cloned().or_else(|| self.known(origin, name))?;
            Some((name.clone(), runnable(script, kind, name).ok()?))
        });
        Ok(meant.collect())
    }

    fn known(&self, origin: &Origin, name: &str) -> Option<Option<Rc<Script>>> {
        self.known.borrow().get(origin.project.as_str())?.get(name).cloned()
    }

    async fn fetch(&self, origin: &Origin, names: Vec<String>) -> Result<Vec<Option<Rc<Script>>>, Failure> {
        let before = self.forgotten.get();
        let within = Origin { deadline: origin.deadline.no_later_than(FETCH), ..origin.clone() };
        let question = script_fetch::Request { scripts: names };
        let asked = self.bus.ask(script_fetch::ScriptFetch::NAME, &question, &within).await;
        let answer: script_fetch::Reply = match asked {
            Err(Failure::Timeout(_)) if !origin.deadline.left().is_zero() => {
                return Err(Failure::unavailable(script_fetch::ScriptFetch::NAME, 1_000));
            }
            asked => asked?,
        };
        if answer.scripts.len() != question.scripts.len() {
            return Err(Failure::response("scripts", "another number of scripts than was asked for"));
        }
        let scripts: Vec<_> = answer
            .scripts
            .into_iter()
            .map(|found| found.map(|s| Rc::new(Script::new(s, &self.grants))))
            .collect();
        if self.forgotten.get() == before {
            let mut known = self.known.borrow_mut();
            let names = known.entry(origin.project.as_str().to_owned()).or_default();
            if names.len() + scripts.len() > MOST_NAMES {
                names.clear();
            }
            names.extend(question.scripts.into_iter().zip(scripts.iter().cloned()));
        }
        Ok(scripts)
    }

    fn forget(&self, project: Option<&str>) {
        self.forgotten.set(self.forgotten.get() + 1);
        match project {
            Some(project) => {
                self.known.borrow_mut().remove(project);
            }
            None => self.known.borrow_mut().clear(),
        }
    }
}

fn runnable(script: Option<Rc<Script>>, kind: Kind, name: &str) -> Result<Rc<Script>, Failure> {
    let Some(script) = script else { return Err(Failure::script("script_missing", name)) };
    if script.record.kind != kind {
        return Err(Failure::script("wrong_kind", name));
    }
    if !script.record.enabled {
        return Err(Failure::script("script_disabled", name));
    }
    Ok(script)
}

/// What the event `script.changed` says that matters here.
#[derive(Debug, Deserialize)]
struct Changed {
    project: String,
    id: Id,
}

/// Forgets what has changed, as long as the worker lives. After a break of the connection, events may have been
/// missed: everything is forgotten then.
pub async fn follow(worker: Weak<super::State>) {
    let Some(bus) = worker.upgrade().map(|worker| Rc::clone(&worker.bus)) else { return };
    let mut connections = bus.connections();
    let heard = bus.hear("script.changed").await;
    drop(bus);
    let mut events = match heard {
        Ok(events) => events,
        Err(error) => {
            tracing::error!(%error, "changes of scripts cannot be heard");
            return;
        }
    };
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            connected = connections.changed() => {
                let Some(worker) = worker.upgrade().filter(|_| connected.is_ok()) else { break };
                worker.scripts.forget(None);
                continue;
            }
        };
        let (Some(event), Some(worker)) = (event, worker.upgrade()) else { break };
        match serde_json::from_slice::<Changed>(&event.payload) {
            Ok(changed) => {
                worker.scripts.forget(Some(&changed.project));
                worker.pool.forget(&changed.project, changed.id);
            }
            Err(_) => worker.scripts.forget(None),
        }
    }
}
