//! Random edits of files and index in turn, with the node killed at any of its waiting points, held to a model: no text that
//! somebody saved or was told to be stored is ever lost, and in the end both sides are the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::task::Poll;

use proptest::prelude::*;
use protocol::channels::script_update::Changes;

use super::change::{Draft, Refused};
use super::scan::Look;
use super::*;
use crate::scripts::file;
use crate::store::memory::Memory;
use crate::store::objects::hash;

const P: &str = "default";
const NAMES: [&str; 4] = ["a", "b", "c", "B b"];

#[derive(Debug, Clone)]
enum Edit {
    /// Saves another body, and leaves the metadata alone.
    Save(usize),
    /// Puts a text without metadata there.
    Replace(usize),
    Move(usize, usize),
    Copy(usize, usize),
    Remove(usize),
}

#[derive(Debug, Clone)]
enum Ask {
    Sync,
    Create(Option<usize>),
    Update(usize),
    Rename(usize, usize),
    Rollback(usize),
    Delete(usize),
}

#[derive(Debug, Clone)]
enum Move {
    Edit(Edit),
    Ask(Ask),
    /// As asked, but ended after so many waits; whether the node starts anew or only the call was given up.
    Kill(Ask, usize, bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || 0..NAMES.len();
    prop_oneof![
        3 => name().prop_map(Edit::Save),
        1 => name().prop_map(Edit::Replace),
        1 => (name(), name()).prop_map(|(from, to)| Edit::Move(from, to)),
        1 => (name(), name()).prop_map(|(from, to)| Edit::Copy(from, to)),
        1 => name().prop_map(Edit::Remove),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        3 => Just(Ask::Sync),
        2 => proptest::option::of(0..NAMES.len()).prop_map(Ask::Create),
        3 => (0..6_usize).prop_map(Ask::Update),
        1 => (0..6_usize, 0..NAMES.len()).prop_map(|(which, name)| Ask::Rename(which, name)),
        1 => (0..6_usize).prop_map(Ask::Rollback),
        1 => (0..6_usize).prop_map(Ask::Delete),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => edit().prop_map(Move::Edit),
        3 => ask().prop_map(Move::Ask),
        3 => (ask(), 0..14_usize, any::<bool>()).prop_map(|(ask, waits, anew)| Move::Kill(ask, waits, anew)),
    ];
    proptest::collection::vec(one, 1..28)
}

/// A folder, what is on disk, and what must not be lost.
struct World {
    folder: tempfile::TempDir,
    store: Rc<Memory>,
    library: Library,
    counter: u32,
    /// Bodies that somebody saved in a file and no comparison has seen.
    unseen: BTreeSet<String>,
    /// Bodies that were said to be kept, or seen by a comparison that ended.
    owed: BTreeSet<String>,
    /// The body of each version that was ever seen.
    versions: HashMap<(Id, u64), String>,
}

/// Runs to the end, or until so many waits; work that another thread has begun is done in any case.
fn run<T>(future: impl Future<Output = T>, waits: Option<usize>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut left = waits;
    let mut future = Box::pin(future);
    runtime.block_on(std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => match left.as_mut() {
            Some(0) => Poll::Ready(None),
            Some(left) => {
                *left -= 1;
                Poll::Pending
            }
            None => Poll::Pending,
        },
    }))
}

fn all<T>(future: impl Future<Output = T>) -> T {
    run(future, None).unwrap()
}

