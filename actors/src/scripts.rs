//! The role `scripts`: keeps files and index in step, notices edits, changes scripts, and answers for them. Workers ask
//! over the bus and are told of changes by `script.changed`. The work itself is in `library`; here it meets the bus.

pub mod check;
pub mod create;
pub mod defaults;
pub mod delete;
pub mod disk;
pub mod fetch;
pub mod fields;
pub mod file;
pub mod folder;
pub mod get;
pub mod history;
pub mod index;
pub mod library;
pub mod list;
pub mod plan;
pub mod rollback;
pub mod sync;
pub mod update;
pub mod watch;

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::future::LocalBoxFuture;
use protocol::channel::Code;
use protocol::channels::script_sync::Report;
use protocol::envelope::Project;

use crate::bus::Bus;
use crate::call::{Answer, Call};
use crate::router::{ChannelCall, ChannelFailure, ChannelOutcome};
use crate::slot;
use crate::store::embedded::{self, Embedded, Opened};
use crate::store::objects::Objects;
use library::change::Refused;
use library::scan::Look;
use library::{Event, Library};

/// Most projects that get the default scripts because somebody asked for one: a name costs a caller nothing.
const MOST_PROJECTS: usize = 1_000;

/// Why the scripts cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made, read or watched.
    #[error("cannot use the folder of scripts {folder}: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] embedded::OpenError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Library(#[from] library::Error),
}

/// What the role knows. Outlives its actor, so that a restart loses nothing.
pub struct State {
    bus: Rc<Bus>,
    library: Library,
    /// What the comparison at the start came to.
    at_start: RefCell<Report>,
    /// Projects that have been looked at for defaults.
    seeded: RefCell<HashSet<String>>,
    seeding: tokio::sync::Mutex<()>,
    telling: tokio::sync::Mutex<()>,
}

impl State {
    /// Opens the store in the data folder, compares it with the folder `root`, gives each project the defaults, and begins to
    /// watch.
    ///
    /// # Errors
    /// Store or folder cannot be used.
    pub async fn open(bus: Rc<Bus>, data: &Path, root: PathBuf) -> Result<Rc<Self>, Error> {
        let failed = |why: String| Error::Folder { folder: root.clone(), why };
        std::fs::create_dir_all(&root).map_err(|why| failed(why.to_string()))?;
        let (store, objects) = (data.join("store"), data.join("objects"));
        let opened = library::off_thread(move || Embedded::open(&store)).await??;
        let Opened { store, set_aside } = opened;
        if let Some(kept) = set_aside {
            tracing::error!(kept = %kept.display(), "scripts are taken from their files; their history begins anew");
        }
        let objects = Objects::open(&objects).map_err(|why| failed(why.to_string()))?;
        let library = Library::open(Rc::new(store), objects, &root).await?;
        let state = Rc::new(Self {
            bus,
            library,
            at_start: RefCell::default(),
            seeded: RefCell::default(),
            seeding: tokio::sync::Mutex::default(),
            telling: tokio::sync::Mutex::default(),
        });
        let edits = watch::watch(&root).map_err(failed)?;
        state.start().await?;
        let (followed, mut edits) = (Rc::downgrade(&state), edits);
        tokio::task::spawn_local(async move {
            slot::lasting("scripts.watch", async || watch::follow(&followed, &mut edits).await).await;
        });
        Ok(state)
    }

    async fn start(&self) -> Result<(), library::Error> {
        self.library.clear_drafts().await?;
        defaults::read_old_note(&self.library).await?;
        let report = self.library.sync(Look::Full).await?;
        tracing::info!(
            folder = %self.library.root().display(),
            files = report.scanned,
            created = report.created.len(),
            updated = report.updated.len(),
            renamed = report.renamed.len(),
            deleted = report.deleted.len(),
            conflicts = report.conflicts.len(),
            errors = report.errors.len(),
            "the scripts are read"
        );
        *self.at_start.borrow_mut() = report;
        // Before anything else puts bodies there.
        match self.library.collect(library::now()).await {
            Ok(0) => {}
            Ok(bodies) => tracing::info!(bodies, "what deleted scripts had left is removed"),
            Err(error) => tracing::warn!(%error, "what deleted scripts have left could not be removed"),
        }
        let mut projects: Vec<String> = self.library.index.borrow().projects().map(str::to_owned).collect();
        projects.push(Project::default().as_str().to_owned());
        for project in projects {
            self.first_use(&project).await;
        }
        // A change that was on disk when the last node ended may not have been told.
        self.bus.tell(protocol::script::LOADED, &serde_json::json!({"node": self.bus.node}));
        self.tell().await;
        Ok(())
    }

