//! What every store does, and what only one on a disk has to survive.

use std::collections::BTreeMap;
use std::path::Path;

use super::embedded::{Embedded, OpenError, Opened};
use super::memory::Memory;
use super::*;

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key, value.as_bytes().to_vec());
    batch
}

fn open(folder: &Path) -> Embedded {
    let Opened { store, set_aside } = Embedded::open(folder).unwrap();
    assert_eq!(set_aside, None);
    store
}

async fn all(store: &dyn Store) -> BTreeMap<String, Vec<u8>> {
    store.scan("").await.unwrap().into_iter().map(|entry| (entry.key, entry.value)).collect()
}

async fn behaves(store: &dyn Store) {
    assert_eq!((store.generation().await.unwrap(), store.get("a/1").await.unwrap()), (0, None));
    let first = store.write(put("a/1", "x")).await.unwrap();
    let entry = store.get("a/1").await.unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.revision), (&b"x"[..], first));

    let mut both = put("a/2", "y");
    both.put("b/1", b"z".to_vec());
    both.remove("a/1");
    both.expect("a/1", Some(first));
    both.expect("a/2", None);
    let second = store.write(both.clone()).await.unwrap();
    assert!(second > first);
    let keys: Vec<_> = store.scan("a/").await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["a/2"]);

    // What was expected is no longer so: nothing of the batch happens.
    let before = all(store).await;
    both.put("c", b"".to_vec());
    assert_eq!(store.write(both).await, Err(Error::Conflict("a/1".to_owned())));
    assert_eq!(store.write(put("a:b", "")).await, Err(Error::Key));
    assert_eq!(store.write(put("", "")).await, Err(Error::Key));
    assert_eq!(store.write(put(&"k".repeat(LONGEST_KEY + 1), "")).await, Err(Error::Key));
    let large = "v".repeat(LARGEST_VALUE + 1);
    assert_eq!(store.write(put("d", &large)).await, Err(Error::TooLarge("d".to_owned())));
    store.write(put("e", large.strip_prefix('v').unwrap())).await.unwrap();
    let mut after = all(store).await;
    assert_eq!(after.remove("e").map(|value| value.len()), Some(LARGEST_VALUE));
    assert_eq!(after, before);
}

#[tokio::test]
async fn both_stores_keep_to_the_same_rules() {
    behaves(&Memory::default()).await;
    let folder = tempfile::tempdir().unwrap();
    behaves(&open(&folder.path().join("store"))).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    let writes = (0..300).map(|n| store.write(put(&format!("key/{n:03}"), &n.to_string())));
    let generations = futures_util::future::join_all(writes).await;
    let generations: std::collections::BTreeSet<u64> = generations.into_iter().map(Result::unwrap).collect();
    assert!(generations.into_iter().eq(1..=300), "each batch has its own generation");
    let before = all(&store).await;
    drop(store);
    let store = open(&path);
    assert_eq!(all(&store).await, before);
    assert_eq!(store.generation().await.unwrap(), 300);
}

#[tokio::test]
async fn one_process_has_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    assert!(matches!(Embedded::open(&path), Err(OpenError::Io(..))));
    assert!(path.exists(), "a store that is in use is not damaged");
    drop(store);
    open(&path);
}

async fn filled(path: &Path) -> Vec<u8> {
    let store = open(path);
    for n in 0..200 {
        store.write(put(&format!("key/{n:03}"), &format!("value {n} {}", "x".repeat(200)))).await.unwrap();
    }
    drop(store);
    std::fs::read(path.join("db")).unwrap()
}

#[tokio::test]
async fn damage_is_noticed_and_set_aside_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let whole = filled(&path).await;
    let mut noticed = 0;
    for trial in 0..24_usize {
        let mut bytes = whole.clone();
        // Where records lie: the file is longer than what is written of it.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        if trial % 3 == 0 {
            bytes.truncate(end * (trial + 1) / 25);
        } else {
            let at = end * (trial + 1) / 25;
            for byte in &mut bytes[at..(at + 64).min(end)] {
                *byte = !*byte;
            }
        }
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("conf"), "segment_size: 524288\nuse_compression: false\nversion: 0.34\n")
            .unwrap();
        std::fs::write(path.join("db"), &bytes).unwrap();
        match Embedded::open(&path) {
            Ok(Opened { store, set_aside: Some(aside) }) => {
                noticed += 1;
                assert!(aside.join("db").exists(), "what was damaged is kept");
                assert_eq!(store.generation().await.unwrap(), 0);
                std::fs::remove_dir_all(aside).unwrap();
            }
            // Damage that met nothing of worth: then everything is there.
            Ok(Opened { store, set_aside: None }) => {
                assert_eq!(all(&store).await.len(), 200, "trial {trial}")
            }
            Err(error) => panic!("trial {trial}: {error}"),
        }
    }
    assert!(noticed >= 12, "only {noticed} of 24 damages were noticed");
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path));
    let db = sled::Config::new().path(&path).open().unwrap();
    db.insert(b"\0manifest", &br#"{"version":"2","roots":[]}"#[..]).unwrap();
    db.flush().unwrap();
    drop(db);
    assert!(matches!(Embedded::open(&path), Err(OpenError::Newer(_))));
    assert!(path.join("db").exists());
}
