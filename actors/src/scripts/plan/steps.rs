//! What a comparison of a project's files with its scripts comes to: steps, each a new state of one script and what is to be
//! done to its file. Pure; carrying them out is the business of `library`.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use protocol::Id;
use protocol::abi::LARGEST_BODY;
use protocol::channels::script_history::By;
use protocol::channels::script_list::FileError;
use protocol::script::{Change, Record};

use super::identity::{Claim, Owner, owners};
use super::{Action, FileSide, IndexSide, decide};
use crate::scripts::defaults;
use crate::scripts::disk::{Base, Script};
use crate::scripts::file::{self, Entries, write};
use crate::scripts::folder::{Files, Seen};
use crate::scripts::index::Project;
use crate::store::objects::hash;

/// Most bytes of a script in the store; the rest of a value's room is for what surrounds it.
const LARGEST_SCRIPT: usize = crate::store::LARGEST_VALUE - 256;

/// A change of one script.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The script as it is to be.
    pub script: Script,
    /// Whether that is a version, and whose; else only what is known of its file changes.
    pub version: Option<(Change, By)>,
    /// Its body, if it may be a new one.
    pub body: Option<String>,
    /// What is to be done to its file.
    pub file: Option<FileOrder>,
    /// The version that gave way, if both sides had changed.
    pub kept: Option<u64>,
}

/// What is to be done to a file: it gets the script's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrder {
    /// The name it has; `None` if there is none.
    pub from: Option<String>,
    /// The name it gets.
    pub to: String,
    /// SHA-256 of the text that may be replaced.
    pub expected: Option<String>,
}

impl Step {
    /// A step that changes nothing yet.
    #[must_use]
    pub fn of(script: Script) -> Self {
        Self { script, version: None, body: None, file: None, kept: None }
    }
}

/// The next version of a script.
#[must_use]
pub fn next(script: &Script, now: u64) -> Script {
    let mut next = script.clone();
    next.record.version += 1;
    next.record.updated_at = now;
    next
}

/// Whether the store has room for a script.
#[must_use]
pub fn fits(script: &Script) -> bool {
    crate::scripts::disk::write(script).len() <= LARGEST_SCRIPT
}

/// What a comparison comes to.
#[derive(Debug, Default)]
pub struct Compared {
    /// What is to be done.
    pub steps: Vec<Step>,
    /// Files that cannot be taken.
    pub errors: Vec<FileError>,
    /// Whether a file is to be written once it has been left alone for a moment.
    pub postponed: bool,
}

/// Compares the scripts of a project with its files. With `patient`, a file that was changed a moment ago is not written yet: who
/// writes it may not be done, and would go on in a file that has lost its name.
pub fn compare(
    project: Option<&Project>,
    files: &Files,
    now: u64,
    patient: bool,
    new_id: &mut dyn FnMut() -> Id,
) -> Compared {
    let scripts: Vec<Rc<Script>> = project.into_iter().flat_map(Project::scripts).cloned().collect();
    let based: HashMap<&str, Id> = scripts
        .iter()
        .filter_map(|script| Some((script.base.as_ref()?.file.as_str(), script.record.id)))
        .collect();
    let claim = |seen: &Seen| match &seen.text {
        Some(text) => file::parts(text).metadata.and_then(|metadata| Entries::read(metadata).id()),
        None => based.get(seen.file.as_str()).copied(),
    };
    let claims: Vec<Claim<'_>> =
        files.seen.iter().map(|seen| Claim { file: &seen.file, id: claim(seen) }).collect();
    let owners = owners(scripts.iter().map(Rc::as_ref), &claims);
    let found: HashMap<Id, &Seen> = owners
        .iter()
        .zip(&files.seen)
        .filter_map(|(owner, seen)| if let Owner::Known(id) = owner { Some((*id, seen)) } else { None })
        .collect();
    let unreadable: HashSet<&str> = files.errors.iter().map(|error| error.file.as_str()).collect();
    let decided: Vec<(Rc<Script>, Option<&Seen>, Action)> = scripts
        .into_iter()
        .map(|script| {
            let seen = found.get(&script.record.id).copied();
            let action = decide(script.base.as_ref(), side(&script, seen, &unreadable), index_side(&script));
            (script, seen, action)
        })
        .collect();
    let (taken, compared) = (HashSet::new(), Compared::default());
    let names = files.seen.iter().map(|seen| &seen.file).chain(files.errors.iter().map(|error| &error.file));
    let names = names.cloned().collect();
    let mut round = Round { project: &files.project, now, taken, names, patient, compared };
    round.all(decided, owners.iter().zip(&files.seen), new_id);
    round.compared
}

fn side<'a>(script: &Script, seen: Option<&'a Seen>, unreadable: &HashSet<&str>) -> FileSide<'a> {
    let lost =
        || unreadable.contains(script.base.as_ref().map_or(script.file.as_str(), |base| base.file.as_str()));
    match seen {
        Some(seen) => FileSide::Found { file: &seen.file, hash: &seen.hash },
        None if lost() => FileSide::Unreadable,
        None => FileSide::Absent,
    }
}

