//! What to do about one script, given its file, its record, and the file as both sides last knew it. Pure: the same three always
//! lead to the same decision. Which file belongs to which script is `plan::identity`; what a decision makes of records
//! and files is `plan::steps`.

pub mod identity;
pub mod steps;

use super::disk::Base;

/// The file of a script, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSide<'a> {
    /// There is none.
    Absent,
    /// Something is there that cannot be read: nothing is known, so nothing is done.
    Unreadable,
    /// It is there.
    Found {
        /// Its name.
        file: &'a str,
        /// SHA-256 of its whole text.
        hash: &'a str,
    },
}

/// The record of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSide<'a> {
    /// The name that its file should have.
    pub file: &'a str,
    /// SHA-256 of the text that its file should have.
    pub hash: &'a str,
    /// Whether its file was deleted, and it with it.
    pub gone: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Both sides are as they were.
    Nothing,
    /// The file is the current version; where `conflict`, what the index has stays in the history.
    TakeFile {
        /// Whether the index had changed too.
        conflict: bool,
    },
    /// The file bears another name, and nothing else has changed: the script takes its slug from it.
    TakeName,
    /// The file gets the index's text, and its name from `from` to `to`.
    WriteFile {
        /// The name it has; `None` if there is none.
        from: Option<String>,
        /// The name it gets.
        to: String,
    },
    /// Both sides are the same, which is yet to be noted.
    Settle,
    /// The file was deleted: the script is off, and keeps its history.
    Disable {
        /// Whether the index had changed too.
        conflict: bool,
    },
}

/// Decides. The file wins where only it has changed, the index where only it has; where both have, the file wins and the index's
/// version stays in the history.
#[must_use]
pub fn decide(base: Option<&Base>, file: FileSide<'_>, index: IndexSide<'_>) -> Action {
    match (base, file) {
        (_, FileSide::Unreadable) => Action::Nothing,
        (None, FileSide::Absent) if index.gone => Action::Nothing,
        (None, FileSide::Absent) => Action::WriteFile { from: None, to: index.file.to_owned() },
        (None, FileSide::Found { .. }) if index.gone => Action::TakeFile { conflict: false },
        (None, FileSide::Found { hash, .. }) if hash == index.hash => Action::Settle,
        (None, FileSide::Found { .. }) => Action::TakeFile { conflict: true },
        (Some(base), FileSide::Absent) => Action::Disable { conflict: base.hash != index.hash },
        (Some(base), FileSide::Found { file, hash }) => {
            let changed = hash != base.hash;
            let moved = file != base.file;
            match index.hash != base.hash {
                false if changed => Action::TakeFile { conflict: false },
                false if moved => Action::TakeName,
                false => Action::Nothing,
                true if hash == index.hash && (!moved || file == index.file) => Action::Settle,
                true if hash == index.hash => Action::TakeName,
                true if changed => Action::TakeFile { conflict: true },
                // We were to rename it, and the node ended before it could write; or nobody has touched it.
                true if !moved || file == index.file => {
                    Action::WriteFile { from: Some(file.to_owned()), to: index.file.to_owned() }
                }
                // Somebody renamed it while the index changed: the text is the index's, the name the file's. The name is
                // taken when the texts are the same.
                true => Action::WriteFile { from: Some(file.to_owned()), to: file.to_owned() },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base, file and index as single letters: the text; a file's name is `a` unless a letter follows.
    fn decided(base: &str, file: &str, index: &str) -> Action {
        let base = (!base.is_empty()).then(|| Base { file: "a.py".into(), hash: base.into() });
        let file = match file.split_once('@') {
            _ if file.is_empty() => FileSide::Absent,
            _ if file == "?" => FileSide::Unreadable,
            Some((hash, name)) => FileSide::Found { file: name, hash },
            None => FileSide::Found { file: "a.py", hash: file },
        };
        let gone = index.ends_with('!');
        let (hash, name) = index.trim_end_matches('!').split_once('@').unwrap_or((index, "a.py"));
        decide(base.as_ref(), file, IndexSide { file: name, hash, gone })
    }

    fn write(from: &str, to: &str) -> Action {
        Action::WriteFile { from: (!from.is_empty()).then(|| from.into()), to: to.into() }
    }

    #[test]
    fn every_case_has_its_decision() {
        let take = |conflict| Action::TakeFile { conflict };
        for (base, file, index, expected) in [
            // Only one side has changed, or none.
            ("1", "1", "1", Action::Nothing),
            ("1", "2", "1", take(false)),
            ("1", "1", "2", write("a.py", "a.py")),
            ("1", "", "1", Action::Disable { conflict: false }),
            ("1", "1@b.py", "1", Action::TakeName),
            ("1", "2@b.py", "1", take(false)),
            ("1", "1", "2@b.py", write("a.py", "b.py")),
            // Both.
            ("1", "2", "2", Action::Settle),
            ("1", "2", "3", take(true)),
            ("1", "2@b.py", "3", take(true)),
            ("1", "", "2", Action::Disable { conflict: true }),
            ("1", "1@b.py", "2", write("b.py", "b.py")),
            ("1", "2@b.py", "2", Action::TakeName),
            ("1", "1@c.py", "2@b.py", write("c.py", "c.py")),
            // A node that ended while it wrote.
            ("1", "1@b.py", "2@b.py", write("b.py", "b.py")),
            ("1", "2@b.py", "2@b.py", Action::Settle),
            ("", "", "1", write("", "a.py")),
            ("", "1", "1", Action::Settle),
            ("", "2", "1", take(true)),
            // Scripts whose files were deleted.
            ("", "", "1!", Action::Nothing),
            ("", "1", "1!", take(false)),
            ("", "2@b.py", "1!", take(false)),
            // What cannot be read is neither deleted nor changed.
            ("1", "?", "1", Action::Nothing),
            ("1", "?", "2", Action::Nothing),
            ("", "?", "1", Action::Nothing),
        ] {
            assert_eq!(decided(base, file, index), expected, "base {base:?}, file {file:?}, index {index:?}");
        }
    }
}
