//! The default scripts, part of the program, and how a folder gets them. Their texts live in `scripts/` of the
//! repository; what a folder has been given is noted in a file of its own there.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use super::file;

/// Notes the hash of each default that the folder was given, by file name.
const GIVEN: &str = ".defaults.json";

/// File name and text of each.
pub const BUNDLE: [(&str, &str); 7] = [
    ("clean_bookmark.py", include_str!("../../../scripts/clean_bookmark.py")),
    ("gallery.py", include_str!("../../../scripts/gallery.py")),
    ("photo_archive.py", include_str!("../../../scripts/photo_archive.py")),
    ("tag_cloud.py", include_str!("../../../scripts/tag_cloud.py")),
    ("vimeo.py", include_str!("../../../scripts/vimeo.py")),
    ("word_count.py", include_str!("../../../scripts/word_count.py")),
    ("youtube.py", include_str!("../../../scripts/youtube.py")),
];

/// Gives a folder the defaults that it was never given, and the newer text of those that nobody has touched. One
/// that the user changed or deleted stays as it is.
///
/// # Errors
/// The folder or a file cannot be written, or the note of what was given cannot be read.
pub fn seed(root: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(root)?;
    let before = read_given(root)?;
    let mut given = before.clone();
    for (name, text) in BUNDLE {
        let newest = file::hash(text);
        let path = root.join(name);
        let write = match given.get(name) {
            None => !path.try_exists()?,
            Some(old) if *old == newest => continue,
            Some(old) => std::fs::read_to_string(&path).is_ok_and(|found| file::hash(&found) == *old),
        };
        if write {
            replace(root, name, text)?;
        }
        given.insert(name.to_owned(), newest);
    }
    if given != before {
        replace(root, GIVEN, &serde_json::to_string_pretty(&given)?)?;
    }
    Ok(())
}

fn read_given(root: &Path) -> std::io::Result<BTreeMap<String, String>> {
    match std::fs::read(root.join(GIVEN)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Writes a file whole or not at all.
fn replace(root: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let mut staged = tempfile::Builder::new().prefix(".").tempfile_in(root)?;
    staged.write_all(text.as_bytes())?;
    staged.as_file().sync_all()?;
    staged.persist(root.join(name))?;
    std::fs::File::open(root)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_has_its_metadata() {
        for (name, text) in BUNDLE {
            let stem = name.strip_suffix(".py").unwrap();
            let script = file::script("default", stem, text);
            assert!(file::parts(text).metadata.contains(&format!("slug: \"{stem}\"")), "{name}");
            assert!(file::parts(text).metadata.contains(&script.record.id.to_string()), "{name}");
            assert!(script.record.title != stem && script.record.enabled, "{name}");
        }
    }

    #[test]
    fn what_the_user_deleted_or_changed_stays_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("gallery.py"), "mine").unwrap();
        seed(folder.path()).unwrap();
        std::fs::remove_file(path("vimeo.py")).unwrap();
        std::fs::write(path("youtube.py"), "changed").unwrap();
        seed(folder.path()).unwrap();
        assert!(!path("vimeo.py").exists());
        assert_eq!(std::fs::read_to_string(path("youtube.py")).unwrap(), "changed");
        assert_eq!(std::fs::read_to_string(path("gallery.py")).unwrap(), "mine");
        assert!(path("tag_cloud.py").exists());
    }

    #[test]
    fn an_older_default_that_nobody_touched_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vimeo.py");
        std::fs::write(&path, "older").unwrap();
        let given = BTreeMap::from([("vimeo.py", file::hash("older")), ("youtube.py", file::hash("older"))]);
        std::fs::write(folder.path().join(GIVEN), serde_json::to_vec(&given).unwrap()).unwrap();
        seed(folder.path()).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("slug: \"vimeo\""));
        assert!(!folder.path().join("youtube.py").exists(), "deleted by the user");
    }
}