fn index_side(script: &Script) -> IndexSide<'_> {
    IndexSide { file: &script.file, hash: &script.record.file_hash, gone: script.gone }
}

/// Whether the script's slug is to follow from the name of the file.
fn is_named_anew(script: &Script, seen: &Seen) -> bool {
    let place = script.base.as_ref().map_or(&script.file, |base| &base.file);
    *place != seen.file || *place != script.file
}

struct Round<'a> {
    project: &'a str,
    now: u64,
    /// Slugs that are not free.
    taken: HashSet<String>,
    /// Names in the folder that are not free.
    names: HashSet<String>,
    patient: bool,
    compared: Compared,
}

impl Round<'_> {
    fn all<'a>(
        &mut self,
        decided: Vec<(Rc<Script>, Option<&Seen>, Action)>,
        files: impl Iterator<Item = (&'a Owner, &'a Seen)>,
        new_id: &mut dyn FnMut() -> Id,
    ) {
        let moves = |script: &Script, seen: Option<&Seen>, action: &Action| match action {
            Action::TakeName => true,
            Action::TakeFile { .. } => seen.is_some_and(|seen| is_named_anew(script, seen)),
            _ => false,
        };
        // Those that keep their slugs come first, then those that get one, in the order of their files' names. Scripts without
        // files give way.
        let (moving, staying): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|(script, seen, action)| moves(script, *seen, action));
        let living = |(script, _, action): &(Rc<Script>, Option<&Seen>, Action)| {
            !script.gone && !matches!(action, Action::Disable { .. })
                || matches!(action, Action::TakeFile { .. })
        };
        let slugs = staying.iter().filter(|one| living(one)).map(|(script, ..)| script.record.slug.clone());
        self.taken = slugs.collect();
        let mut moving: HashMap<String, (Rc<Script>, &Seen, Action)> = moving
            .into_iter()
            .filter_map(|(script, seen, action)| Some((seen?.file.clone(), (script, seen?, action))))
            .collect();
        let mut gone = Vec::new();
        for (script, seen, action) in staying {
            match (&action, seen) {
                (Action::Nothing, _) if script.gone => gone.push(Step::of((*script).clone())),
                (Action::Disable { conflict }, _) => gone.push(self.disable(&script, *conflict)),
                (action, seen) => self.stay(&script, seen, action),
            }
        }
        for (owner, seen) in files {
            match (moving.remove(&seen.file), owner) {
                (Some((script, seen, action)), _) => self.go(&script, seen, &action),
                (None, Owner::New(id)) => self.create(id.unwrap_or_else(&mut *new_id), seen),
                (None, Owner::Known(_)) => {}
            }
        }
        gone.into_iter().for_each(|step| self.give_way(step));
    }

    /// A free slug made of `wanted`.
    fn claim(&mut self, wanted: &str) -> String {
        file::free(wanted, |slug| self.taken.insert(slug.to_owned()))
    }

    /// Whether a file is not to be written yet.
    fn must_wait(&mut self, seen: &Seen) -> bool {
        let wait = self.patient && seen.stamp.is_none();
        self.compared.postponed |= wait;
        wait
    }

    /// Where a script's text is written that is to lie in `to`: where it lies now, or under a name with a number, if somebody
    /// has put another file there.
    fn place(&mut self, from: Option<&str>, to: &str) -> String {
        match from {
            Some(from) if from == to || !self.names.insert(to.to_owned()) => from.to_owned(),
            Some(_) => to.to_owned(),
            None => {
                let stem = to.strip_suffix(".py").unwrap_or(to);
                file::free(stem, |stem| self.names.insert(format!("{stem}.py"))) + ".py"
            }
        }
    }

    /// A script that keeps its slug.
    fn stay(&mut self, script: &Script, seen: Option<&Seen>, action: &Action) {
        match (action, seen) {
            (Action::TakeFile { conflict }, Some(seen)) => {
                let slug = script.record.slug.clone();
                self.take(Some(script), script.record.id, slug, seen, *conflict);
            }
            (Action::WriteFile { .. }, Some(seen)) if self.must_wait(seen) => {}
            (Action::WriteFile { from, to }, seen) => {
                let expected = seen.map(|seen| seen.hash.clone());
                let place = self.place(from.as_deref(), to);
                let file = if place == *to { &script.file } else { &place }.clone();
                let order = FileOrder { from: from.clone(), to: place, expected };
                let script = Script { file, ..script.clone() };
                self.compared.steps.push(Step { file: Some(order), ..Step::of(script) });
            }
            (Action::Settle, Some(seen)) => {
                let base = Some(Base { file: seen.file.clone(), hash: seen.hash.clone() });
                self.compared.steps.push(Step::of(Script {
                    base,
                    file: seen.file.clone(),
                    ..script.clone()
                }));
            }
            _ => {}
        }
    }

    /// A script whose slug follows from its file's name.
    fn go(&mut self, script: &Script, seen: &Seen, action: &Action) {
        let wanted = file::slug_of_file(&seen.file);
        // `A.py` that became `a.py` is no other slug; nor is one that had to have a number.
        let own = &script.record.slug;
        let was = script.base.as_ref().map(|base| file::slug_of_file(&base.file));
        let keeps = was.as_ref() == Some(&wanted)
            && script.base.as_ref().is_some_and(|base| base.file == script.file);
        let slug = if keeps && self.taken.insert(own.clone()) { own.clone() } else { self.claim(&wanted) };
        if let Action::TakeFile { conflict } = action {
            return self.take(Some(script), script.record.id, slug, seen, *conflict);
        }
        let base = Some(Base { file: seen.file.clone(), hash: seen.hash.clone() });
        if slug == script.record.slug {
            return self.compared.steps.push(Step::of(Script {
                base,
                file: seen.file.clone(),
                ..script.clone()
            }));
        }
        let mut next = next(script, self.now);
        (next.record.slug, next.base, next.file) = (slug, base, seen.file.clone());
        self.compared.steps.push(Step { version: Some((Change::Renamed, By::File)), ..Step::of(next) });
    }

    fn create(&mut self, id: Id, seen: &Seen) {
        let slug = self.claim(&file::slug_of_file(&seen.file));
        self.take(None, id, slug, seen, false);
    }

    /// The file is the current version of the script.
    fn take(&mut self, before: Option<&Script>, id: Id, slug: String, seen: &Seen, conflict: bool) {
        let failed = |problem: &str| FileError { file: seen.file.clone(), problem: problem.to_owned() };
        let Some(text) = &seen.text else {
            // It was believed to be as before; the next look will read it.
            return self.compared.errors.push(failed("changed while it was looked at"));
        };
        let found = file::parts(text);
        let described = before.map(|script| {
            // Deleting its file is what switched it off, so its return switches it on.
            Record { enabled: script.record.enabled || script.gone, ..script.record.clone() }
        });
        let mut record = file::describe(self.project, &slug, id, &found, described.as_ref());
        record.updated_at = self.now;
        match before {
            Some(script) => {
                record.version = script.record.version + 1;
                record.created_at = script.record.created_at;
            }
            None => {
                record.created_at = self.now;
                record.origin = defaults::origin_of(&seen.hash);
            }
        }
        let mut metadata = found.metadata.unwrap_or_default().to_owned();
        let mut order = None;
        record.file_hash.clone_from(&seen.hash);
        if Entries::read(&metadata).id() != Some(id) {
            let named = match (found.metadata, before) {
                (None, Some(script)) => write::rewrite(&script.metadata, &record),
                _ => write::with_id(&metadata, id),
            };
            let whole = write::whole(&named, found.body);
            // A file without room for its id is known by its place.
            if whole.len() <= LARGEST_BODY && named.len() <= file::LARGEST {
                record.file_hash = hash(whole.as_bytes());
                metadata = named;
                if !self.must_wait(seen) {
                    let (file, expected) = (seen.file.clone(), Some(seen.hash.clone()));
                    order = Some(FileOrder { from: Some(file.clone()), to: file, expected });
                }
            }
        }
        let change = match before {
            None => Change::Created,
            Some(script) if script.record.slug != slug => Change::Renamed,
            Some(_) => Change::Changed,
        };
        let base = Some(Base { file: seen.file.clone(), hash: seen.hash.clone() });
        let script = Script { record, metadata, file: seen.file.clone(), base, gone: false };
        if !fits(&script) {
            return self.compared.errors.push(failed("its metadata are too large"));
        }
        self.compared.steps.push(Step {
            script,
            version: Some((change, By::File)),
            body: Some(found.body.to_owned()),
            file: order,
            kept: before.filter(|_| conflict).map(|script| script.record.version),
        });
    }

    fn disable(&self, script: &Script, conflict: bool) -> Step {
        let mut next = next(script, self.now);
        (next.record.enabled, next.base, next.gone) = (false, None, true);
        let kept = conflict.then_some(script.record.version);
        Step { version: Some((Change::Deleted, By::File)), kept, ..Step::of(next) }
    }

    /// A script without a file, which has another slug if a script with a file has got its own.
    fn give_way(&mut self, mut step: Step) {
        let slug = self.claim(&step.script.record.slug.clone());
        if slug != step.script.record.slug {
            if step.version.is_none() {
                step = Step {
                    version: Some((Change::Renamed, By::File)),
                    ..Step::of(next(&step.script, self.now))
                };
            }
            step.script.file = format!("{slug}.py");
            step.script.record.slug = slug;
        }
        if step.version.is_some() {
            self.compared.steps.push(step);
        }
    }
}
