//! Scripts as a worker knows them: fetched over the bus. What a name means is kept until it is told that it changed; a body, which
//! is known by its hash, never changes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use protocol::abi::Kind;
use protocol::actions::{Action as _, script_fetch};
use protocol::capability::Capability;
use protocol::frame::control::MOST_CAPABILITIES;
use protocol::script::{Change, Record};
use protocol::{Failure, Id};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::bus::Bus;
use crate::bus::link::Listening;
use crate::call::Origin;
use crate::config::grant::Grant;
use crate::worker::counters::Counters;
use crate::worker::pool::Pool;

/// Longest wait for the role that keeps scripts.
const FETCH: Duration = Duration::from_secs(2);
/// Most characters of a capability that are shown to a caller.
const LONGEST_CAPABILITY: usize = 200;
/// Names that are kept of all projects together, found or not; and lists. Beyond that all are asked for anew.
const MOST_NAMES: usize = 10_000;
/// Bodies that are kept, in bytes of text. Beyond that all are forgotten, and what is used comes back.
const MOST_TEXT: usize = 32 << 20;

/// What tells groups of cells apart: all of a script that its cells depend on, as the first half of
/// their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// Of cells that only parse.
    pub const COMPILER: Self = Self([0; 16]);

    fn of(record: &Record, granted: &Granted) -> Self {
        let Record { project, id, slug, content_hash, entrypoint, kind, fresh, .. } = record;
        let (kind, granted) = (kind.as_str(), granted.text());
        Self::of_text(&format!("{project}/{id}/{slug}/{content_hash}/{entrypoint}/{kind}/{fresh}{granted}"))
    }

    /// Of cells that depend on what this text says.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
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
    /// What its cells may do, and what it lacks.
    pub granted: Granted,
    /// Whether it has a `render_many`; known once a cell has loaded it.
    pub many: Cell<Option<bool>>,
}

impl Script {
    /// A script as it was fetched, with what the configuration grants it.
    #[must_use]
    pub fn new(fetched: script_fetch::Script, grants: &[Grant]) -> Self {
        let script_fetch::Script { record, body } = fetched;
        let own = grants.iter().filter(|grant| grant.is_to_script(&record.project, &record.slug));
        let granted = Granted::of(&record.capabilities, own);
        Self { key: Key::of(&record, &granted), record, body, granted, many: Cell::new(None) }
    }
}

/// What of the capabilities that an author asks for is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// What cells may do beyond their own memory.
    pub capabilities: Vec<Capability>,
    /// What was asked for and not granted; nothing is called then.
    pub lacks: Option<String>,
}

impl Granted {
    /// What is both asked for and granted.
    #[must_use]
    pub fn of<'a>(asked: &[String], grants: impl Iterator<Item = &'a Grant>) -> Self {
        let offered: Vec<&Capability> = grants.flat_map(|grant| &grant.capabilities).collect();
        let mut granted = Vec::new();
        let mut lacks = None;
        for asked in asked {
            match Capability::new(asked).and_then(|capability| capability.among(offered.iter().copied())) {
                Some(capability) => granted.push(capability),
                None => lacks = lacks.or_else(|| Some(asked.chars().take(LONGEST_CAPABILITY).collect())),
            }
        }
        granted.sort_unstable();
        granted.dedup();
        if granted.len() > MOST_CAPABILITIES {
            lacks = lacks.or_else(|| Some(format!("more than {MOST_CAPABILITIES} capabilities")));
            granted.clear();
        }
        Self { capabilities: granted, lacks }
    }

    /// Whether folders are among them.
    #[must_use]
    pub fn reads_files(&self) -> bool {
        self.capabilities.iter().any(|capability| matches!(capability, Capability::FilesRead(_)))
    }

    /// Whether the network is among them.
    #[must_use]
    pub fn reaches_network(&self) -> bool {
        self.capabilities.iter().any(Capability::is_network)
    }

    /// The capabilities in one text, to tell cells apart by.
    #[must_use]
    pub fn text(&self) -> String {
        self.capabilities.iter().flat_map(|capability| ["\0".to_owned(), capability.to_string()]).collect()
    }
}

/// By project and kind.
type Listed = HashMap<(String, Kind), Rc<[String]>>;

/// Callers choose them, but only so many are kept that no choice makes finding one slow.
type Names = foldhash::HashMap<String, Option<Rc<Script>>>;

/// What names mean, by project. Callers choose these too.
#[derive(Default)]
struct Known {
    projects: BTreeMap<String, Names>,
    names: usize,
}

impl Known {
    fn get(&self, project: &str, name: &str) -> Option<Option<Rc<Script>>> {
        self.projects.get(project)?.get(name).cloned()
    }

    fn keep(&mut self, project: &str, found: impl ExactSizeIterator<Item = (String, Option<Rc<Script>>)>) {
        if self.names + found.len() > MOST_NAMES {
            *self = Self::default();
        }
        let kept = self.projects.entry(project.to_owned()).or_default();
        let before = kept.len();
        kept.extend(found);
        self.names += kept.len() - before;
    }

