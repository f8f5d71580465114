//! Writing script files: whole or not at all, beneath the folder, through no link, and only over the text that one knows of. A
//! save that somebody made in the meantime is put back: the new file and the old one change places, and the old one is looked at
//! before it goes.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use protocol::envelope::Project;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::{Stamp, open_beneath, open_plain, read_file, root_of, stamp_of};
use crate::store::objects::hash;

/// Names of files that are being written begin with this; a crash can leave one.
pub const DRAFT: &str = ".callboard-";
/// From this many files on, the file system is synced once instead of each file.
const MANY: usize = 16;
/// How often two can save a file at the same time before we give way.
const ROUNDS: usize = 10_000;

/// What is to happen to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whose.
    pub project: String,
    /// The name it has, if there is one to be renamed first.
    pub from: Option<String>,
    /// The name it gets.
    pub to: String,
    /// SHA-256 of the text that may be replaced; `None` if no file may be there.
    pub expected: Option<String>,
    /// The new text; `None` removes the file.
    pub text: Option<String>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and on disk.
    Done,
    /// The file is not the one that was expected; it was left as it is.
    Changed,
    /// The system refuses.
    Failed(String),
}

/// Carries orders out. When this returns, what is done survives the loss of power.
#[must_use]
pub fn carry_out(root: &Path, orders: &[Order]) -> Vec<Outcome> {
    let many = orders.len() >= MANY;
    let prepared: Vec<std::io::Result<Prepared>> =
        orders.iter().map(|order| prepare(root, order, !many)).collect();
    let synced = if many { sync_all(root) } else { Ok(()) };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (order, prepared) in orders.iter().zip(prepared) {
        let placed = match (&synced, prepared) {
            (Ok(()), Ok(prepared)) => place(&prepared, order).and_then(|done| {
                if !many {
                    rustix::fs::fsync(&prepared.folder)?;
                }
                Ok(done)
            }),
            (Err(error), _) => Err(std::io::Error::new(error.kind(), error.to_string())),
            (Ok(()), Err(error)) => Err(error),
        };
        outcomes.push(match placed {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Changed,
            Err(error) => Outcome::Failed(error.to_string()),
        });
    }
    if many && let Err(error) = sync_all(root) {
        outcomes.fill(Outcome::Failed(error.to_string()));
    }
    outcomes
}

fn sync_all(root: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(root_of(root)?)?)
}

/// A draft beside its place; it goes away when this is dropped.
struct Prepared {
    folder: OwnedFd,
    draft: String,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _gone = unlinkat(&self.folder, &self.draft, AtFlags::empty());
    }
}

fn prepare(root: &Path, order: &Order, sync: bool) -> std::io::Result<Prepared> {
    let folder = project_folder(root, &order.project, order.text.is_some())?;
    let draft = format!("{DRAFT}{}", protocol::Id::generate());
    let prepared = Prepared { folder, draft };
    if let Some(text) = &order.text {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&prepared.folder, &prepared.draft, flags, Mode::from_raw_mode(0o644))?;
        let old = order.from.as_ref().unwrap_or(&order.to);
        if let Ok((_, stat)) = open_plain(prepared.folder.as_fd(), old) {
            fchmod(&fd, Mode::from_raw_mode(stat.st_mode & 0o777))?;
        }
        let mut file = File::from(fd);
        file.write_all(text.as_bytes())?;
        if sync {
            file.sync_all()?;
        }
    }
    Ok(prepared)
}

