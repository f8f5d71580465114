//! Bodies by their hash: on disk, and the last ones in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Error, off_thread};
use crate::store::objects::{self, Objects};

/// What is kept in memory, in bytes of text. Beyond that all is forgotten, and what is used comes back.
const MOST: usize = 32 << 20;

/// The bodies of all versions of all scripts.
pub struct Bodies {
    objects: Objects,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    bodies: HashMap<String, Arc<str>>,
    size: usize,
}

impl Bodies {
    /// Bodies in that folder.
    #[must_use]
    pub fn new(objects: Objects) -> Self {
        Self { objects, kept: RefCell::default() }
    }

    /// The body with that hash.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub async fn get(&self, hash: &str) -> Result<Arc<str>, Error> {
        let kept = self.kept.borrow().bodies.get(hash).cloned();
        if let Some(body) = kept {
            return Ok(body);
        }
        let (objects, wanted) = (self.objects.clone(), hash.to_owned());
        let found = off_thread(move || read(&objects, &wanted)).await??;
        self.keep(hash, &found);
        Ok(found)
    }

    /// Keeps bodies, each under its hash. When this returns they are on disk.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn put(&self, bodies: Vec<(String, String)>) -> Result<(), Error> {
        if bodies.is_empty() {
            return Ok(());
        }
        let objects = self.objects.clone();
        let bodies = off_thread(move || {
            let all = bodies.iter().map(|(hash, body)| (hash.as_str(), body.as_bytes()));
            objects.put(all).map(|()| bodies)
        })
        .await??;
        for (hash, body) in bodies {
            self.keep(&hash, &body.into());
        }
        Ok(())
    }

    fn keep(&self, hash: &str, body: &Arc<str>) {
        let mut kept = self.kept.borrow_mut();
        if body.len() > MOST / 4 || kept.bodies.contains_key(hash) {
            return;
        }
        if kept.size + body.len() > MOST {
            *kept = Kept::default();
        }
        kept.size += body.len();
        kept.bodies.insert(hash.to_owned(), Arc::clone(body));
    }

    /// Which of these bodies hold `text`, given in lower case, by their places. What cannot be read holds nothing.
    ///
    /// # Errors
    /// The thread that looks has gone.
    pub async fn holding(&self, hashes: Vec<String>, text: String) -> Result<Vec<bool>, Error> {
        let objects = self.objects.clone();
        let kept: Vec<(String, Option<Arc<str>>)> = {
            let kept = self.kept.borrow();
            hashes
                .into_iter()
                .map(|hash| (kept.bodies.get(&hash).cloned(), hash))
                .map(|(body, hash)| (hash, body))
                .collect()
        };
        off_thread(move || {
            let holds = |(hash, body): (String, Option<Arc<str>>)| {
                let body = body.or_else(|| read(&objects, &hash).ok());
                body.is_some_and(|body| body.to_lowercase().contains(&text))
            };
            kept.into_iter().map(holds).collect()
        })
        .await
    }

    /// Whether the body is on disk. Blocks.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }
}

fn read(objects: &Objects, hash: &str) -> Result<Arc<str>, objects::Error> {
    let bytes = objects.get(hash)?;
    let text = String::from_utf8(bytes).map_err(|_| objects::Error::Damaged(hash.to_owned()))?;
    Ok(text.into())
}