    /// Looks for edits and tells of them.
    ///
    /// # Errors
    /// Folder or store failed; what is known stays as it was.
    pub async fn scan(&self) -> Result<(), library::Error> {
        let done = self.library.sync(Look::Quick).await;
        self.tell().await;
        done.map(|_| ())
    }

    /// Gives a project the defaults, once.
    pub async fn first_use(&self, project: &str) {
        if self.seeded.borrow().contains(project) {
            return;
        }
        let _alone = self.seeding.lock().await;
        if self.seeded.borrow().len() >= MOST_PROJECTS || !self.seeded.borrow_mut().insert(project.to_owned())
        {
            return;
        }
        if let Err(error) = defaults::ensure(&self.library, project).await {
            tracing::error!(project, %error, "the default scripts could not be given");
            self.seeded.borrow_mut().remove(project);
        }
        self.tell().await;
    }

    /// Tells what is to be told. When this returns, it has been handed to the broker.
    async fn tell(&self) {
        let _in_order = self.telling.lock().await;
        for event in self.library.take_events() {
            match event {
                Event::Changed(changed) => {
                    tracing::info!(project = %changed.project, script = %changed.slug, version = changed.version, change = ?changed.change, "script");
                    self.bus.tell("script.changed", &changed);
                }
                Event::Conflict(conflict) => {
                    tracing::warn!(project = %conflict.project, script = %conflict.slug, version = conflict.version, kept = conflict.kept_version, "file and index had both changed");
                    self.bus.tell("script.conflict", &conflict);
                }
            }
        }
    }
}

/// What a refusal means on the wire.
impl From<Refused> for ChannelFailure {
    fn from(refused: Refused) -> Self {
        let code = match &refused {
            Refused::NotFound => Code::ScriptNotFound,
            Refused::VersionConflict | Refused::Stale => Code::VersionConflict,
            Refused::SlugTaken => Code::SlugTaken,
            Refused::SyncConflict => Code::SyncConflict,
            Refused::Invalid(problem) => return Self::validation(problem.clone()),
            Refused::Failed(error) => {
                tracing::error!(%error, "a script could not be read or changed");
                Code::StoreError
            }
        };
        Self { code, data: None, debug: Some(refused.to_string()) }
    }
}

impl From<library::Error> for ChannelFailure {
    fn from(error: library::Error) -> Self {
        Refused::Failed(error).into()
    }
}

/// The actor.
pub struct Scripts {
    state: Rc<State>,
}

impl Scripts {
    /// An actor that answers from `state`.
    #[must_use]
    pub fn new(state: Rc<State>) -> Self {
        Self { state }
    }
}

impl Actor for Scripts {
    type Context = Context<Self>;
}

/// Handles an action of this role.
pub type Handle = fn(Rc<State>, Call) -> LocalBoxFuture<'static, Answer>;
/// Handles a channel of this role.
pub type ChannelHandle = fn(Rc<State>, ChannelCall) -> LocalBoxFuture<'static, ChannelOutcome>;

/// A call of an action of this role.
#[derive(Message)]
#[rtype(result = "Answer")]
pub struct Run {
    /// What handles it.
    pub handle: Handle,
    /// The call.
    pub call: Call,
}

/// A call of a channel of this role.
#[derive(Message)]
#[rtype(result = "ChannelOutcome")]
pub struct RunChannel {
    /// What handles it.
    pub handle: ChannelHandle,
    /// The call.
    pub call: ChannelCall,
}

impl Handler<Run> for Scripts {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, message: Run, _: &mut Self::Context) -> Self::Result {
        crate::faults::point("scripts");
        (message.handle)(Rc::clone(&self.state), message.call)
    }
}

impl Handler<RunChannel> for Scripts {
    type Result = ResponseFuture<ChannelOutcome>;

    fn handle(&mut self, message: RunChannel, _: &mut Self::Context) -> Self::Result {
        crate::faults::point("scripts");
        (message.handle)(Rc::clone(&self.state), message.call)
    }
}
