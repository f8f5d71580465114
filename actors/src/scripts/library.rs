//! The scripts on disk: index and files, and every change of either. Changes happen one after the other. A change is first in
//! the store, then in the file, then noted as the same on both sides; a node that ends in between goes on from there at its next
//! comparison. What is to be told of a change waits in a queue until the change is on disk. No broker in here.

pub mod bodies;
pub mod change;
pub mod collect;
pub mod scan;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::Id;
use protocol::channels::script_history::By;
use protocol::channels::script_list::FileError;
use protocol::channels::script_sync::ProjectFileError;
use protocol::script::{Change, Changed, Conflict};

use super::disk::{self, Base, Given, Script, Version};
use super::file::write;
use super::folder::write::{Order, Outcome, carry_out, clear_drafts};
use super::folder::{self, Known};
use super::index::Index;
use super::plan::steps::Step;
use crate::store::objects::Objects;
use crate::store::{Batch, Store};
use bodies::Bodies;

/// Steps that are written as one batch.
const AT_ONCE: usize = 400;

/// Why the scripts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A newer version of the program wrote it.
    #[error(transparent)]
    Unknown(#[from] disk::Unknown),
    /// A body is missing or damaged, or cannot be kept.
    #[error(transparent)]
    Body(#[from] crate::store::objects::Error),
    /// The folder of scripts cannot be read.
    #[error("the folder of scripts cannot be read: {0}")]
    Folder(std::io::Error),
    /// A thread that does blocking work has gone.
    #[error("blocking work was given up")]
    Thread,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `script.changed`.
    Changed(Changed),
    /// `script.conflict`.
    Conflict(Conflict),
}

/// All scripts of a node.
pub struct Library {
    store: Rc<dyn Store>,
    root: PathBuf,
    /// What is known of them.
    pub index: RefCell<Index>,
    /// What each project was given of the defaults, by project and slug.
    pub given: RefCell<BTreeMap<(String, String), Given>>,
    bodies: Bodies,
    /// Stamps of files as they were last read.
    stamps: RefCell<Known>,
    events: RefCell<Vec<Event>>,
    /// One change at a time.
    work: tokio::sync::Mutex<()>,
    /// Whether a change was under way and nobody heard of its end: the store may know more than the index.
    open_end: Cell<bool>,
    /// Whether files that were changed a moment ago are written only later.
    patient: bool,
    /// Whether there are such files.
    postponed: Cell<bool>,
}

/// How steps went.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Files that could not be written.
    pub(super) errors: Vec<ProjectFileError>,
    /// Files that were written.
    pub(super) written: usize,
    /// Files that somebody else had changed in the meantime.
    pub(super) changed: usize,
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Runs what blocks off the async thread.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Thread)
}