impl World {
    fn new() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        std::fs::create_dir(folder.path().join("scripts")).unwrap();
        let store = Rc::new(Memory::default());
        let library = Self::open(&folder, &store);
        Self {
            folder,
            store,
            library,
            counter: 0,
            unseen: BTreeSet::new(),
            owed: BTreeSet::new(),
            versions: HashMap::new(),
        }
    }

    fn open(folder: &tempfile::TempDir, store: &Rc<Memory>) -> Library {
        let objects = Objects::open(&folder.path().join("objects")).unwrap();
        let store: Rc<dyn Store> = Rc::clone(store) as Rc<dyn Store>;
        let library = all(Library::open(store, objects, &folder.path().join("scripts"))).unwrap();
        all(library.clear_drafts()).unwrap();
        // Nobody writes slowly here.
        Library { patient: false, ..library }
    }

    fn path(&self, name: usize) -> PathBuf {
        self.folder.path().join("scripts").join(format!("{}.py", NAMES[name]))
    }

    fn text(&mut self) -> String {
        self.counter += 1;
        format!("x = {}\n", self.counter)
    }

    /// The bodies of all files, by name.
    fn files(&self) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(self.folder.path().join("scripts")).unwrap().map(Result::unwrap);
        let text = |path: PathBuf| file::parts(&std::fs::read_to_string(path).unwrap()).body.to_owned();
        entries.map(|entry| (entry.file_name().into_string().unwrap(), text(entry.path()))).collect()
    }

    fn scripts(&self) -> Vec<Script> {
        let index = self.library.index.borrow();
        index
            .project(P)
            .into_iter()
            .flat_map(|project| project.scripts())
            .map(|script| (**script).clone())
            .collect()
    }

    fn id(&self, which: usize) -> Option<Id> {
        let scripts = self.scripts();
        scripts.get(which % scripts.len().max(1)).map(|script| script.record.id)
    }

    fn history(&self, id: Id) -> Vec<(u64, String)> {
        let versions = all(self.library.versions(P, id)).unwrap();
        let body =
            |version: &Version| all(self.library.body(&version.record.content_hash)).unwrap().to_string();
        versions.iter().map(|version| (version.record.version, body(version))).collect()
    }

    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Save(name) | Edit::Replace(name) => {
                let body = self.text();
                let old = std::fs::read_to_string(self.path(name)).unwrap_or_default();
                let metadata = file::parts(&old).metadata.filter(|_| matches!(edit, Edit::Save(_)));
                let text = metadata.map_or(body.clone(), |metadata| write::whole(metadata, &body));
                let draft = self.folder.path().join("draft");
                std::fs::write(&draft, text).unwrap();
                std::fs::rename(draft, self.path(name)).unwrap();
                self.unseen.insert(body);
            }
            Edit::Move(from, to) => drop(std::fs::rename(self.path(from), self.path(to))),
            Edit::Copy(from, to) if from != to => drop(std::fs::copy(self.path(from), self.path(to))),
            Edit::Copy(..) => {}
            Edit::Remove(name) => drop(std::fs::remove_file(self.path(name))),
        }
        // What is no longer there was thrown away by whoever edits.
        let there: BTreeSet<String> = self.files().into_values().collect();
        self.unseen.retain(|body| there.contains(body));
    }

    /// Does what is asked; whether it was answered.
    fn ask(&mut self, ask: &Ask, waits: Option<usize>) -> Option<Result<(), Refused>> {
        let body = self.text();
        let draft =
            |draft: Result<Draft, Refused>| async { self.library.commit_draft(draft?).await.map(|_| ()) };
        match *ask {
            Ask::Sync => {
                let done = run(self.library.sync(Look::Full), waits)?.map(|_| ()).map_err(Refused::from);
                if done.is_ok() {
                    let kept: BTreeSet<String> = self.kept();
                    assert!(
                        self.unseen.is_subset(&kept),
                        "not in the history: {:?}",
                        self.unseen.difference(&kept)
                    );
                    self.owed.append(&mut self.unseen);
                }
                Some(done)
            }
            Ask::Create(name) => {
                let slug = name.map(|name| NAMES[name].to_owned());
                let wanted = Changes { slug, body: Some(body.clone()), ..Changes::default() };
                let done = run(async { draft(self.library.draft_new(P, &wanted)).await }, waits);
                self.note(done, body)
            }
            Ask::Update(which) => {
                let id = self.id(which)?;
                let changes = Changes { body: Some(body.clone()), ..Changes::default() };
                let done =
                    run(async { draft(self.library.draft_update(P, id, &changes, None).await).await }, waits);
                self.note(done, body)
            }
            Ask::Rename(which, name) => {
                let id = self.id(which)?;
                let changes =
                    Changes { slug: Some(NAMES[name].to_owned()), order: Some(1), ..Changes::default() };
                run(async { draft(self.library.draft_update(P, id, &changes, None).await).await }, waits)
            }
            Ask::Rollback(which) => {
                let id = self.id(which)?;
                let first = self.history(id).first().map_or(1, |(version, _)| *version);
                run(async { draft(self.library.draft_rollback(P, id, first).await).await }, waits)
            }
            Ask::Delete(which) => {
                let id = self.id(which)?;
                let thrown_away: Vec<String> = self.history(id).into_iter().map(|(_, body)| body).collect();
                let done = run(self.library.delete(P, id), waits);
                // One that was ended may have been done.
                if !matches!(done, Some(Err(_))) {
                    for body in thrown_away {
                        self.owed.remove(&body);
                        self.unseen.remove(&body);
                    }
                    self.versions.retain(|(known, _), _| *known != id);
                }
                Some(done?.map(|_| ()))
            }
        }
    }

    fn note(&mut self, done: Option<Result<(), Refused>>, body: String) -> Option<Result<(), Refused>> {
        if matches!(done, Some(Ok(()))) {
            self.owed.insert(body);
        }
        done
    }

    /// The bodies of all versions of all scripts.
    fn kept(&self) -> BTreeSet<String> {
        self.scripts()
            .iter()
            .flat_map(|script| self.history(script.record.id))
            .map(|(_, body)| body)
            .collect()
    }

    fn hold(&mut self) {
        let kept = self.kept();
        assert!(self.owed.is_subset(&kept), "lost: {:?}", self.owed.difference(&kept));
        let files: BTreeSet<String> = self.files().into_values().collect();
        for body in &self.unseen {
            assert!(files.contains(body) || kept.contains(body), "a save was lost: {body}");
        }
        let mut slugs = BTreeSet::new();
        for script in self.scripts() {
            let (id, history) = (script.record.id, self.history(script.record.id));
            assert!(slugs.insert(script.record.slug.clone()), "two scripts with one slug");
            assert!(history.is_sorted_by(|one, two| one.0 < two.0));
            assert_eq!(history.last().map(|(version, _)| *version), Some(script.record.version));
            for (version, body) in history {
                let known = self.versions.entry((id, version)).or_insert_with(|| body.clone());
                assert_eq!(*known, body, "a version changed");
            }
        }
    }

    fn play(&mut self, moves: &[Move]) {
        for one in moves {
            match one {
                Move::Edit(edit) => self.edit(edit),
                Move::Ask(ask) => {
                    let _may_be_refused = self.ask(ask, None);
                }
                Move::Kill(ask, waits, anew) => {
                    let _may_be_done = self.ask(ask, Some(*waits));
                    if *anew {
                        self.library = Self::open(&self.folder, &self.store);
                    } else {
                        drop(all(self.library.alone()).unwrap());
                    }
                }
            }
            self.hold();
        }
    }

    fn settle(&mut self) {
        self.library = Self::open(&self.folder, &self.store);
        assert!(self.ask(&Ask::Sync, None).unwrap().is_ok());
        self.hold();
        let scanned = self.files().len() as u64;
        let nothing = protocol::channels::script_sync::Report { scanned, ..Default::default() };
        assert_eq!(
            all(self.library.sync(Look::Full)).unwrap(),
            nothing,
            "a second comparison finds nothing to do"
        );
        let mut files = self.files();
        for script in self.scripts().into_iter().filter(|script| !script.gone) {
            let base = script.base.expect("a script has its file");
            let body = files.remove(&base.file).expect("one file for one script");
            assert_eq!(script.record.content_hash, hash(body.as_bytes()), "{}", base.file);
            assert_eq!((&script.file, &script.record.file_hash), (&base.file, &base.hash));
        }
        assert!(files.is_empty(), "files without scripts: {files:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_version_is_lost_whatever_is_edited_where_and_whenever_the_node_ends(moves in moves()) {
        let mut world = World::new();
        world.play(&moves);
        world.settle();
    }
}

