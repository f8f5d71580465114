//! The role `scripts`: reads the folder of script files, notices edits, and answers for what is in it. Workers ask
//! over the bus and are told of changes by `script.changed`.

pub mod catalog;
pub mod check;
pub mod defaults;
pub mod fetch;
pub mod file;
pub mod folder;
pub mod get;
pub mod list;
pub mod watch;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::future::LocalBoxFuture;

use crate::bus::Bus;
use crate::call::{Answer, Call};
use crate::router::{ChannelCall, ChannelOutcome};
use crate::slot;

/// Why the folder of scripts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made, read or watched.
    #[error("cannot use the folder of scripts {folder}: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        why: String,
    },
}

/// What the role knows. Outlives its actor, so that a restart loses nothing.
pub struct State {
    bus: Rc<Bus>,
    root: PathBuf,
    catalog: RefCell<catalog::Catalog>,
    /// Whether it was ever read.
    read: Cell<bool>,
}

impl State {
    /// Seeds the folder if it is new, reads it, and begins to watch it.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub async fn open(bus: Rc<Bus>, root: PathBuf) -> Result<Rc<Self>, Error> {
        let state = Rc::new(Self { bus, root, catalog: RefCell::default(), read: Cell::new(false) });
        let failed = |why: std::io::Error| Error::Folder { folder: state.root.clone(), why: why.to_string() };
        defaults::seed(&state.root).map_err(failed)?;
        let edits =
            watch::watch(&state.root).map_err(|why| Error::Folder { folder: state.root.clone(), why })?;
        state.scan().await.map_err(failed)?;
        let (followed, mut edits) = (Rc::downgrade(&state), edits);
        tokio::task::spawn_local(async move {
            slot::lasting("scripts.watch", async || watch::follow(&followed, &mut edits).await).await;
        });
        Ok(state)
    }

    /// Reads the folder anew and tells of what has changed.
    ///
    /// # Errors
    /// The folder itself cannot be read; what is known stays as it was.
    pub async fn scan(&self) -> std::io::Result<()> {
        let root = self.root.clone();
        let read = tokio::task::spawn_blocking(move || folder::read(&root)).await;
        let found = read.map_err(std::io::Error::other)??;
        let first = !self.read.replace(true);
        let changes = self.catalog.borrow_mut().replace(found);
        if first {
            tracing::info!(folder = %self.root.display(), scripts = changes.len(), "the scripts are read");
        }
        for change in changes {
            if !first {
                tracing::info!(project = %change.project, script = %change.slug, change = ?change.change, "script");
            }
            self.bus.tell("script.changed", &change).await;
        }
        Ok(())
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
pub type Handle = fn(&State, &Call) -> Answer;
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
    type Result = Answer;

    fn handle(&mut self, message: Run, _: &mut Self::Context) -> Answer {
        crate::faults::point("scripts");
        (message.handle)(&self.state, &message.call)
    }
}

impl Handler<RunChannel> for Scripts {
    type Result = ResponseFuture<ChannelOutcome>;

    fn handle(&mut self, message: RunChannel, _: &mut Self::Context) -> Self::Result {
        crate::faults::point("scripts");
        (message.handle)(Rc::clone(&self.state), message.call)
    }
}
