//! Opening: making a store that is whole from its first moment, comparing one that is there with its manifest, and putting a
//! damaged one aside.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::OpenError;
use crate::store::manifest::Manifest;

/// What sled may keep in memory, in bytes. Its own default is a gigabyte.
const CACHE: u64 = 16 << 20;
/// The manifest's key; no record can have it.
pub(super) const MANIFEST: &[u8] = b"\0manifest";
/// The file that holds the records, and that sled's flush leaves to the system to write.
const DATA: &str = "db";

/// Longest wait for the lock of a handle that was just dropped.
const UNLOCKED: Duration = Duration::from_secs(2);

/// An open store as the thread has it.
pub(super) struct Engine {
    pub(super) db: sled::Db,
    /// Syncing this is what makes a batch last.
    pub(super) data: File,
    pub(super) manifest: Manifest,
}

/// Why what lies there is no usable store.
enum Fault {
    /// Move it aside.
    Damaged(String),
    /// Leave it alone.
    Refused(OpenError),
}

/// Opens what is in `folder`; makes a new store if there is none, or if the one there is damaged.
pub(super) fn open(folder: &Path) -> Result<(Engine, Option<PathBuf>), OpenError> {
    let io = |error| OpenError::Io(folder.to_owned(), error);
    if !folder.try_exists().map_err(io)? {
        return Ok((make(folder)?, None));
    }
    match verified(folder) {
        Ok(engine) => Ok((engine, None)),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Damaged(why)) => {
            let aside = set_aside(folder).map_err(io)?;
            tracing::error!(%why, kept = %aside.display(), "the store is damaged and was set aside; a new one is begun");
            Ok((make(folder)?, Some(aside)))
        }
    }
}

/// Makes an empty store beside its place and moves it there, so that a store that is there always has its manifest.
fn make(folder: &Path) -> Result<Engine, OpenError> {
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let draft = beside(folder, "new");
    if draft.try_exists().map_err(io)? {
        std::fs::remove_dir_all(&draft).map_err(io)?;
    }
    let made = |error: sled::Error| io(std::io::Error::other(error.to_string()));
    let db = config(&draft).open().map_err(made)?;
    db.insert(MANIFEST, Manifest::default().write()).map_err(made)?;
    db.flush().map_err(made)?;
    drop(db);
    File::open(draft.join(DATA)).and_then(|data| data.sync_all()).map_err(io)?;
    File::open(&draft).and_then(|folder| folder.sync_all()).map_err(io)?;
    std::fs::rename(&draft, folder).map_err(io)?;
    match verified(folder) {
        Ok(engine) => Ok(engine),
        Err(Fault::Refused(error)) => Err(error),
        Err(Fault::Damaged(why)) => Err(io(std::io::Error::other(why))),
    }
}

/// Opens the engine, which locks its file. The lock of a handle that was just dropped may outlive it for a moment: a process
/// that is being started has every descriptor until it runs its own program. The engine says so in words only.
fn open_engine(folder: &Path) -> sled::Result<sled::Db> {
    let end = Instant::now() + UNLOCKED;
    loop {
        match config(folder).open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock") && Instant::now() < end =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

fn config(folder: &Path) -> sled::Config {
    // The thread flushes after each batch; nothing is left for a timer to do.
    sled::Config::new().path(folder).cache_capacity(CACHE).flush_every_ms(None)
}

/// A store whose records are those of its manifest. Damaged files can make sled panic.
fn verified(folder: &Path) -> Result<Engine, Fault> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = open_engine(folder).map_err(|error| fault(folder, &error))?;
        let manifest = compare(folder, &db)?;
        Ok((db, manifest))
    }));
    let (db, manifest) = opened.map_err(|_| Fault::Damaged("the engine gave up".to_owned()))??;
    let refused = |error| Fault::Refused(OpenError::Io(folder.to_owned(), error));
    let data = File::open(folder.join(DATA)).map_err(refused)?;
    data.sync_all().map_err(refused)?;
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
    }
    Ok(Engine { db, data, manifest })
}

fn fault(folder: &Path, error: &sled::Error) -> Fault {
    match error {
        sled::Error::Io(io) => match io.kind() {
            // What a damaged file looks like to who reads it.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Fault::Damaged(error.to_string())
            }
            kind => {
                Fault::Refused(OpenError::Io(folder.to_owned(), std::io::Error::new(kind, error.to_string())))
            }
        },
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. } => Fault::Damaged(error.to_string()),
    }
}

fn compare(folder: &Path, db: &sled::Db) -> Result<Manifest, Fault> {
    let read = |error: sled::Error| fault(folder, &error);
    let Some(bytes) = db.get(MANIFEST).map_err(read)? else {
        return Err(Fault::Damaged("the manifest is missing".to_owned()));
    };
    let Some(said) = Manifest::read(&bytes) else {
        let newer = serde_json::from_slice::<serde_json::Value>(&bytes)
            .is_ok_and(|value| value.get("version").is_some());
        return Err(match newer {
            true => Fault::Refused(OpenError::Newer(folder.to_owned())),
            false => Fault::Damaged("the manifest cannot be read".to_owned()),
        });
    };
    let mut found = Manifest { generation: said.generation, ..Manifest::default() };
    for record in db.iter() {
        let (key, value) = record.map_err(read)?;
        if key != MANIFEST {
            found.add(&key, &value);
        }
    }
    match found == said {
        true => Ok(said),
        false => Err(Fault::Damaged(format!(
            "{} records, {} expected, or others than those",
            found.count, said.count
        ))),
    }
}

fn beside(folder: &Path, ending: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.with_file_name(format!("{name}.{ending}"))
}

/// Renames the folder to `<name>.damaged-<UTC time>`.
fn set_aside(folder: &Path) -> std::io::Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let names = std::iter::once(String::new()).chain((2_u32..).map(|n| format!("-{n}")));
    for ending in names.take(1_000) {
        let aside = beside(folder, &format!("damaged-{time}{ending}"));
        if !aside.try_exists()? {
            std::fs::rename(folder, &aside)?;
            if let Some(parent) = folder.parent() {
                File::open(parent)?.sync_all()?;
            }
            return Ok(aside);
        }
    }
    Err(std::io::Error::from(ErrorKind::AlreadyExists))
}
