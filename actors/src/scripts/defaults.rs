//! The default scripts, part of the program, and how a project gets them. Their texts live in `scripts/` of the
//! repository; what a project has been given is noted in the store. `script:defaults` says how they stand.

use std::rc::Rc;

use protocol::Problem;
use protocol::channels::script_defaults::{Reply, Request, Standing, State as Stands};
use protocol::envelope::Project;

use super::disk::Given;
use super::library::{Error, Library, off_thread};
use super::{State, file};
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, ChannelOutcome};
use crate::store::objects::hash;

/// The version of the bundle: one more whenever a text in it changes.
pub const VERSION: u32 = 1;

/// A script of the bundle.
#[derive(Debug, Clone, Copy)]
pub struct Default {
    /// Its slug.
    pub slug: &'static str,
    /// The text of its file.
    pub text: &'static str,
    /// SHA-256 of every text it ever had, the newest last. A file with one of them was not touched by anybody.
    pub shipped: &'static [&'static str],
}

macro_rules! default {
    ($slug:literal, $($shipped:literal),+) => {
        Default { slug: $slug, text: include_str!(concat!("../../../scripts/", $slug, ".py")), shipped: &[$($shipped),+] }
    };
}

/// Every script of the bundle, by slug.
pub const BUNDLE: [Default; 7] = [
    default!("clean_bookmark", "a1cf9f9295b71c848ef475dd4484efed7e3f0abceb93b49e4ac0e5395c3611a0"),
    default!("gallery", "c478ad2df1d4d275e41561bcdd7d56fb3bb173aa420f0791a9c7c74cff86fc63"),
    default!("photo_archive", "8262783e279656972249b43a1905488c66bbfb15e4da3a9fb437e12a8a187a8b"),
    default!("tag_cloud", "27b452fc0173c5423671fb2f5f9cf57b41a7f35ca7affe2b9b76832c7194d505"),
    default!("vimeo", "c3194746c2f0fe39ce0af254cd5220388def258487f00367befc0d677e770d2c"),
    default!("word_count", "2c03f25eb0ce98100fb39c48748df7d0e3c5231f9cc3f3d39c3cd25f7327e7f3"),
    default!("youtube", "8da0e57d2d4643c5d4d93b20c300814116dfc98b1e06ae27c70693fab24520d0"),
];

/// In earlier versions a file of the folder itself noted the hash of each default that was given, by file name.
const OLD_NOTE: &str = ".defaults.json";

impl Default {
    fn newest(&self) -> &'static str {
        self.shipped.last().copied().unwrap_or_default()
    }

    fn given(&self) -> Given {
        let body = hash(file::parts(self.text).body.as_bytes());
        Given { hash: self.newest().to_owned(), body, bundle: VERSION }
    }

    fn id(&self) -> Option<protocol::Id> {
        file::Entries::read(file::parts(self.text).metadata?).id()
    }
}

/// Where a script comes from whose file has that hash.
#[must_use]
pub fn origin_of(file_hash: &str) -> String {
    let shipped = BUNDLE.iter().any(|default| default.shipped.contains(&file_hash));
    if shipped { origin() } else { "user".to_owned() }
}

fn origin() -> String {
    format!("default@{VERSION}")
}

/// Gives a project the defaults that it was never given, and the newer text of those that nobody has touched. One
/// that the user changed or deleted stays as it is.
///
/// # Errors
/// The store failed.
pub async fn ensure(library: &Library, project: &str) -> Result<(), Error> {
    ensure_of(library, project, &BUNDLE).await
}

async fn ensure_of(library: &Library, project: &str, bundle: &[Default]) -> Result<(), Error> {
    let (mut drafts, mut given) = (Vec::new(), Vec::new());
    for default in bundle {
        let known = library.given.borrow().get(&(project.to_owned(), default.slug.to_owned())).cloned();
        if known.as_ref().is_some_and(|given| given.hash == default.newest()) {
            continue;
        }
        let held = default.id().and_then(|id| library.index.borrow().get(project, id).cloned());
        let untouched = held.as_ref().is_some_and(|held| {
            !held.script.gone && default.shipped.contains(&held.script.record.file_hash.as_str())
        });
        let current = held.as_ref().is_some_and(|held| held.script.record.file_hash == default.newest());
        let write = if held.is_some() { untouched && !current } else { known.is_none() };
        if write {
            match library.draft_of_text(project, default.slug, default.text, &origin()) {
                Ok(draft) => drafts.push(draft),
                // The user has a script of that name: theirs stays.
                Err(refused) => {
                    tracing::info!(project, slug = default.slug, %refused, "a default script is not given")
                }
            }
        }
        // One that the user changed is said to have a newer text until they have looked at it.
        if write || current || known.is_none() {
            given.push((default.slug.to_owned(), default.given()));
        }
    }
    if !drafts.is_empty() {
        library.commit_drafts(drafts).await?;
    }
    if !given.is_empty() {
        library.note_given(project, given).await?;
    }
    Ok(())
}

