//! Changes that somebody asks for: a new state of a script is drafted from what the index has, and committed if the index still
//! has it and the file is the one that both sides know.

use protocol::abi::LARGEST_BODY;
use protocol::channels::script_history::By;
use protocol::channels::script_update::Changes;
use protocol::script::{Change, Changed, Record};
use protocol::{Id, Problem};

use super::scan::Look;
use super::{Error, Event, Library, changed, key_of, now, off_thread};
use crate::scripts::disk::{self, Left, Script, Version};
use crate::scripts::file::{self, write};
use crate::scripts::folder::write::{Order, Outcome, carry_out};
use crate::scripts::folder::{Place, place};
use crate::scripts::index::Held;
use crate::scripts::plan::steps::{FileOrder, Step, fits, next};
use crate::store::Batch;
use crate::store::objects::hash;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such script, or no such version of it.
    #[error("no such script or version")]
    NotFound,
    /// It has changed since the caller saw it.
    #[error("the script has another version")]
    VersionConflict,
    /// Another script has that slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// Its file has changed in the meantime, or cannot be replaced.
    #[error("the script's file has changed or is in the way")]
    SyncConflict,
    /// It has changed since the draft was made; another draft may do.
    #[error("the script has changed since the draft was made")]
    Stale,
    /// The result would break a rule.
    #[error(transparent)]
    Invalid(#[from] Problem),
    /// It could not be stored.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A script as it is to be.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The script.
    pub script: Script,
    /// Its body.
    pub body: String,
    before: Option<Held>,
    change: Change,
    by: By,
}

impl Library {
    fn held(&self, project: &str, id: Id) -> Result<Held, Refused> {
        self.index.borrow().get(project, id).cloned().ok_or(Refused::NotFound)
    }

    /// A new script with the fields of `wanted`. A slug that is asked for must be free; one made of the title gets a number.
    ///
    /// # Errors
    /// The slug is taken, or the text too large.
    pub fn draft_new(&self, project: &str, wanted: &Changes) -> Result<Draft, Refused> {
        let index = self.index.borrow();
        let taken = |slug: &str| index.project(project).is_some_and(|project| project.bearer(slug).is_some());
        let slug = match &wanted.slug {
            Some(slug) => Some(file::slug(slug)).filter(|slug| !taken(slug)).ok_or(Refused::SlugTaken)?,
            None => file::free(&file::slug(wanted.title.as_deref().unwrap_or_default()), |slug| !taken(slug)),
        };
        let body = wanted.body.clone().unwrap_or_default();
        let mut record = file::describe(project, &slug, Id::generate(), &file::parts(""), None);
        record.created_at = now();
        record.updated_at = record.created_at;
        let kind = wanted.kind.unwrap_or(record.kind);
        record.entrypoint = kind.entrypoint().to_owned();
        apply(&mut record, wanted);
        let file = format!("{slug}.py");
        let script = Script { record, metadata: String::new(), file, base: None, gone: false };
        finish(Draft { script, body, before: None, change: Change::Created, by: By::Request })
    }

    /// The script with `changes`.
    ///
    /// # Errors
    /// There is none, it has another version, the slug is taken, or the text too large.
    pub async fn draft_update(
        &self,
        project: &str,
        id: Id,
        changes: &Changes,
        expected: Option<u64>,
    ) -> Result<Draft, Refused> {
        let held = self.held(project, id)?;
        if expected.is_some_and(|version| version != held.script.record.version) {
            return Err(Refused::VersionConflict);
        }
        let body = match &changes.body {
            Some(body) => body.clone(),
            None => self.body_of(&held.script).await?.to_string(),
        };
        let mut script = next(&held.script, now());
        script.gone = false;
        if let Some(kind) = changes.kind.filter(|kind| *kind != script.record.kind) {
            kind.entrypoint().clone_into(&mut script.record.entrypoint);
        }
        apply(&mut script.record, changes);
        let mut change = Change::Changed;
        let wanted = changes.slug.as_deref().map(file::slug).filter(|slug| *slug != held.script.record.slug);
        if let Some(slug) = wanted {
            let index = self.index.borrow();
            if index.project(project).is_some_and(|project| project.bearer(&slug).is_some()) {
                return Err(Refused::SlugTaken);
            }
            (change, script.file) = (Change::Renamed, format!("{slug}.py"));
            script.record.slug = slug;
        }
        finish(Draft { script, body, before: Some(held), change, by: By::Request })
    }