    fn forget(&mut self, project: &str) {
        self.names -= self.projects.remove(project).map_or(0, |names| names.len());
    }
}

/// The scripts that this worker has met.
pub struct Scripts {
    bus: Rc<Bus>,
    grants: Vec<Grant>,
    /// What is counted of them; those that go are forgotten there too.
    counters: Rc<Counters>,
    known: RefCell<Known>,
    /// The ids of the enabled scripts of a project's kind, in their order.
    listed: RefCell<Listed>,
    bodies: RefCell<Bodies>,
    /// Counts what was forgotten, so that an answer that was under way at the time is not kept.
    forgotten: Cell<u64>,
    /// To how many connections that belongs.
    connections: Cell<u64>,
    /// What tells of changes.
    listening: RefCell<Vec<Listening>>,
}

/// Bodies by their hash, which never change.
#[derive(Default)]
struct Bodies {
    kept: HashMap<String, Rc<str>>,
    size: usize,
}

impl Bodies {
    fn keep(&mut self, hash: &str, body: &Rc<str>) {
        if self.size + body.len() > MOST_TEXT {
            *self = Self::default();
        }
        if self.kept.insert(hash.to_owned(), Rc::clone(body)).is_none() {
            self.size += body.len();
        }
    }
}

impl Scripts {
    /// Knows none yet.
    #[must_use]
    pub fn new(bus: Rc<Bus>, grants: Vec<Grant>, counters: Rc<Counters>) -> Self {
        Self {
            bus,
            grants,
            counters,
            known: RefCell::default(),
            listed: RefCell::default(),
            bodies: RefCell::default(),
            forgotten: Cell::new(0),
            connections: Cell::new(0),
            listening: RefCell::default(),
        }
    }

