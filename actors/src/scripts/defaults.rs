//! The default scripts, part of the program, and how a new folder gets them. Their texts live in `scripts/` of the
//! repository.

use std::path::Path;

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

/// Makes the folder with the default scripts in it. A folder that is there is the user's and left as it is.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn seed(root: &Path) -> std::io::Result<()> {
    if root.exists() {
        return Ok(());
    }
    let parent = root.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    // The folder appears with all its files or not at all: a half-seeded one would be taken for the user's.
    let staging = tempfile::Builder::new().prefix(".scripts-").tempdir_in(parent)?;
    for (name, text) in BUNDLE {
        std::fs::write(staging.path().join(name), text)?;
    }
    std::fs::rename(staging.keep(), root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::file;

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
    fn a_folder_that_is_there_is_left_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().join("scripts");
        seed(&root).unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), BUNDLE.len());
        std::fs::remove_file(root.join("vimeo.py")).unwrap();
        seed(&root).unwrap();
        assert!(!root.join("vimeo.py").exists());
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1);
    }
}
