//! Bodies that nobody needs any more. A deleted script takes its history along; the bodies of it stay among the objects for a
//! month, for who has a copy of the store from before, and go at a start after that. Only bodies that a deletion has left are
//! looked at: where a store was lost or set aside, nothing points at the bodies of its scripts either, and they must stay.

use std::collections::BTreeSet;

use super::{AT_ONCE, Error, Library, off_thread};
use crate::scripts::disk::{self, Left, Script, Version};
use crate::store::Batch;

/// How long a body stays that a deletion has left, in ms: 30 days.
pub const STAYS_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

impl Library {
    /// Removes bodies that a deletion has left long before `now`, in ms since the epoch, and that no script, no version
    /// and no default points at; how many those were. Nothing else may be put among the objects meanwhile.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn collect(&self, now: u64) -> Result<usize, Error> {
        let _alone = self.alone().await?;
        let mut due: BTreeSet<String> = BTreeSet::new();
        for entry in self.store.scan(disk::LEFT).await? {
            let left: Left = disk::read(&entry.key, &entry.value)?;
            if left.at.saturating_add(STAYS_MS) <= now {
                due.extend(entry.key.strip_prefix(disk::LEFT).map(str::to_owned));
            }
        }
        if due.is_empty() {
            return Ok(0);
        }
        let mut useless = due.clone();
        for entry in self.store.scan(disk::SCRIPTS).await? {
            let script: Script = disk::read(&entry.key, &entry.value)?;
            useless.remove(&script.record.content_hash);
        }
        for entry in self.store.scan(disk::VERSIONS).await? {
            let version: Version = disk::read(&entry.key, &entry.value)?;
            useless.remove(&version.record.content_hash);
        }
        self.given.borrow().values().for_each(|given| {
            useless.remove(&given.body);
        });
        let (objects, gone) = (self.bodies.objects().clone(), useless.clone());
        // The files first: a note that is still there is looked at again.
        off_thread(move || gone.iter().try_for_each(|hash| objects.remove(hash))).await??;
        let due: Vec<String> = due.into_iter().collect();
        for part in due.chunks(AT_ONCE) {
            let mut batch = Batch::default();
            part.iter().for_each(|hash| batch.remove(disk::left_key(hash)));
            self.store.write(batch).await?;
        }
        Ok(useless.len())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::scripts::library::now;
    use crate::scripts::library::scan::Look;
    use crate::store::memory::Memory;
    use crate::store::objects::{Objects, hash};

    const P: &str = "default";

    #[tokio::test]
    async fn a_deleted_script_leaves_its_bodies_for_a_month_and_no_body_of_another_goes_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(&folder.path().join("objects")).unwrap();
        let root = folder.path().join("scripts");
        std::fs::create_dir(&root).unwrap();
        let library = Library::open(Rc::new(Memory::default()), objects.clone(), &root).await.unwrap();
        let body = |number: u32| format!("def main(input=None):\n    return {number}\n");
        for (slug, number) in [("gone", 1), ("stays", 2), ("twin", 3)] {
            std::fs::write(root.join(format!("{slug}.py")), body(number)).unwrap();
        }
        library.sync(Look::Full).await.unwrap();
        let id = |slug: &str| library.index.borrow().find(P, slug).unwrap().script.record.id;
        // Two bodies of its own, and one that another script has too.
        for number in [4, 3] {
            let held = library.index.borrow().find(P, "gone").unwrap().script.file.clone();
            std::fs::write(root.join(held), body(number)).unwrap();
            library.sync(Look::Full).await.unwrap();
        }
        let (gone, there) = (id("gone"), |number: u32| objects.has(&hash(body(number).as_bytes())));
        library.delete(P, gone).await.unwrap();
        let later = now() + STAYS_MS + 1;
        assert_eq!(library.collect(later - STAYS_MS).await.unwrap(), 0, "collected at once");
        assert!([1, 2, 3, 4].into_iter().all(there));
        assert_eq!(library.collect(later).await.unwrap(), 2);
        assert_eq!([1, 2, 3, 4].map(there), [false, true, true, false]);
        assert_eq!(library.collect(later).await.unwrap(), 0, "looked at twice");
        assert!(library.store.scan(disk::LEFT).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn bodies_that_no_deletion_has_left_stay_whatever_the_store_knows() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let wanted = hash(b"text");
        objects.put([(wanted.as_str(), &b"text"[..])]).unwrap();
        let library =
            Library::open(Rc::new(Memory::default()), objects.clone(), folder.path()).await.unwrap();
        assert_eq!(library.collect(u64::MAX).await.unwrap(), 0);
        assert!(objects.has(&wanted));
    }
}
