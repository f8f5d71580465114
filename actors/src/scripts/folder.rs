//! The folder of script files: `<slug>.py` for project `default`, `<project>/<slug>.py` for others. Opened relative
//! to the folder and beneath it only, following no links, so that nothing outside is ever read. Writing is in `folder::write`;
//! what a file's text means is in `file`.

pub mod write;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use protocol::abi::LARGEST_BODY;
use protocol::channels::script_list::FileError;
use protocol::envelope::Project;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, statat};

use crate::store::objects::hash;

/// A file whose last change is not older than this when it is read may change again without a trace in its stamp.
pub const FRESH: Duration = Duration::from_secs(2);
/// Longest name of a file, in bytes: what its slug and a suffix can make of it must be a name as well.
const LONGEST_NAME: usize = 255;

/// What tells a file from the one that was read, as far as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// A file as it was read the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// SHA-256 of its whole text.
    pub hash: String,
    /// Its stamp, if an equal one proves that nothing has changed.
    pub stamp: Option<Stamp>,
}

/// What is known of files, by project and name.
pub type Known = HashMap<String, HashMap<String, KnownFile>>;

/// A script file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name in the project's folder.
    pub file: String,
    /// SHA-256 of its whole text.
    pub hash: String,
    /// Its text; `None` if it is the one that is known.
    pub text: Option<String>,
    /// Its stamp, if an equal one will prove that nothing has changed; `None` if it was changed a moment ago.
    pub stamp: Option<Stamp>,
}

/// The files of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Whose.
    pub project: String,
    /// Script files, by name.
    pub seen: Vec<Seen>,
    /// Files that cannot be taken as scripts.
    pub errors: Vec<FileError>,
    /// Whether the folder could be read; if not, nothing is said about what is in it.
    pub read: bool,
}

/// Reads every project. Texts of files that are as `known` are left out; with `trust` a file whose stamp is known is not even
/// opened.
///
/// # Errors
/// The folder itself cannot be read. A file that cannot is in [`Files::errors`].
pub fn read(root: &Path, known: &Known, trust: bool) -> std::io::Result<Vec<Files>> {
    let folder = root_of(root)?;
    let (first, beside) = read_project(folder.as_fd(), Project::default().as_str(), known, trust)?;
    let mut all = vec![first];
    let unread = |project: String, problem: String| {
        let error = FileError { file: String::new(), problem };
        Files { project, seen: Vec::new(), errors: vec![error], read: false }
    };
    all.extend(
        beside.links.into_iter().map(|name| unread(name, "a link: projects are plain folders".to_owned())),
    );
    for name in beside.folders {
        let files = open_beneath(folder.as_fd(), &name)
            .and_then(|folder| read_project(folder.as_fd(), &name, known, trust));
        all.push(match files {
            Ok((files, _)) => files,
            Err(why) => unread(name, why.to_string()),
        });
    }
    Ok(all)
}

/// What lies in the place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    Free,
    /// A text, by its SHA-256.
    Text(String),
    /// Something that is no script file.
    Unreadable,
}

/// What lies in the place of a project's file now.
///
/// # Errors
/// The folder cannot be read.
pub fn place(root: &Path, project: &str, file: &str) -> std::io::Result<Place> {
    let Some(folder) = of_project(root, project)? else { return Ok(Place::Free) };
    match statat(&folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => Ok(Place::Free),
        _ => Ok(read_file(folder.as_fd(), file)
            .map_or(Place::Unreadable, |(text, _)| Place::Text(hash(text.as_bytes())))),
    }
}

/// The text of a project's file, if it can be read.
#[must_use]
pub fn text(root: &Path, project: &str, file: &str) -> Option<String> {
    let folder = of_project(root, project).ok()??;
    read_file(folder.as_fd(), file).ok().map(|(text, _)| text)
}

