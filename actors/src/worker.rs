//! The role `worker`: runs actions and scripts in cells. The actor takes calls; what each action does is in
//! `worker::operations`, where it runs in `worker::pool`.

pub mod action;
pub mod ask;
pub mod batch;
pub mod cell;
pub mod clean;
pub mod content;
pub mod counters;
pub mod death;
pub mod html;
pub mod job;
pub mod operations;
pub mod pool;
pub mod printed;
pub mod probe;
pub mod python;
pub mod script;
pub mod zygote;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, AsyncContext as _, Context};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use protocol::channels::supervisor_status::NamedPool;
use protocol::failure::ActionFailed;
use protocol::frame::cell::{Function, Reason};
use protocol::{Failure, Format};

use tokio::sync::Semaphore;

use crate::bus::Bus;
use crate::call::{Answer, Call, Origin};
use crate::config;
use crate::config::grant::Grant;
use crate::slot::Slot;
use job::{Done, Returned, Work};

/// What a function of a script is called with.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its encoding, and that of what the function returns.
    pub format: Format,
    /// One encoded value.
    pub bytes: Bytes,
    /// The call that it is a part of; the function must have returned by its deadline.
    pub origin: Origin,
}

/// What operations use.
pub struct State {
    /// To ask other parts.
    pub bus: Rc<Bus>,
    /// The scripts that this worker has met.
    pub scripts: script::Scripts,
    /// The cells of scripts.
    pub pool: Rc<pool::Pool>,
    /// The cells of scripts that were granted folders, where any may be: their zygote stays among the machine's files.
    pub files: Option<Rc<pool::Pool>>,
    /// Configured actions and the cells that they have, if there are any.
    pub actions: Option<Added>,
    /// What it counts of the calls of scripts.
    pub counters: Rc<counters::Counters>,
    /// Cleans HTML.
    pub cleaning: clean::Cleaning,
    /// Pages that may be read at once: a large one takes 150 MB for a moment.
    pub pages: Arc<Semaphore>,
}

/// Configured actions, and where they run.
pub struct Added {
    /// The actions.
    table: Rc<action::Table>,
    /// Their cells.
    pool: Rc<pool::Pool>,
    /// The cells of those that were granted the network, where any was: their zygote stays in it.
    network: Option<Rc<pool::Pool>>,
}

impl Added {
    /// The action of that name, and the pool that its cells are in.
    fn find(&self, name: &str) -> Option<(&Rc<action::Action>, &pool::Pool)> {
        let action = self.table.find(name)?;
        let network = self.network.as_ref().filter(|_| action.granted.reaches_network());
        Some((action, network.unwrap_or(&self.pool)))
    }
}

impl State {
    /// A worker whose zygote begins to start.
    #[must_use]
    pub fn new(
        bus: Rc<Bus>,
        config: &config::Worker,
        grants: &[Grant],
        command: zygote::Command,
        actions: Option<Rc<action::Table>>,
        counters: Rc<counters::Counters>,
    ) -> Rc<Self> {
        let pool = |command| pool::Pool::new(bounds(config), command, ask::Asker::Bus(Rc::clone(&bus)));
        let actions = actions.map(|table| Added {
            pool: pool(table.command.clone()),
            network: table.network.clone().map(pool),
            table,
        });
        let reads = grants.iter().any(|grant| grant.script.is_some() && grant.reads_files());
        let files = reads.then(|| pool(zygote::Command { reach: zygote::Reach::Files, ..command.clone() }));
        let pool = pool(command);
        let state = Rc::new(Self {
            pool,
            files,
            actions,
            scripts: script::Scripts::new(Rc::clone(&bus), grants.to_vec(), Rc::clone(&counters)),
            counters,
            bus,
            cleaning: clean::Cleaning::new(html::Cleaner::new(&config.iframe_hosts), bounds(config).cores),
            pages: Arc::new(Semaphore::new(bounds(config).cores)),
        });
        script::follow(&state);
        state
    }

    /// Every pool that there is.
    pub fn pools(&self) -> impl Iterator<Item = &Rc<pool::Pool>> {
        std::iter::once(&self.pool).chain(self.others().map(|(_, pool)| pool))
    }

    /// Every pool but that of most scripts, by the name that the status gives it.
    fn others(&self) -> impl Iterator<Item = (&'static str, &Rc<pool::Pool>)> {
        let added = self.actions.as_ref();
        let network = added.and_then(|added| added.network.as_ref());
        [("files", self.files.as_ref()), ("actions", added.map(|added| &added.pool)), ("network", network)]
            .into_iter()
            .filter_map(|(name, pool)| Some((name, pool?)))
    }

    /// How every pool is but that of most scripts.
    #[must_use]
    pub fn others_status(&self) -> Vec<NamedPool> {
        self.others().map(|(name, pool)| NamedPool { name: name.to_owned(), pool: pool.status() }).collect()
    }

