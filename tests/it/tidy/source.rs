//! The files that rules look at, with the few views of them that rules need.

use std::path::Path;

use harness::tools;

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 4] = [".git", "target", "__pycache__", ".callboard"];
/// Kinds of files that are read.
const READ: [&str; 9] = ["rs", "py", "md", "toml", "conf", "service", "yaml", "json", "sh"];

/// A file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// From the repository's folder, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// Whether it is compiled for tests only.
    test: bool,
}

impl Source {
    /// A file that may exist only here.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), test: false }
    }

    /// Whether its name ends in one of these.
    pub(crate) fn is(&self, endings: &[&str]) -> bool {
        let ending = self.path.rsplit_once('.').map_or("", |(_, ending)| ending);
        endings.contains(&ending)
    }

    /// Whether it lies at, or below, one of these. `a/b` stands for the file `a/b.rs` and the folder `a/b/`.
    pub(crate) fn lies_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']) || place.ends_with('/'))
        })
    }

    /// The lines of Rust that do something, numbered from 1: no comments, and nothing from the file's own tests on, which
    /// come last by our convention.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let opens =
            |(at, _): &(usize, &str)| self.text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{'));
        let own_tests = self.text.match_indices("#[cfg(test)]\nmod ").find(opens);
        let end = if self.test { 0 } else { own_tests.map_or(self.text.len(), |(at, _)| at) };
        let product = &self.text[..end];
        product.lines().enumerate().filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or_default();
            (!code.trim().is_empty()).then_some((index + 1, code))
        })
    }

    /// The files of modules that it declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => folder,
            _ => stem,
        };
        let declared = self.text.split("#[cfg(test)]\nmod ").skip(1);
        let names = declared.filter_map(|rest| rest.lines().next()?.strip_suffix(';'));
        names.map(|name| format!("{folder}/{name}.rs")).collect()
    }

    /// The first token of its path below `folder`, without its ending: `worker` for `actors/src/worker/cell.rs`.
    pub(crate) fn module_in(&self, folder: &str) -> Option<&str> {
        self.path.strip_prefix(folder)?.split(['/', '.']).next()
    }
}

/// Every file of the repository that is read.
pub(crate) fn repository() -> Vec<Source> {
    let root = tools::repository();
    let mut files = Vec::new();
    gather(&root, &root, &mut files);
    let tests: Vec<String> = files.iter().flat_map(Source::test_modules).collect();
    files.iter_mut().for_each(|file| file.test = tests.contains(&file.path));
    assert!(files.len() > 50, "only {} files found: looked in the wrong folder", files.len());
    files
}

fn gather(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type().expect("a type").is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                gather(root, &path, files);
            }
            continue;
        }
        let ours = Source::new(&path.strip_prefix(root).expect("below").to_string_lossy(), "");
        if ours.is(&READ) || name == "Makefile" {
            // A file can go between the listing and the reading, as editors' drafts do.
            if let Ok(text) = std::fs::read_to_string(&path) {
                files.push(Source { text, ..ours });
            }
        }
    }
}