fn of_project(root: &Path, project: &str) -> std::io::Result<Option<OwnedFd>> {
    let folder = root_of(root)?;
    if project == Project::default().as_str() {
        return Ok(Some(folder));
    }
    match open_beneath(folder.as_fd(), project) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn root_of(root: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}

fn open_beneath(folder: BorrowedFd<'_>, name: &str) -> std::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat2(folder, name, flags, Mode::empty(), beneath())?)
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// What lies beside a project's files and bears the name of a project.
#[derive(Default)]
struct Beside {
    folders: Vec<String>,
    links: Vec<String>,
}

/// Reads the files of one project; gives what lies beside them as well.
fn read_project(
    folder: BorrowedFd<'_>,
    project: &str,
    known: &Known,
    trust: bool,
) -> std::io::Result<(Files, Beside)> {
    let mut names = Vec::new();
    let mut beside = Beside::default();
    let mut files = Files { project: project.to_owned(), seen: Vec::new(), errors: Vec::new(), read: true };
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str().map(str::to_owned) else {
            let file = entry.file_name().to_string_lossy().into_owned();
            files.errors.push(FileError { file, problem: "the name is not UTF-8".to_owned() });
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".py") {
            names.push(name);
        } else if is_folder(folder, &name)
            && Project::new(&name).is_some()
            && name != Project::default().as_str()
        {
            beside.folders.push(name);
        } else if is_link(folder, &name) && Project::new(&name).is_some() {
            // Not gone, and not ours to follow.
            beside.links.push(name);
        }
    }
    names.sort();
    beside.folders.sort();
    let known = known.get(project);
    let now = SystemTime::now();
    for name in names {
        let before = known.and_then(|known| known.get(&name));
        match look(folder, &name, before, trust, now) {
            Ok(seen) => files.seen.push(seen),
            Err(problem) => files.errors.push(FileError { file: name, problem }),
        }
    }
    Ok((files, beside))
}

fn is_folder(folder: BorrowedFd<'_>, name: &str) -> bool {
    kind(folder, name) == Some(FileType::Directory)
}

fn is_link(folder: BorrowedFd<'_>, name: &str) -> bool {
    kind(folder, name) == Some(FileType::Symlink)
}

fn kind(folder: BorrowedFd<'_>, name: &str) -> Option<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn look(
    folder: BorrowedFd<'_>,
    name: &str,
    before: Option<&KnownFile>,
    trust: bool,
    now: SystemTime,
) -> Result<Seen, String> {
    if let Some(KnownFile { hash, stamp: Some(stamp) }) = before.filter(|_| trust) {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|why| why.to_string())?;
        if stamp_of(&stat) == *stamp {
            return Ok(Seen { file: name.to_owned(), hash: hash.clone(), text: None, stamp: Some(*stamp) });
        }
    }
    let (text, stat) = read_file(folder, name)?;
    let hash = hash(text.as_bytes());
    let stamp = Some(stamp_of(&stat)).filter(|stamp| is_settled(stamp, now));
    let text = Some(text).filter(|_| before.is_none_or(|before| before.hash != hash));
    Ok(Seen { file: name.to_owned(), hash, text, stamp })
}

fn stamp_of(stat: &Stat) -> Stamp {
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "the widths differ between machines"
    )]
    let nanos = |n| u64::try_from(n).unwrap_or(0);
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size,
        modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
        changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
    }
}

/// Whether the file's last change is so long ago that another one would show.
fn is_settled(stamp: &Stamp, now: SystemTime) -> bool {
    let seconds =
        now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(FRESH).as_secs();
    i64::try_from(seconds).is_ok_and(|seconds| stamp.changed.0 < seconds)
}

/// Reads a regular file with one name, at most 1 MiB of UTF-8.
fn read_file(folder: BorrowedFd<'_>, name: &str) -> Result<(String, Stat), String> {
    if name.len() > LONGEST_NAME {
        return Err("the name is too long".to_owned());
    }
    let (file, stat) = open_plain(folder, name).map_err(|why| match why {
        Unusable::System(rustix::io::Errno::LOOP) => "a link: scripts are plain files".to_owned(),
        Unusable::System(other) => other.to_string(),
        Unusable::NotPlain => "not a plain file".to_owned(),
        Unusable::ManyNames => "a file with several names (hard links)".to_owned(),
    })?;
    let mut bytes = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or(0).min(LARGEST_BODY) + 1);
    file.take(LARGEST_BODY as u64 + 1).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() > LARGEST_BODY {
        return Err("larger than 1 MiB".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    Ok((text, stat))
}

/// Why a file is not opened.
enum Unusable {
    System(rustix::io::Errno),
    NotPlain,
    ManyNames,
}

fn open_plain(folder: BorrowedFd<'_>, name: &str) -> Result<(File, Stat), Unusable> {
    // Without NONBLOCK, opening a FIFO would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = openat2(folder, name, flags, Mode::empty(), beneath()).map_err(Unusable::System)?;
    let stat = fstat(&fd).map_err(Unusable::System)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Unusable::NotPlain);
    }
    if stat.st_nlink != 1 {
        return Err(Unusable::ManyNames);
    }
    Ok((File::from(fd), stat))
}

#[cfg(test)]
mod tests;