    /// Whether the code of a pool has panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.pools().any(|pool| pool.is_broken())
    }

    /// The pool that a script's cells are in.
    #[must_use]
    pub fn pool_of(&self, script: &script::Script) -> &pool::Pool {
        let files = self.files.as_ref().filter(|_| script.granted.reads_files());
        files.unwrap_or(&self.pool)
    }

    /// Calls a function of a script and waits for what it returns.
    ///
    /// # Errors
    /// How the call failed; a failure of the script bears its name.
    pub async fn call(
        &self,
        script: &Rc<script::Script>,
        function: Function,
        entrypoint: Option<String>,
        input: Input,
    ) -> Result<Returned, Failure> {
        if let Some(capability) = &script.granted.lacks {
            return Err(Failure::ActionFailed(ActionFailed {
                reason: Some(Reason::CapabilityNotGranted.as_str().to_owned()),
                script: Some(script.record.slug.clone()),
                capability: Some(capability.clone()),
                ..ActionFailed::default()
            }));
        }
        let Input { format, bytes, origin } = input;
        let counting = self.counters.begin(&script.record, &origin, bytes.len());
        let work = Work::Call { function, entrypoint, format, input: bytes };
        let runs = pool::Runs::Script(Rc::clone(script));
        let outcome = self.pool_of(script).run(runs, work, origin).await;
        counting.end(&outcome);
        match outcome {
            Ok(Done::Returned(returned)) => Ok(returned),
            Ok(Done::Loaded | Done::Compiled(_) | Done::Attempted(_)) => Err(death::no_process("protocol")),
            Err(Failure::ActionFailed(mut failed)) => {
                failed.script = Some(script.record.slug.clone());
                Err(Failure::ActionFailed(failed))
            }
            Err(Failure::InvalidResponse(mut invalid)) => {
                invalid.script = Some(script.record.slug.clone());
                Err(Failure::InvalidResponse(invalid))
            }
            Err(failure) => Err(failure),
        }
    }
}

pub(crate) fn bounds(config: &config::Worker) -> pool::Bounds {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let wide = |figure: u32| usize::try_from(figure).unwrap_or(usize::MAX);
    pool::Bounds {
        places: config.places.map_or(2 * cores, wide),
        cores,
        warm: wide(config.warm),
        spares: wide(config.spares),
        queue: wide(config.queue),
        calls_per_cell: config.calls_per_cell,
        memory: config.memory_mb.saturating_mul(1 << 20),
        unlocked: config.unlocked,
        grace: Duration::from_millis(config.grace_ms),
        circuit: pool::circuit::Rule {
            deaths: wide(config.circuit_deaths),
            window: Duration::from_millis(config.circuit_window_ms),
            open: Duration::from_millis(config.circuit_open_ms),
        },
    }
}

/// The state of the actor that lives now, for the supervisor to look at.
pub type Current = Rc<RefCell<Weak<State>>>;

/// The actor. Its state outlives it, so that a restart loses neither cells nor calls, unless the pool itself is broken.
pub struct Worker {
    state: Rc<State>,
}

impl Worker {
    /// An actor with a state of its own, made known in `current`.
    #[must_use]
    pub fn new(state: Rc<State>, current: &Current) -> Self {
        current.replace(Rc::downgrade(&state));
        Self { state }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let state = Rc::clone(&self.state);
        let broken = wrap_future::<_, Self>(async move {
            let pools = state.pools().map(|pool| Box::pin(pool.broken()));
            futures_util::future::select_all(pools).await;
        });
        context.spawn(broken.map(|(), worker, context| {
            tracing::error!("the pool has failed and is given up");
            worker.state.pools().for_each(|pool| pool.give_up());
            context.stop();
        }));
    }
}

/// What becomes of a call.
pub type Answering = LocalBoxFuture<'static, Answer>;

/// Handles an action of this role.
pub type Handle = fn(Rc<State>, Call) -> Answering;

/// Where calls come in. They use the state of the actor that lives and run in the tasks of the bus: a way through its
/// mailbox and back would cost each more than its cell does.
#[derive(Clone)]
pub struct Door {
    slot: Slot<Worker>,
    current: Current,
}

impl Door {
    /// The door of the actor in `slot`, whose state is `current`.
    #[must_use]
    pub fn new(slot: Slot<Worker>, current: Current) -> Self {
        Self { slot, current }
    }

    /// Begins a call with `handle`: its answer, or `UNAVAILABLE` if the actor is down. A panic here takes the actor down, one on
    /// the way of the call is its caller's alone.
    pub fn run(&self, handle: impl FnOnce(Rc<State>) -> Answering) -> Answering {
        self.begin(handle).unwrap_or_else(|failure| Box::pin(std::future::ready(Err(failure))))
    }

    fn begin(&self, handle: impl FnOnce(Rc<State>) -> Answering) -> Result<Answering, Failure> {
        self.slot.check()?;
        let state = self.current.borrow().upgrade();
        let begin = |state| {
            crate::faults::point("worker");
            handle(state)
        };
        let begun = state.and_then(|state| catch_unwind(AssertUnwindSafe(|| begin(state))).ok());
        let work = begun.ok_or_else(|| self.slot.fall())?;
        #[cfg(feature = "faults")]
        let work = Box::pin(async move {
            crate::faults::point("operation");
            work.await
        });
        Ok(work)
    }
}
