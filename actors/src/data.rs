//! The data folder, held by one node at a time: two that write into the same one would spoil each other's files.
//! What is in it is the business of the parts that own it.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The file that is locked; it stays when the node ends, the lock does not.
const LOCK: &str = ".lock";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made or written.
    #[error("cannot use the data folder {0}: {1}")]
    Folder(PathBuf, std::io::Error),
    /// Another node has it.
    #[error("the data folder {0} is in use by another node")]
    Taken(PathBuf),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> &'static str {
        match self {
            Self::Folder(..) => "make it writable, or name another with --data",
            Self::Taken(_) => "stop that node, or name another folder with --data",
        }
    }
}

/// A data folder that is ours as long as this lives.
#[derive(Debug)]
pub struct Folder {
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and holds it.
    ///
    /// # Errors
    /// It cannot be used, or another node holds it.
    pub fn hold(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Folder(path.to_owned(), error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Taken(path.to_owned())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_and_free_again_after_it() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("new");
        let held = Folder::hold(&path).unwrap();
        assert!(matches!(Folder::hold(&path), Err(Error::Taken(_))));
        drop(held);
        Folder::hold(&path).unwrap();
    }
}