impl Library {
    /// Reads what the store has. The folder `root` is compared with it by [`Library::sync`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Rc<dyn Store>, objects: Objects, root: &Path) -> Result<Self, Error> {
        let index = read_index(&*store).await?;
        let mut given = BTreeMap::new();
        for entry in store.scan(disk::GIVEN).await? {
            let parts = entry.key.strip_prefix(disk::GIVEN).and_then(|rest| rest.split_once('/'));
            if let Some((project, slug)) = parts {
                given.insert((project.to_owned(), slug.to_owned()), disk::read(&entry.key, &entry.value)?);
            }
        }
        Ok(Self {
            store,
            root: root.to_owned(),
            index: RefCell::new(index),
            given: RefCell::new(given),
            bodies: Bodies::new(objects),
            stamps: RefCell::default(),
            events: RefCell::default(),
            work: tokio::sync::Mutex::default(),
            open_end: Cell::new(false),
            patient: true,
            postponed: Cell::new(false),
        })
    }

    /// Whether files are to be written once they have been left alone for a moment; another comparison does it.
    #[must_use]
    pub fn has_postponed(&self) -> bool {
        self.postponed.get()
    }

    /// The folder of script files.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Clears what a node that ended while it wrote has left in the folder.
    ///
    /// # Errors
    /// The thread that does it has gone.
    pub async fn clear_drafts(&self) -> Result<(), Error> {
        let mut projects: Vec<String> = self.index.borrow().projects().map(str::to_owned).collect();
        projects.push(protocol::envelope::Project::default().as_str().to_owned());
        projects.dedup();
        let (root, objects) = (self.root.clone(), self.bodies.objects().clone());
        off_thread(move || {
            let is_known = |text: &str| {
                objects.has(&crate::store::objects::hash(super::file::parts(text).body.as_bytes()))
            };
            for project in projects {
                match clear_drafts(&root, &project, &is_known) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!(%project, %error, "what a write left behind could not be cleared");
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// What is to be told since the last time.
    #[must_use]
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.borrow_mut())
    }

    /// A body by its hash.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub async fn body(&self, hash: &str) -> Result<std::sync::Arc<str>, Error> {
        self.bodies.get(hash).await
    }

    /// The body of a script; if it is not among the objects, that of its file.
    ///
    /// # Errors
    /// It is nowhere.
    pub async fn body_of(&self, script: &Script) -> Result<std::sync::Arc<str>, Error> {
        let error = match self.bodies.get(&script.record.content_hash).await {
            Ok(body) => return Ok(body),
            Err(error) => error,
        };
        let Some(base) = script.base.clone().filter(|base| base.hash == script.record.file_hash) else {
            return Err(error);
        };
        let (root, project) = (self.root.clone(), script.record.project.clone());
        let found = off_thread(move || folder::text(&root, &project, &base.file)).await?;
        let Some(body) = found.map(|text| super::file::parts(&text).body.to_owned()) else {
            return Err(error);
        };
        if crate::store::objects::hash(body.as_bytes()) != script.record.content_hash {
            return Err(error);
        }
        tracing::warn!(script = %script.record.slug, %error, "a body was taken from its file");
        self.bodies.put(vec![(script.record.content_hash.clone(), body)]).await?;
        self.bodies.get(&script.record.content_hash).await
    }

    /// The bodies, for who reads many.
    #[must_use]
    pub fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// The versions of a script, by number.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn versions(&self, project: &str, id: Id) -> Result<Vec<Version>, Error> {
        let entries = self.store.scan(&disk::versions_key(project, id)).await?;
        entries.iter().map(|entry| Ok(disk::read(&entry.key, &entry.value)?)).collect()
    }

    /// One version of a script.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn version(&self, project: &str, id: Id, version: u64) -> Result<Option<Version>, Error> {
        let key = disk::version_key(project, id, version);
        let entry = self.store.get(&key).await?;
        entry.map(|entry| Ok(disk::read(&entry.key, &entry.value)?)).transpose()
    }

    /// Notes what a project was given of the defaults.
    pub(super) async fn note_given(&self, project: &str, given: Vec<(String, Given)>) -> Result<(), Error> {
        let mut batch = Batch::default();
        for (slug, given) in &given {
            batch.put(disk::given_key(project, slug), disk::write(given));
        }
        self.store.write(batch).await?;
        let given = given.into_iter().map(|(slug, given)| ((project.to_owned(), slug), given));
        self.given.borrow_mut().extend(given);
        Ok(())
    }

    /// Carries steps out, bodies first. When this returns all of it is on disk.
    pub(super) async fn carry(&self, steps: Vec<Step>) -> Result<Carried, Error> {
        let bodies = steps
            .iter()
            .filter_map(|step| Some((step.script.record.content_hash.clone(), step.body.clone()?)));
        self.bodies.put(bodies.collect()).await?;
        for part in steps.chunks(AT_ONCE) {
            let mut batch = Batch::default();
            for step in part {
                self.expect(&mut batch, &step.script);
                batch.put(key_of(&step.script), disk::write(&step.script));
                if let Some((change, by)) = step.version {
                    let version = version_of(&step.script, change, by);
                    let record = &step.script.record;
                    batch.put(
                        disk::version_key(&record.project, record.id, record.version),
                        disk::write(&version),
                    );
                }
            }
            let insert = |index: &mut Index, revision| {
                part.iter().for_each(|step| index.insert(step.script.clone(), revision));
            };
            self.commit(batch, insert).await?;
            part.iter().for_each(|step| self.tell(step));
        }
        self.write_files(steps).await
    }

    /// The store must still have what the index has.
    fn expect(&self, batch: &mut Batch, script: &Script) {
        let index = self.index.borrow();
        let held = index.get(&script.record.project, script.record.id);
        batch.expect(key_of(script), held.map(|held| held.revision));
    }

    /// Waits for one's turn. If the change before was given up half-way, the index is read anew.
    pub(super) async fn alone(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let alone = self.work.lock().await;
        if self.open_end.get() {
            let index = read_index(&*self.store).await?;
            *self.index.borrow_mut() = index;
            self.open_end.set(false);
        }
        Ok(alone)
    }

    /// Writes a batch, and then what the index has to know of it.
    async fn commit(&self, batch: Batch, note: impl FnOnce(&mut Index, u64)) -> Result<(), Error> {
        self.open_end.set(true);
        let revision = self.store.write(batch).await?;
        note(&mut self.index.borrow_mut(), revision);
        self.open_end.set(false);
        Ok(())
    }

    fn tell(&self, step: &Step) {
        let record = &step.script.record;
        let mut events = self.events.borrow_mut();
        if let Some((change, _)) = step.version {
            events.push(Event::Changed(changed(&step.script, change)));
        }
        if let Some(kept_version) = step.kept {
            events.push(Event::Conflict(Conflict {
                project: record.project.clone(),
                id: record.id,
                slug: record.slug.clone(),
                version: record.version,
                kept_version,
            }));
        }
    }

    /// Writes the files of steps, and notes those that are then the same on both sides.
    async fn write_files(&self, steps: Vec<Step>) -> Result<Carried, Error> {
        let mut carried = Carried::default();
        let mut orders = Vec::new();
        for Step { script, file, body, .. } in steps {
            let Some(file) = file else { continue };
            let body = match body {
                Some(body) => body.into(),
                None => match self.body_of(&script).await {
                    Ok(body) => body,
                    Err(error) => {
                        carried.errors.push(problem(&script, &file.to, error.to_string()));
                        continue;
                    }
                },
            };
            let text = Some(write::whole(&script.metadata, &body));
            let project = script.record.project.clone();
            orders.push((
                script,
                Order { project, from: file.from, to: file.to, expected: file.expected, text },
            ));
        }
        if orders.is_empty() {
            return Ok(carried);
        }
        let (root, todo) =
            (self.root.clone(), orders.iter().map(|(_, order)| order.clone()).collect::<Vec<_>>());
        let outcomes = off_thread(move || carry_out(&root, &todo)).await?;
        let mut settled = Vec::new();
        for ((script, order), outcome) in orders.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => settled.push(settle(script, order.to)),
                Outcome::Changed => carried.changed += 1,
                Outcome::Failed(why) => carried.errors.push(problem(&script, &order.to, why)),
            }
        }
        carried.written = settled.len();
        for part in settled.chunks(AT_ONCE) {
            let mut batch = Batch::default();
            for script in part {
                self.expect(&mut batch, script);
                batch.put(key_of(script), disk::write(script));
            }
            let insert = |index: &mut Index, revision| {
                part.iter().for_each(|script| index.insert(script.clone(), revision));
            };
            self.commit(batch, insert).await?;
        }
        Ok(carried)
    }
}