    /// The script with body and metadata of one of its versions; slug and state stay.
    ///
    /// # Errors
    /// There is no such script or version, or its body is lost.
    pub async fn draft_rollback(&self, project: &str, id: Id, version: u64) -> Result<Draft, Refused> {
        let held = self.held(project, id)?;
        let Version { record: old, metadata, .. } =
            self.version(project, id, version).await?.ok_or(Refused::NotFound)?;
        let body = self.body(&old.content_hash).await?.to_string();
        let mut script = next(&held.script, now());
        let now = script.record.clone();
        script.record = Record {
            slug: now.slug,
            enabled: now.enabled,
            version: now.version,
            created_at: now.created_at,
            updated_at: now.updated_at,
            origin: now.origin,
            ..old
        };
        (script.metadata, script.gone) = (metadata, false);
        finish(Draft { script, body, before: Some(held), change: Change::Changed, by: By::Request })
    }

    /// The script with the text of a file, as the bundle of defaults brings it. `id` and slug are those of the file.
    ///
    /// # Errors
    /// The script's slug is taken.
    pub(in crate::scripts) fn draft_of_text(
        &self,
        project: &str,
        slug: &str,
        text: &str,
        origin: &str,
    ) -> Result<Draft, Refused> {
        let parts = file::parts(text);
        let metadata = parts.metadata.unwrap_or_default();
        let id = file::Entries::read(metadata).id().ok_or(Refused::NotFound)?;
        let before = self.index.borrow().get(project, id).cloned();
        let mut record = file::describe(project, slug, id, &parts, None);
        record.updated_at = now();
        record.created_at = record.updated_at;
        record.file_hash = hash(text.as_bytes());
        record.origin = origin.to_owned();
        let mut file = format!("{slug}.py");
        if let Some(held) = &before {
            record.version = held.script.record.version + 1;
            record.created_at = held.script.record.created_at;
            record.slug.clone_from(&held.script.record.slug);
            file.clone_from(&held.script.file);
        } else if self.index.borrow().project(project).is_some_and(|project| project.bearer(slug).is_some()) {
            return Err(Refused::SlugTaken);
        }
        let base = before.as_ref().and_then(|held| held.script.base.clone());
        let change = if before.is_some() { Change::Changed } else { Change::Created };
        let script = Script { record, metadata: metadata.to_owned(), file, base, gone: false };
        Ok(Draft { script, body: parts.body.to_owned(), before, change, by: By::Bundle })
    }

    /// Makes a draft the current version.
    ///
    /// # Errors
    /// Index or file have changed since, or it cannot be stored.
    pub async fn commit_draft(&self, draft: Draft) -> Result<Record, Refused> {
        let _alone = self.alone().await?;
        self.commit_alone(draft).await
    }

    /// Makes those drafts the current versions that still can be.
    pub(in crate::scripts) async fn commit_drafts(&self, drafts: Vec<Draft>) -> Result<(), Error> {
        let _alone = self.alone().await?;
        let mut steps = Vec::new();
        for draft in drafts {
            let slug = draft.script.record.slug.clone();
            match self.step_of(draft).await {
                Ok(step) => steps.push(step),
                Err(Refused::Failed(error)) => return Err(error),
                Err(refused) => tracing::warn!(%slug, %refused, "a default script is left as it is"),
            }
        }
        let carried = self.carry(steps).await?;
        self.note_file_errors(&carried.errors);
        Ok(())
    }

    /// The step that makes a draft the current version, if index and file are still what it was made from.
    async fn step_of(&self, draft: Draft) -> Result<Step, Refused> {
        let Draft { script, body, before, change, by } = draft;
        self.still_holds(before.as_ref(), &script.record).await?;
        let base = before.as_ref().and_then(|held| held.script.base.clone());
        if base.as_ref().is_none_or(|base| base.file != script.file)
            && self.place(&script.record.project, &script.file).await? != Place::Free
        {
            // Something is in the way that is perhaps not known yet.
            self.sync_alone(Look::Quick).await?;
            return Err(Refused::SyncConflict);
        }
        let file = FileOrder {
            from: base.as_ref().map(|base| base.file.clone()),
            to: script.file.clone(),
            expected: base.map(|base| base.hash),
        };
        Ok(Step { script, version: Some((change, by)), body: Some(body), file: Some(file), kept: None })
    }

    async fn commit_alone(&self, draft: Draft) -> Result<Record, Refused> {
        let step = self.step_of(draft).await?;
        let record = step.script.record.clone();
        let carried = self.carry(vec![step]).await?;
        self.note_file_errors(&carried.errors);
        if carried.changed > 0 {
            // The file was saved at this very moment. It is current then, and what was asked for is in the history.
            self.sync_alone(Look::Quick).await?;
            return Err(Refused::SyncConflict);
        }
        Ok(record)
    }