#[test]
fn a_script_whose_place_somebody_has_taken_keeps_its_own_or_gets_another() {
    // The node ends between the store and the file, and somebody puts another file there. After how many waits that is depends
    // on how soon other threads are done.
    for (waits, renames) in (1..12).flat_map(|waits| [(waits, true), (waits, false)]).cycle().take(400) {
        let mut world = World::new();
        world.ask(&Ask::Create(Some(1)), None).unwrap().unwrap();
        let ask = if renames { Ask::Rename(0, 0) } else { Ask::Create(Some(0)) };
        let _killed = world.ask(&ask, Some(waits));
        drop(all(world.library.alone()).unwrap());
        let taken = if renames { Edit::Save(0) } else { Edit::Move(1, 0) };
        world.edit(&taken);
        world.settle();
    }
}

#[test]
fn both_sides_changed_is_a_conflict_that_keeps_both() {
    // The node ends between the store and the file, and somebody edits the file before it starts again. After how many waits
    // that is depends on how soon other threads are done.
    let ended = (1..20).cycle().take(1_000).map(|waits| {
        let mut world = World::new();
        world.edit(&Edit::Save(0));
        world.ask(&Ask::Sync, None).unwrap().unwrap();
        let _killed = world.ask(&Ask::Update(0), Some(waits));
        world.library = World::open(&world.folder, &world.store);
        let index = world.scripts().remove(0);
        (index.record.version == 2 && index.base.as_ref().unwrap().hash != index.record.file_hash)
            .then_some((world, index))
    });
    let (mut world, index) =
        ended.flatten().next().expect("a moment at which the store has it and the file has not");
    world.edit(&Edit::Save(0));
    let report = all(world.library.sync(Look::Full)).unwrap();
    assert_eq!((report.conflicts.len(), report.updated.len()), (1, 1), "{report:?}");
    assert_eq!((report.conflicts[0].version, report.conflicts[0].kept_version), (3, 2));
    let history = world.history(index.record.id);
    let saved = world.files().remove("a.py").unwrap();
    assert_eq!(history.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(history[2].1, saved);
    let told = world.library.take_events();
    assert!(
        told.iter().any(|event| matches!(event, Event::Conflict(conflict) if conflict.kept_version == 2)),
        "{told:?}"
    );
}

#[test]
fn each_edit_is_told_once_and_a_dry_run_does_nothing() {
    let mut world = World::new();
    let told = |world: &mut World, edit: Edit| {
        world.edit(&edit);
        let before = world.files();
        let would = all(world.library.would_sync()).unwrap();
        assert_eq!(world.files(), before);
        let done = all(world.library.sync(Look::Full)).unwrap();
        let lists = |report: &protocol::channels::script_sync::Report| {
            [&report.created, &report.updated, &report.renamed, &report.deleted].map(Vec::len)
        };
        assert_eq!(lists(&would).map(|n| n.min(1)), lists(&done).map(|n| n.min(1)));
        let events = world.library.take_events();
        events
            .into_iter()
            .map(|event| match event {
                Event::Changed(changed) => (changed.change, changed.slug),
                Event::Conflict(conflict) => panic!("{conflict:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut world, Edit::Replace(0)), [(Change::Created, "a".to_owned())]);
    assert_eq!(told(&mut world, Edit::Save(0)), [(Change::Changed, "a".to_owned())]);
    assert_eq!(told(&mut world, Edit::Move(0, 3)), [(Change::Renamed, "b_b".to_owned())]);
    assert_eq!(told(&mut world, Edit::Copy(3, 1)), [(Change::Created, "b".to_owned())]);
    assert_eq!(told(&mut world, Edit::Remove(3)), [(Change::Deleted, "b_b".to_owned())]);
    // What comes back to its place is what was there.
    assert_eq!(told(&mut world, Edit::Copy(1, 3)), [(Change::Changed, "b_b".to_owned())]);
    // A script without a file gives way to one that has one.
    world.edit(&Edit::Remove(3));
    world.ask(&Ask::Sync, None).unwrap().unwrap();
    let _ = world.library.take_events();
    let other = format!("\"\"\"\n---\nid: \"{}\"\n---\n\"\"\"\nx = 0\n", Id::generate());
    std::fs::write(world.path(3), other).unwrap();
    assert_eq!(
        told(&mut world, Edit::Save(3)),
        [(Change::Created, "b_b".to_owned()), (Change::Renamed, "b_b_2".to_owned())]
    );
    assert_eq!(told(&mut world, Edit::Save(2)), [(Change::Created, "c".to_owned())]);
}