/// Takes over the note of an earlier version, once.
///
/// # Errors
/// The store failed.
pub async fn read_old_note(library: &Library) -> Result<(), Error> {
    let path = library.root().join(OLD_NOTE);
    let read = path.clone();
    let text = off_thread(move || std::fs::read_to_string(read)).await?;
    let Ok(text) = text else { return Ok(()) };
    let notes: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_default();
    let project = Project::default();
    let new =
        |slug: &str| !library.given.borrow().contains_key(&(project.as_str().to_owned(), slug.to_owned()));
    let given: Vec<(String, Given)> = notes
        .into_iter()
        .filter_map(|(name, hash)| Some((name.strip_suffix(".py")?.to_owned(), hash)))
        .filter(|(slug, _)| BUNDLE.iter().any(|default| default.slug == slug) && new(slug))
        .map(|(slug, hash)| (slug, Given { hash, body: String::new(), bundle: 0 }))
        .collect();
    if !given.is_empty() {
        library.note_given(project.as_str(), given).await?;
    }
    off_thread(move || drop(std::fs::remove_file(path))).await
}

/// Handles `script:defaults`.
///
/// # Errors
/// A slug is not in the bundle, another script has it, its file has changed, or the store failed.
pub async fn handle(state: Rc<State>, call: ChannelCall) -> ChannelOutcome {
    let request: Request = call.read()?;
    let project = call.origin.project.as_str();
    state.first_use(project).await;
    let apply = named(request.apply, "payload.apply")?;
    let seen = named(request.seen, "payload.seen")?;
    for default in &apply {
        let draft = state.library.draft_of_text(project, default.slug, default.text, &origin())?;
        let done = state.library.commit_draft(draft).await;
        state.tell().await;
        done?;
    }
    let noted: Vec<_> =
        apply.iter().chain(&seen).map(|default| (default.slug.to_owned(), default.given())).collect();
    if !noted.is_empty() {
        state.library.note_given(project, noted).await?;
    }
    let mut scripts = Vec::new();
    for default in &BUNDLE {
        scripts.push(standing(&state.library, project, default).await);
    }
    Ok(ChannelAnswer::of(&Reply { bundle: VERSION, scripts }))
}

fn named(slugs: Option<Vec<String>>, path: &str) -> Result<Vec<Default>, ChannelFailure> {
    let find = |slug: String| BUNDLE.iter().find(|default| default.slug == slug).copied();
    let found: Option<Vec<Default>> = slugs.unwrap_or_default().into_iter().map(find).collect();
    found.ok_or_else(|| ChannelFailure::validation(Problem::new(path, "expected slugs of the bundle")))
}

async fn standing(library: &Library, project: &str, default: &Default) -> Standing {
    let held = default.id().and_then(|id| library.index.borrow().get(project, id).cloned());
    let taken =
        library.index.borrow().project(project).is_some_and(|project| project.bearer(default.slug).is_some());
    let state = match &held {
        Some(held) if held.script.gone => Stands::Deleted,
        Some(held) if held.script.record.file_hash == default.newest() => Stands::Current,
        Some(_) => Stands::Changed,
        None if taken => Stands::Hidden,
        None => Stands::Deleted,
    };
    let given = library.given.borrow().get(&(project.to_owned(), default.slug.to_owned())).cloned();
    let mut standing = Standing {
        slug: default.slug.to_owned(),
        state,
        newer: given.as_ref().is_some_and(|given| given.hash != default.newest()),
        id: held.map(|held| held.script.record.id),
        given: None,
        newest: None,
    };
    if state != Stands::Current {
        standing.newest = Some(file::parts(default.text).body.to_owned());
        if let Some(given) = given.filter(|given| !given.body.is_empty()) {
            standing.given = library.body(&given.body).await.ok().map(|body| body.to_string());
        }
    }
    standing
}

#[cfg(test)]
mod tests;
