//! A store that keeps nothing beyond its own life: for nodes that are told to keep nothing, and to compare the other one with.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use super::{Batch, Entry, Error, Store};

/// Entries in memory.
#[derive(Debug, Default)]
pub struct Memory {
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<String, Entry>,
    generation: u64,
}

impl Inner {
    fn write(&mut self, batch: Batch) -> Result<u64, Error> {
        batch.check()?;
        for (key, revision) in &batch.expected {
            if self.entries.get(key).map(|entry| entry.revision) != *revision {
                return Err(Error::Conflict(key.clone()));
            }
        }
        self.generation += 1;
        for (key, value) in batch.writes {
            match value {
                Some(value) => {
                    let entry = Entry { key: key.clone(), value, revision: self.generation };
                    self.entries.insert(key, entry);
                }
                None => {
                    self.entries.remove(&key);
                }
            }
        }
        Ok(self.generation)
    }
}

/// Answers later, as a store on a disk does.
fn later<T: 'static>(answer: T) -> LocalBoxFuture<'static, T> {
    async {
        tokio::task::yield_now().await;
        answer
    }
    .boxed_local()
}

impl Store for Memory {
    fn get(&self, key: &str) -> LocalBoxFuture<'static, Result<Option<Entry>, Error>> {
        later(Ok(self.inner.borrow().entries.get(key).cloned()))
    }

    fn scan(&self, prefix: &str) -> LocalBoxFuture<'static, Result<Vec<Entry>, Error>> {
        let inner = self.inner.borrow();
        let from = inner.entries.range(prefix.to_owned()..);
        let found =
            from.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, entry)| entry.clone()).collect();
        later(Ok(found))
    }

    fn write(&self, batch: Batch) -> LocalBoxFuture<'static, Result<u64, Error>> {
        later(self.inner.borrow_mut().write(batch))
    }

    fn generation(&self) -> LocalBoxFuture<'static, Result<u64, Error>> {
        later(Ok(self.inner.borrow().generation))
    }
}