async fn read_index(store: &dyn Store) -> Result<Index, Error> {
    let mut index = Index::default();
    for entry in store.scan(disk::SCRIPTS).await? {
        index.insert(disk::read(&entry.key, &entry.value)?, entry.revision);
    }
    Ok(index)
}

/// The script once its file `to` has its text. If that is not the name it should have, somebody has renamed the file: the old
/// name is kept as what both sides knew, so that the next comparison sees a renamed file.
fn settle(mut script: Script, to: String) -> Script {
    let known = script.base.take().filter(|_| to != script.file).map(|base| base.file);
    script.base = Some(Base { file: known.unwrap_or(to), hash: script.record.file_hash.clone() });
    script
}

fn key_of(script: &Script) -> String {
    disk::script_key(&script.record.project, script.record.id)
}

fn version_of(script: &Script, change: Change, by: By) -> Version {
    Version { record: script.record.clone(), metadata: script.metadata.clone(), change, by }
}

fn changed(script: &Script, change: Change) -> Changed {
    let record = &script.record;
    Changed {
        project: record.project.clone(),
        id: record.id,
        slug: record.slug.clone(),
        version: record.version,
        content_hash: record.content_hash.clone(),
        change,
    }
}

fn problem(script: &Script, file: &str, problem: String) -> ProjectFileError {
    let error = FileError { file: file.to_owned(), problem };
    ProjectFileError { project: script.record.project.clone(), error }
}

#[cfg(test)]
mod tests;
