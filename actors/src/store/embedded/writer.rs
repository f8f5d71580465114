//! The thread that owns the engine: it answers jobs in order, and writes all batches that wait as one.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::open::{Engine, MANIFEST};
use crate::store::manifest::Manifest;
use crate::store::{Batch, Entry, Error};

/// Batches that are written as one, at most.
const MOST: usize = 256;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the thread is asked for.
pub(super) enum Job {
    Get { key: String, reply: Reply<Option<Entry>> },
    Scan { prefix: String, reply: Reply<Vec<Entry>> },
    Write { batch: Batch, reply: Reply<u64> },
    Generation { reply: Reply<u64> },
}

/// Answers jobs until nobody can ask any more.
pub(super) fn run(mut engine: Engine, mut jobs: mpsc::Receiver<Job>) {
    let mut failed: Option<Error> = None;
    while let Some(job) = jobs.blocking_recv() {
        let mut next = Some(job);
        while let Some(job) = next.take() {
            match job {
                // Whoever asked may have gone.
                Job::Get { key, reply } => drop(reply.send(get(&engine, &key))),
                Job::Scan { prefix, reply } => drop(reply.send(scan(&engine, &prefix))),
                Job::Generation { reply } => drop(reply.send(Ok(engine.manifest.generation))),
                Job::Write { batch, reply } => {
                    let mut group = vec![(batch, reply)];
                    next = gather(&mut jobs, &mut group);
                    commit(&mut engine, group, &mut failed);
                }
            }
        }
    }
}

/// Adds the batches that wait to `group`, up to the first job that is none: a read sees what was written before it, so it waits
/// for the group.
fn gather(jobs: &mut mpsc::Receiver<Job>, group: &mut Vec<(Batch, Reply<u64>)>) -> Option<Job> {
    while group.len() < MOST {
        match jobs.try_recv() {
            Ok(Job::Write { batch, reply }) => group.push((batch, reply)),
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

fn broken(error: &sled::Error) -> Error {
    Error::Failed(error.to_string())
}

fn get(engine: &Engine, key: &str) -> Result<Option<Entry>, Error> {
    let found = engine.db.get(key).map_err(|error| broken(&error))?;
    found.map(|stored| entry(key.as_bytes(), &stored)).transpose()
}

fn scan(engine: &Engine, prefix: &str) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for record in engine.db.scan_prefix(prefix) {
        let (key, stored) = record.map_err(|error| broken(&error))?;
        if key != MANIFEST {
            entries.push(entry(&key, &stored)?);
        }
    }
    Ok(entries)
}

/// On disk a record is its revision, eight bytes, and its value.
fn entry(key: &[u8], stored: &[u8]) -> Result<Entry, Error> {
    let (revision, value) = stored
        .split_first_chunk::<8>()
        .ok_or_else(|| Error::Failed("a record without a revision".to_owned()))?;
    let key = String::from_utf8_lossy(key).into_owned();
    Ok(Entry { key, value: value.to_vec(), revision: u64::from_be_bytes(*revision) })
}

/// What a group changes, over what is on disk.
struct Overlay<'a> {
    engine: &'a Engine,
    /// The stored bytes of each key that the group has touched.
    touched: BTreeMap<String, Option<Vec<u8>>>,
    manifest: Manifest,
}

impl Overlay<'_> {
    fn stored(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.touched.get(key) {
            Some(stored) => Ok(stored.clone()),
            None => {
                Ok(self.engine.db.get(key).map_err(|error| broken(&error))?.map(|stored| stored.to_vec()))
            }
        }
    }

    /// Takes a batch in, or refuses it and stays as it was.
    fn take(&mut self, batch: Batch) -> Result<u64, Error> {
        batch.check()?;
        for (key, revision) in &batch.expected {
            let stored = self.stored(key)?;
            let found =
                stored.map(|stored| entry(key.as_bytes(), &stored)).transpose()?.map(|entry| entry.revision);
            if found != *revision {
                return Err(Error::Conflict(key.clone()));
            }
        }
        let generation = self.manifest.generation + 1;
        for (key, value) in batch.writes {
            let new = value.map(|value| [generation.to_be_bytes().as_slice(), &value].concat());
            if let Some(old) = self.stored(&key)? {
                self.manifest.subtract(key.as_bytes(), &old);
            }
            if let Some(new) = &new {
                self.manifest.add(key.as_bytes(), new);
            }
            self.touched.insert(key, new);
        }
        self.manifest.generation = generation;
        Ok(generation)
    }
}

/// Writes a group as one batch with its manifest, and answers each when it is on disk. After a failure nothing more is
/// written: what a disk holds that has once failed to sync is not known.
fn commit(engine: &mut Engine, group: Vec<(Batch, Reply<u64>)>, failed: &mut Option<Error>) {
    let mut overlay = Overlay { engine, touched: BTreeMap::new(), manifest: engine.manifest.clone() };
    let mut answers = Vec::new();
    for (batch, reply) in group {
        let taken = match failed {
            Some(error) => Err(error.clone()),
            None => overlay.take(batch),
        };
        answers.push((taken, reply));
    }
    let Overlay { touched, manifest, .. } = overlay;
    if answers.iter().any(|(taken, _)| taken.is_ok()) {
        match write(engine, touched, &manifest) {
            Ok(()) => engine.manifest = manifest,
            Err(error) => {
                tracing::error!(%error, "the store failed and takes no more changes until the node is started anew");
                for (taken, _) in &mut answers {
                    *taken = taken.clone().and(Err(error.clone()));
                }
                *failed = Some(error);
            }
        }
    }
    for (taken, reply) in answers {
        // Whoever asked may have gone; the batch stands all the same.
        let _gone = reply.send(taken);
    }
}

fn write(
    engine: &Engine,
    touched: BTreeMap<String, Option<Vec<u8>>>,
    manifest: &Manifest,
) -> Result<(), Error> {
    let mut batch = sled::Batch::default();
    for (key, stored) in touched {
        match stored {
            Some(stored) => batch.insert(key.as_bytes(), stored),
            None => batch.remove(key.as_bytes()),
        }
    }
    batch.insert(MANIFEST, manifest.write());
    engine.db.apply_batch(batch).map_err(|error| broken(&error))?;
    engine.db.flush().map_err(|error| broken(&error))?;
    engine.data.sync_data().map_err(|error| Error::Failed(error.to_string()))
}