/// The folder of a project, made if `make` says so and it is not there.
fn project_folder(root: &Path, project: &str, make: bool) -> std::io::Result<OwnedFd> {
    let folder = root_of(root)?;
    if project == Project::default().as_str() {
        return Ok(folder);
    }
    let name = Project::new(project).ok_or(std::io::ErrorKind::InvalidInput)?;
    if make {
        match mkdirat(&folder, name.as_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) => rustix::fs::fsync(&folder)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    open_beneath(folder.as_fd(), name.as_str())
}

/// Whether it could be done without taking anybody's work away.
fn place(prepared: &Prepared, order: &Order) -> std::io::Result<bool> {
    let folder = prepared.folder.as_fd();
    if !is_name(&order.to) || order.from.as_deref().is_some_and(|from| !is_name(from)) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let Some(expected) = &order.expected else {
        return match renameat_with(folder, &prepared.draft, folder, &order.to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        };
    };
    if let Some(from) = order.from.as_ref().filter(|from| **from != order.to) {
        match renameat_with(folder, from, folder, &order.to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST | Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    match order.text {
        Some(_) => exchange(folder, &prepared.draft, &order.to, expected),
        None => take_away(folder, &prepared.draft, &order.to, expected),
    }
}

/// Names that a file of ours can have.
fn is_name(name: &str) -> bool {
    name.ends_with(".py") && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn is(folder: BorrowedFd<'_>, name: &str, expected: &str) -> bool {
    read_file(folder, name).is_ok_and(|(text, _)| hash(text.as_bytes()) == expected)
}

/// Puts the draft in the place of `name`, unless that has another text than the expected one.
fn exchange(folder: BorrowedFd<'_>, draft: &str, name: &str, expected: &str) -> std::io::Result<bool> {
    let ours = match read_file(folder, draft) {
        Ok((text, _)) => hash(text.as_bytes()),
        Err(problem) => return Err(std::io::Error::other(problem)),
    };
    match renameat_with(folder, draft, folder, name, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(false),
        // A file system that cannot exchange: look first, then replace.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            return match is(folder, name, expected) {
                true => Ok(renameat(folder, draft, folder, name).map(|()| true)?),
                false => Ok(false),
            };
        }
        Err(error) => return Err(error.into()),
    }
    if is(folder, draft, expected) {
        unlinkat(folder, draft, AtFlags::empty())?;
        return Ok(true);
    }
    put_back(folder, draft, name, ours)?;
    Ok(false)
}

/// Somebody saved in the meantime. What lies under the draft's name is theirs and goes back; if what comes out then is not what
/// was put in, they have saved once more, and that goes back in its turn.
fn put_back(folder: BorrowedFd<'_>, draft: &str, name: &str, ours: String) -> std::io::Result<()> {
    let mut put_in = Some(Content::Text(ours));
    let mut theirs = content(folder, draft);
    for _ in 0..ROUNDS {
        match renameat_with(folder, draft, folder, name, RenameFlags::EXCHANGE) {
            Ok(()) => {
                let came_out = content(folder, draft);
                if came_out == put_in {
                    return Ok(());
                }
                put_in = std::mem::replace(&mut theirs, came_out);
            }
            Err(Errno::NOENT) => {
                return match renameat_with(folder, draft, folder, name, RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => keep(folder, draft),
                    put_back => Ok(put_back?),
                };
            }
            Err(error) => {
                keep(folder, draft)?;
                return Err(error.into());
            }
        }
    }
    keep(folder, draft)
}

/// What tells a file from one that was saved over it.
#[derive(PartialEq, Eq)]
enum Content {
    /// SHA-256 of its text.
    Text(String),
    /// Of what has no text for us (another encoding, too large, a link), without the time at which it got its name.
    Other(Stamp),
}

fn content(folder: BorrowedFd<'_>, name: &str) -> Option<Content> {
    if let Ok((text, _)) = read_file(folder, name) {
        return Some(Content::Text(hash(text.as_bytes())));
    }
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(Content::Other(Stamp { changed: (0, 0), ..stamp_of(&stat) }))
}

/// Removes `name`, unless it has another text than the expected one.
fn take_away(folder: BorrowedFd<'_>, aside: &str, name: &str, expected: &str) -> std::io::Result<bool> {
    match renameat_with(folder, name, folder, aside, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    if is(folder, aside, expected) {
        unlinkat(folder, aside, AtFlags::empty())?;
        return Ok(true);
    }
    match renameat_with(folder, aside, folder, name, RenameFlags::NOREPLACE) {
        // A new file is there already: both stay.
        Err(Errno::EXIST) => keep(folder, aside).map(|()| false),
        put_back => put_back.map(|()| false).map_err(Into::into),
    }
}

/// Gives a file of ours a name under which it is seen.
fn keep(folder: BorrowedFd<'_>, draft: &str) -> std::io::Result<()> {
    for n in 1..1_000_u32 {
        match renameat_with(folder, draft, folder, format!("recovered_{n}.py"), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            kept => return Ok(kept?),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

/// Clears what a crash has left in the folder of a project: drafts whose text `is_known` elsewhere go, any other one is given a
/// name under which it is seen.
///
/// # Errors
/// The folder cannot be used.
pub fn clear_drafts(root: &Path, project: &str, is_known: &dyn Fn(&str) -> bool) -> std::io::Result<()> {
    let folder = project_folder(root, project, false)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&folder)? {
        names.extend(
            entry?.file_name().to_str().ok().filter(|name| name.starts_with(DRAFT)).map(str::to_owned),
        );
    }
    for name in names {
        match read_file(folder.as_fd(), &name) {
            Ok((text, _)) if !is_known(&text) => keep(folder.as_fd(), &name)?,
            _ => unlinkat(&folder, &name, AtFlags::empty())?,
        }
    }
    Ok(())
}
