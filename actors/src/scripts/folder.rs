//! The folder of script files: `<slug>.py` for project `default`, `<project>/<slug>.py` for others. Opened relative
//! to the folder and beneath it only, following no links, so that nothing outside is ever read. What a file's text
//! means is in `file`.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use protocol::abi::LARGEST_BODY;
use protocol::actions::script_fetch::Script;
use protocol::channels::script_list::FileError;
use protocol::envelope::Project;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};

use super::catalog::Found;
use super::file;

/// Reads every project.
///
/// # Errors
/// The folder itself cannot be read. A file that cannot is in [`Found::errors`].
pub fn read(root: &Path) -> std::io::Result<Found> {
    let folder: OwnedFd = File::open(root)?.into();
    let mut found = Found::default();
    let projects = read_project(folder.as_fd(), Project::default().as_str(), &mut found)?;
    for name in projects {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(&folder, &name, flags, Mode::empty(), beneath()) {
            Ok(folder) => {
                read_project(folder.as_fd(), &name, &mut found)?;
            }
            Err(why) => {
                found.errors.push((name.clone(), FileError { file: String::new(), problem: why.to_string() }))
            }
        }
    }
    Ok(found)
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// Reads the files of one project; gives the names of folders beside them that can be projects.
fn read_project(folder: BorrowedFd<'_>, project: &str, found: &mut Found) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str().map(str::to_owned) else {
            let problem = "the name is not UTF-8".to_owned();
            found.errors.push((project.to_owned(), FileError { file: String::new(), problem }));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".py") {
            files.push(name);
        } else if is_folder(folder, &name)
            && Project::new(&name).is_some()
            && name != Project::default().as_str()
        {
            folders.push(name);
        }
    }
    files.sort();
    let mut taken = Taken::default();
    for name in files {
        match read_file(folder, &name) {
            Ok(text) => {
                let stem = name.strip_suffix(".py").unwrap_or(&name);
                found.scripts.push(taken.claim(project, &file::slug(stem), &text));
            }
            Err(problem) => found.errors.push((project.to_owned(), FileError { file: name, problem })),
        }
    }
    folders.sort();
    Ok(folders)
}

fn is_folder(folder: BorrowedFd<'_>, name: &str) -> bool {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Reads a regular file with one name, at most 1 MiB of UTF-8.
fn read_file(folder: BorrowedFd<'_>, name: &str) -> Result<String, String> {
    // Without NONBLOCK, opening a FIFO would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = openat2(folder, name, flags, Mode::empty(), beneath()).map_err(|why| match why {
        rustix::io::Errno::LOOP => "a link: scripts are plain files".to_owned(),
        other => other.to_string(),
    })?;
    let file = File::from(fd);
    let metadata = file.metadata().map_err(|why| why.to_string())?;
    if !metadata.is_file() {
        return Err("not a plain file".to_owned());
    }
    if std::os::unix::fs::MetadataExt::nlink(&metadata) != 1 {
        return Err("a file with several names (hard links)".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_BODY as u64 + 1).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() > LARGEST_BODY {
        return Err("larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// Slugs and ids that files before this one have.
#[derive(Default)]
struct Taken {
    slugs: HashSet<String>,
    ids: HashSet<protocol::Id>,
}

impl Taken {
    /// The script of a file; a slug that is taken gets `_2`, `_3`, an id that is taken gives way to that of its place.
    fn claim(&mut self, project: &str, wanted: &str, text: &str) -> Script {
        let numbered = (2_u32..).map(|n| format!("{wanted}_{n}"));
        let free = std::iter::once(wanted.to_owned()).chain(numbered).find(|slug| !self.slugs.contains(slug));
        let slug = free.unwrap_or_else(|| wanted.to_owned());
        let mut script = file::script(project, &slug, text);
        if self.ids.contains(&script.record.id) {
            script.record.id = file::script(project, &slug, "").record.id;
        }
        self.ids.insert(script.record.id);
        self.slugs.insert(slug);
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_project_per_folder_and_nothing_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.py"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("blog")).unwrap();
        std::fs::write(path("a.py"), "x = 1").unwrap();
        std::fs::write(path("blog/a.py"), "x = 2").unwrap();
        std::fs::write(path("notes.txt"), "no script").unwrap();
        std::fs::write(path("large.py"), vec![b'#'; LARGEST_BODY + 1]).unwrap();
        std::fs::write(path("binary.py"), [0xff, 0xfe]).unwrap();
        std::fs::write(path("twice.py"), "x").unwrap();
        std::fs::hard_link(path("twice.py"), path("again.py")).unwrap();
        symlink(outside.path().join("secret.py"), path("link.py")).unwrap();
        symlink(outside.path(), path("linked")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe.py"), Mode::RUSR).unwrap();
        let found = read(root.path()).unwrap();
        let scripts: Vec<_> =
            found.scripts.iter().map(|s| (s.record.project.as_str(), s.body.as_str())).collect();
        assert_eq!(scripts, [("default", "x = 1"), ("blog", "x = 2")]);
        let mut errors: Vec<_> = found.errors.iter().map(|(_, error)| error.file.as_str()).collect();
        errors.sort_unstable();
        assert_eq!(errors, ["again.py", "binary.py", "large.py", "link.py", "pipe.py", "twice.py"]);
    }

    #[test]
    fn names_that_clash_get_a_number_and_ids_that_clash_a_new_one() {
        let root = tempfile::tempdir().unwrap();
        let text = "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000001\"\n---\n\"\"\"\n";
        std::fs::write(root.path().join("A b.py"), text).unwrap();
        std::fs::write(root.path().join("a_b.py"), text).unwrap();
        let scripts = read(root.path()).unwrap().scripts;
        assert_eq!([scripts[0].record.slug.as_str(), scripts[1].record.slug.as_str()], ["a_b", "a_b_2"]);
        assert_ne!(scripts[0].record.id, scripts[1].record.id);
    }
}