    fn note_file_errors(&self, errors: &[protocol::channels::script_sync::ProjectFileError]) {
        for error in errors {
            tracing::error!(project = %error.project, file = %error.error.file, why = %error.error.problem, "a script's file cannot be written; it is tried again");
        }
        self.note_errors(errors);
    }

    async fn place(&self, project: &str, file: &str) -> Result<Place, Refused> {
        let (root, project, file) = (self.root.clone(), project.to_owned(), file.to_owned());
        Ok(off_thread(move || place(&root, &project, &file)).await?.map_err(Error::Folder)?)
    }

    /// Looks whether index and file are still what a draft was made from.
    async fn still_holds(&self, before: Option<&Held>, record: &Record) -> Result<(), Refused> {
        {
            let index = self.index.borrow();
            let held = index.get(&record.project, record.id);
            if held.map(|held| held.revision) != before.map(|held| held.revision) {
                return Err(Refused::Stale);
            }
            let bearer = index.project(&record.project).and_then(|project| project.bearer(&record.slug));
            if bearer.is_some_and(|bearer| bearer != record.id) {
                return Err(Refused::Stale);
            }
        }
        let Some(base) = before.and_then(|held| held.script.base.as_ref()) else { return Ok(()) };
        if self.place(&record.project, &base.file).await? == Place::Text(base.hash.clone()) {
            return Ok(());
        }
        // The file was changed and nobody has seen it yet. The change is taken in; what was asked for was asked of another text.
        self.sync_alone(Look::Quick).await?;
        Err(Refused::SyncConflict)
    }

    /// Deletes a script with its history and its file.
    ///
    /// # Errors
    /// There is none, its file has changed, or it cannot be deleted.
    pub async fn delete(&self, project: &str, id: Id) -> Result<Changed, Refused> {
        let _alone = self.alone().await?;
        let held = self.held(project, id)?;
        self.still_holds(Some(&held), &held.script.record).await?;
        // The file first: if the node ends here, the script is off and can be deleted once more, but not come back.
        if let Some(base) = &held.script.base {
            let (to, expected) = (base.file.clone(), Some(base.hash.clone()));
            let order = Order { project: project.to_owned(), from: None, to, expected, text: None };
            let root = self.root.clone();
            match off_thread(move || carry_out(&root, &[order])).await?.pop() {
                Some(Outcome::Done) => {}
                Some(Outcome::Failed(why)) => return Err(Error::Folder(std::io::Error::other(why)).into()),
                Some(Outcome::Changed) | None => {
                    self.sync_alone(Look::Quick).await?;
                    return Err(Refused::SyncConflict);
                }
            }
        }
        let mut batch = Batch::default();
        self.expect(&mut batch, &held.script);
        batch.remove(key_of(&held.script));
        let left = disk::write(&Left { at: now() });
        batch.put(disk::left_key(&held.script.record.content_hash), left.clone());
        for version in self.versions(project, id).await? {
            batch.remove(disk::version_key(project, id, version.record.version));
            batch.put(disk::left_key(&version.record.content_hash), left.clone());
        }
        self.commit(batch, |index, _| index.remove(project, id)).await?;
        let changed = changed(&held.script, Change::Deleted);
        self.events.borrow_mut().push(Event::Changed(changed.clone()));
        Ok(changed)
    }
}

fn apply(record: &mut Record, changes: &Changes) {
    let Changes { slug: _, title, kind, entrypoint, enabled, aliases, order, fresh, capabilities, body: _ } =
        changes.clone();
    record.kind = kind.unwrap_or(record.kind);
    record.enabled = enabled.unwrap_or(record.enabled);
    record.order = order.unwrap_or(record.order);
    record.fresh = fresh.unwrap_or(record.fresh);
    for (field, new) in [(&mut record.title, title), (&mut record.entrypoint, entrypoint)] {
        if let Some(new) = new {
            *field = new;
        }
    }
    for (field, new) in [(&mut record.aliases, aliases), (&mut record.capabilities, capabilities)] {
        if let Some(new) = new {
            *field = new;
        }
    }
}

/// Works out what follows from a draft's record and body: its metadata, its hashes, whether it fits.
fn finish(mut draft: Draft) -> Result<Draft, Refused> {
    let script = &mut draft.script;
    script.metadata = write::rewrite(&script.metadata, &script.record);
    let whole = write::whole(&script.metadata, &draft.body);
    if whole.len() > LARGEST_BODY {
        return Err(Problem::new("payload.body", "larger than 1 MiB with its metadata").into());
    }
    script.record.content_hash = hash(draft.body.as_bytes());
    script.record.file_hash = hash(whole.as_bytes());
    if script.metadata.len() > file::LARGEST || !fits(script) {
        return Err(Problem::new("payload", "the metadata are too large").into());
    }
    Ok(draft)
}
