//! Contents by their hash, a file each: `objects/ab/cdef…`. A content is written once, whole or not at all, and looked at again
//! when it is read. Which contents are still of use is not known here. All of this blocks: call it off the async thread.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// From this many contents on, the file system is synced once instead of each file.
const MANY: usize = 16;

/// Why a content cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text that is no SHA-256.
    #[error("not a hash: 64 hexadecimal digits are expected")]
    Hash,
    /// Nothing has that hash.
    #[error("the content {0} is missing")]
    Missing(String),
    /// What lies there is something else.
    #[error("the content {0} is damaged")]
    Damaged(String),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash(content: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    Sha256::digest(content).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The folder of contents.
#[derive(Debug, Clone)]
pub struct Objects {
    folder: PathBuf,
}

impl Objects {
    /// Uses `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    fn place(&self, hash: &str) -> Result<(PathBuf, PathBuf), Error> {
        let digits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let parts = hash.split_at_checked(2).filter(|_| hash.len() == 64 && hash.bytes().all(digits));
        let (shard, rest) = parts.ok_or(Error::Hash)?;
        let shard = self.folder.join(shard);
        let file = shard.join(rest);
        Ok((shard, file))
    }

    /// The content with that hash.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn get(&self, wanted: &str) -> Result<Vec<u8>, Error> {
        let (_, path) = self.place(wanted)?;
        let content = std::fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::Missing(wanted.to_owned()),
            _ => Error::Io(error),
        })?;
        if hash(&content) == wanted { Ok(content) } else { Err(Error::Damaged(wanted.to_owned())) }
    }

    /// Whether the content with that hash is here and whole.
    #[must_use]
    pub fn has(&self, wanted: &str) -> bool {
        self.get(wanted).is_ok()
    }

    /// Removes the content with that hash, if it is there.
    ///
    /// # Errors
    /// The text is no hash, or the disk failed.
    pub fn remove(&self, hash: &str) -> Result<(), Error> {
        let (_, path) = self.place(hash)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Keeps contents. When this returns they survive the loss of power.
    ///
    /// # Errors
    /// The disk failed; some of them may be kept.
    pub fn put<'a>(&self, contents: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<(), Error> {
        let mut drafts = Vec::new();
        let mut seen = BTreeSet::new();
        let mut shards = BTreeSet::new();
        let mut new_shard = false;
        for (wanted, content) in contents {
            let (shard, path) = self.place(wanted)?;
            if !seen.insert(wanted.to_owned()) || self.has(wanted) {
                continue;
            }
            match std::fs::create_dir(&shard) {
                Ok(()) => new_shard = true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            let mut draft = tempfile::Builder::new().prefix(".new-").tempfile_in(&shard)?;
            draft.write_all(content)?;
            drafts.push((draft.into_temp_path(), path));
            shards.insert(shard);
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let all_at_once = drafts.len() >= MANY;
        if all_at_once {
            rustix::fs::syncfs(File::open(&self.folder)?).map_err(std::io::Error::from)?;
        } else {
            for (draft, _) in &drafts {
                File::open(draft)?.sync_all()?;
            }
        }
        for (draft, path) in drafts {
            draft.persist(path).map_err(|error| error.error)?;
        }
        if all_at_once {
            rustix::fs::syncfs(File::open(&self.folder)?).map_err(std::io::Error::from)?;
            return Ok(());
        }
        shards.iter().try_for_each(|shard| sync_folder(shard))?;
        if new_shard {
            sync_folder(&self.folder)?;
        }
        Ok(())
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_what_it_was_or_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(&folder.path().join("objects")).unwrap();
        let (one, two) = (hash(b"one"), hash(b"two"));
        objects.put([(one.as_str(), &b"one"[..]), (two.as_str(), b"two"), (one.as_str(), b"one")]).unwrap();
        assert_eq!(objects.get(&one).unwrap(), b"one");
        let path = objects.place(&two).unwrap().1;
        std::fs::write(&path, b"tow").unwrap();
        assert!(matches!(objects.get(&two), Err(Error::Damaged(_))));
        // Who keeps it again mends it.
        objects.put([(two.as_str(), &b"two"[..])]).unwrap();
        assert_eq!(objects.get(&two).unwrap(), b"two");
        std::fs::remove_file(path).unwrap();
        assert!(matches!(objects.get(&two), Err(Error::Missing(_))));
        for wrong in ["", "ab", &"g".repeat(64), &"../".repeat(21), &one.to_uppercase()] {
            assert!(matches!(objects.get(wrong), Err(Error::Hash)), "{wrong}");
        }
    }

    #[test]
    fn many_are_kept_at_once_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let all: Vec<(String, String)> =
            (0..100).map(|n| n.to_string()).map(|text| (hash(text.as_bytes()), text)).collect();
        objects.put(all.iter().map(|(hash, text)| (hash.as_str(), text.as_bytes()))).unwrap();
        assert!(all.iter().all(|(hash, text)| objects.get(hash).unwrap() == text.as_bytes()));
        let shards = std::fs::read_dir(folder.path()).unwrap();
        let files = shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count());
        assert_eq!(files.sum::<usize>(), 100);
    }
}