    /// The enabled script of that kind that bears `name`.
    ///
    /// # Errors
    /// There is none, or the role that keeps scripts does not answer.
    pub async fn find(&self, origin: &Origin, kind: Kind, name: &str) -> Result<Rc<Script>, Failure> {
        self.catch_up();
        if let Some(known) = self.known(origin, name) {
            return runnable(known, kind, name);
        }
        // In a box of its own, so that calls of known scripts do not carry its room along.
        let found = Box::pin(self.fetch(origin, vec![name.to_owned()])).await?;
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
        self.catch_up();
        let unknown: Vec<String> =
            names.iter().filter(|name| self.known(origin, name).is_none()).cloned().collect();
        let mut found = Names::default();
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

    /// The enabled scripts of a kind, in the order in which they run.
    ///
    /// # Errors
    /// The role that keeps scripts does not answer.
    pub async fn of_kind(&self, origin: &Origin, kind: Kind) -> Result<Vec<Rc<Script>>, Failure> {
        self.catch_up();
        let place = (origin.project.as_str().to_owned(), kind);
        let known = self.listed.borrow().get(&place).cloned();
        let listed = match known {
            Some(listed) => listed,
            None => {
                let before = self.forgotten.get();
                let within = origin.until(origin.deadline.no_later_than(FETCH));
                let question =
                    script_fetch::Request { scripts: Vec::new(), contents: Vec::new(), kind: Some(kind) };
                let answer = self.ask(&question, origin, &within).await?;
                let listed: Rc<[String]> = answer.listed.iter().map(ToString::to_string).collect();
                if self.forgotten.get() == before {
                    let mut kept = self.listed.borrow_mut();
                    if kept.len() >= MOST_NAMES {
                        kept.clear();
                    }
                    kept.insert(place, Rc::clone(&listed));
                }
                listed
            }
        };
        let found = self.find_all(origin, kind, &listed).await?;
        Ok(listed.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    fn known(&self, origin: &Origin, name: &str) -> Option<Option<Rc<Script>>> {
        self.known.borrow().get(origin.project.as_str(), name)
    }

    async fn fetch(&self, origin: &Origin, names: Vec<String>) -> Result<Vec<Option<Rc<Script>>>, Failure> {
        let before = self.forgotten.get();
        let within = origin.until(origin.deadline.no_later_than(FETCH));
        let mut scripts: Vec<Option<Rc<Script>>> = Vec::new();
        while let Some(left) = names.get(scripts.len()..).filter(|left| !left.is_empty()) {
            let question = script_fetch::Request { scripts: left.to_vec(), contents: Vec::new(), kind: None };
            let answer = self.ask(&question, origin, &within).await?;
            if answer.scripts.is_empty() || answer.scripts.len() > left.len() {
                return Err(Failure::response("scripts", "another number of scripts than was asked for"));
            }
            scripts.extend(self.with_bodies(answer.scripts, origin, &within).await?);
        }
        if self.forgotten.get() == before {
            let found = names.into_iter().zip(scripts.iter().cloned());
            self.known.borrow_mut().keep(origin.project.as_str(), found);
        }
        Ok(scripts)
    }

    async fn ask(
        &self,
        question: &script_fetch::Request,
        origin: &Origin,
        within: &Origin,
    ) -> Result<script_fetch::Reply, Failure> {
        match self.bus.ask(script_fetch::ScriptFetch::NAME, question, within).await {
            Err(Failure::Timeout(_)) if !origin.deadline.left().is_zero() => {
                Err(Failure::unavailable(script_fetch::ScriptFetch::NAME, 1_000))
            }
            asked => asked,
        }
    }

    /// Adds the bodies that did not fit the answer.
    async fn with_bodies(
        &self,
        fetched: Vec<Option<script_fetch::Fetched>>,
        origin: &Origin,
        within: &Origin,
    ) -> Result<Vec<Option<Rc<Script>>>, Failure> {
        let mut bodies: HashMap<String, Rc<str>> = HashMap::new();
        for script_fetch::Fetched { record, body } in fetched.iter().flatten() {
            let kept = self.bodies.borrow().kept.get(&record.content_hash).cloned();
            let body = body.as_deref().map(Rc::from).or(kept);
            bodies.extend(body.map(|body| (record.content_hash.clone(), body)));
        }
        loop {
            let hashes = fetched.iter().flatten().map(|script| &script.record.content_hash);
            let missing: BTreeSet<&String> = hashes.filter(|hash| !bodies.contains_key(*hash)).collect();
            if missing.is_empty() {
                break;
            }
            let contents = missing.into_iter().cloned().collect();
            let question = script_fetch::Request { scripts: Vec::new(), contents, kind: None };
            let answer = self.ask(&question, origin, within).await?;
            let before = bodies.len();
            bodies.extend(answer.contents.into_iter().map(|(hash, body)| (hash, body.into())));
            if bodies.len() == before {
                return Err(Failure::unavailable(script_fetch::ScriptFetch::NAME, 1_000));
            }
        }
        bodies.iter().for_each(|(hash, body)| self.bodies.borrow_mut().keep(hash, body));
        let scripts = fetched.into_iter().map(|script| {
            let script_fetch::Fetched { record, .. } = script?;
            let body = bodies.get(&record.content_hash).map(ToString::to_string).unwrap_or_default();
            Some(Rc::new(Script::new(script_fetch::Script { record, body }, &self.grants)))
        });
        Ok(scripts.collect())
    }

    /// Forgets everything after a break of the connection: events may have been missed.
    fn catch_up(&self) {
        let connections = self.bus.connections();
        if self.connections.replace(connections) != connections {
            self.forget(None);
        }
    }

    fn hear<'a>(&self, event: &[u8], pools: impl Iterator<Item = &'a Rc<Pool>>) {
        match serde_json::from_slice::<Changed>(event) {
            Ok(changed) => {
                self.forget(Some(&changed.project));
                for pool in pools {
                    pool.forget(&changed.project, changed.id);
                }
                if changed.change == Some(Change::Deleted) {
                    self.counters.forget(&changed.project, changed.id);
                }
            }
            Err(_) => self.forget(None),
        }
    }

    fn forget(&self, project: Option<&str>) {
        self.forgotten.set(self.forgotten.get() + 1);
        match project {
            Some(project) => {
                self.known.borrow_mut().forget(project);
                self.listed.borrow_mut().retain(|(of, _), _| of != project);
            }
            None => {
                self.known.take();
                self.listed.borrow_mut().clear();
            }
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
    #[serde(default)]
    change: Option<Change>,
}

/// Has `worker` forget what has changed, before it sees any call that comes after the event.
pub fn follow(worker: &Rc<super::State>) {
    let listen = |name| {
        let hearer = Rc::downgrade(worker);
        worker.bus.on(name, move |message| {
            let Some(worker) = hearer.upgrade() else { return };
            // What is not forgotten would run on: if this panics, the pool is broken.
            let _inside = worker.pool.inside();
            worker.scripts.hear(message.payload(), worker.pools());
        })
    };
    let listening = ["script.changed", protocol::script::LOADED].map(listen).into();
    worker.scripts.listening.replace(listening);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(name: usize) -> (String, Option<Rc<Script>>) {
        (name.to_string(), None)
    }

    #[test]
    fn no_more_is_kept_than_so_many_names_whichever_projects_they_are_of() {
        let mut known = Known::default();
        for project in 0..MOST_NAMES + 5 {
            known.keep(&project.to_string(), [unknown(project)].into_iter());
            assert!(known.projects.len() <= MOST_NAMES && known.names <= MOST_NAMES);
        }
        assert_eq!((known.projects.len(), known.names), (5, 5));
        assert!(known.get("0", "0").is_none());
        let last = (MOST_NAMES + 4).to_string();
        assert!(matches!(known.get(&last, &last), Some(None)));
        known.keep(&last, (0..100).map(unknown));
        known.keep(&last, (0..100).map(unknown));
        assert_eq!(known.names, 105);
        known.forget(&last);
        assert_eq!((known.projects.len(), known.names), (4, 4));
    }
}
