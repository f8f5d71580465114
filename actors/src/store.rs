//! The store: small values under keys, changed in batches that happen wholly or not at all. `Store` is what the rest of the
//! program sees; `embedded` keeps it on this machine's disk, `memory` nowhere. Larger values go to `objects`, by hash.
//! What the keys mean is the business of whoever writes them.

pub mod embedded;
pub mod manifest;
pub mod memory;
pub mod objects;

use futures_util::future::LocalBoxFuture;

/// Largest value, in bytes. Larger ones would go to files that are never synced; they belong into `objects`.
pub const LARGEST_VALUE: usize = 24 * 1024 - 1;
/// Longest key, in bytes.
pub const LONGEST_KEY: usize = 240;

/// Why the store did not do it. Nothing of a batch that failed has happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key does not have the revision that the batch expected.
    #[error("{0} was changed by another")]
    Conflict(String),
    /// A key that keys cannot be.
    #[error(
        "a key of other characters than letters, digits and / _ - . =, or longer than {LONGEST_KEY} bytes"
    )]
    Key,
    /// A value that is too large.
    #[error("the value of {0} is larger than {LARGEST_VALUE} bytes")]
    TooLarge(String),
    /// The disk or the engine failed. Until it is opened anew the store refuses to write: what is on disk is not known.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A value as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The generation that wrote it; another one after each change.
    pub revision: u64,
}

/// Changes that happen together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must be so before: the key's revision, or that it is not there.
    pub expected: Vec<(String, Option<u64>)>,
    /// New values; `None` removes the key. Of several for one key the last counts.
    pub writes: Vec<(String, Option<Vec<u8>>)>,
}

impl Batch {
    /// Adds a value.
    pub fn put(&mut self, key: impl Into<String>, value: Vec<u8>) {
        self.writes.push((key.into(), Some(value)));
    }

    /// Adds a removal; of a key that is not there, nothing happens.
    pub fn remove(&mut self, key: impl Into<String>) {
        self.writes.push((key.into(), None));
    }

    /// Adds what must be so before.
    pub fn expect(&mut self, key: impl Into<String>, revision: Option<u64>) {
        self.expected.push((key.into(), revision));
    }

    /// Looks whether keys and values are such as can be stored.
    ///
    /// # Errors
    /// They are not.
    pub fn check(&self) -> Result<(), Error> {
        for (key, value) in &self.writes {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-.=".contains(&b);
            if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(plain) {
                return Err(Error::Key);
            }
            if value.as_ref().is_some_and(|value| value.len() > LARGEST_VALUE) {
                return Err(Error::TooLarge(key.clone()));
            }
        }
        Ok(())
    }
}

/// Keys and values. A read sees every write that was answered before it was asked.
pub trait Store {
    /// The value of a key.
    fn get(&self, key: &str) -> LocalBoxFuture<'static, Result<Option<Entry>, Error>>;

    /// Every entry whose key begins with `prefix`, by key.
    fn scan(&self, prefix: &str) -> LocalBoxFuture<'static, Result<Vec<Entry>, Error>>;

    /// Does a batch and answers once it would survive the loss of power, with the generation that it made: each batch has a
    /// greater one than all before it.
    fn write(&self, batch: Batch) -> LocalBoxFuture<'static, Result<u64, Error>>;

    /// The generation of the last batch; 0 before the first.
    fn generation(&self) -> LocalBoxFuture<'static, Result<u64, Error>>;
}

#[cfg(test)]
mod tests;
