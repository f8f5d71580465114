//! The store on this machine's disk, by sled, which one thread owns. The thread takes all batches that wait, writes them as
//! one, flushes, syncs, and only then answers: sled's own flush does not survive a power cut, and without it even a kill
//! loses what was answered. Records and manifest are compared when the store is opened. A store that is damaged is moved
//! aside, never deleted; what can be rebuilt is up to its owner.

mod open;
mod writer;

use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::{Batch, Entry, Error, Store};
use writer::Job;

/// Jobs that may wait; more make their senders wait.
const WAITING: usize = 1_024;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses; nothing is said about the store itself.
    #[error("cannot open the store {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// Another version of the program wrote it.
    #[error("the store {0} was written by a newer version")]
    Newer(PathBuf),
}

/// A store and what was found when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Embedded,
    /// Where the one before it was put, if that was damaged.
    pub set_aside: Option<PathBuf>,
}

/// The handle of the thread. The store is closed when it is dropped.
#[derive(Debug)]
pub struct Embedded {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in `folder`, or makes a new one. Blocks the thread while it reads all there is.
    ///
    /// # Errors
    /// The system refuses, or a newer version wrote it. A damaged store is no error: see [`Opened::set_aside`].
    pub fn open(folder: &Path) -> Result<Opened, OpenError> {
        let (engine, set_aside) = open::open(folder)?;
        let (jobs, waiting) = mpsc::channel(WAITING);
        let thread =
            std::thread::Builder::new().name("store".to_owned()).spawn(move || writer::run(engine, waiting));
        let thread = thread.map_err(|error| OpenError::Io(folder.to_owned(), error))?;
        Ok(Opened { store: Self { jobs: Some(jobs), thread: Some(thread) }, set_aside })
    }

    fn ask<T: 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Job,
    ) -> LocalBoxFuture<'static, Result<T, Error>> {
        let (reply, answer) = oneshot::channel();
        let (jobs, job) = (self.jobs.clone(), job(reply));
        let closed = || Error::Failed("it is closed".to_owned());
        async move {
            jobs.ok_or_else(closed)?.send(job).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        }
        .boxed_local()
    }
}

impl Store for Embedded {
    fn get(&self, key: &str) -> LocalBoxFuture<'static, Result<Option<Entry>, Error>> {
        let key = key.to_owned();
        self.ask(|reply| Job::Get { key, reply })
    }

    fn scan(&self, prefix: &str) -> LocalBoxFuture<'static, Result<Vec<Entry>, Error>> {
        let prefix = prefix.to_owned();
        self.ask(|reply| Job::Scan { prefix, reply })
    }

    fn write(&self, batch: Batch) -> LocalBoxFuture<'static, Result<u64, Error>> {
        self.ask(|reply| Job::Write { batch, reply })
    }

    fn generation(&self) -> LocalBoxFuture<'static, Result<u64, Error>> {
        self.ask(|reply| Job::Generation { reply })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Without senders the thread ends; the folder is free again once it has.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
