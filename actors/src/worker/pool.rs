//! The cells of a node: which exist, who gets a place to run, which call goes where. What cells and the zygote
//! report is handled in `pool::event`, what running calls ask in `pool::ask`, deadlines in `pool::watch`, how cells leave
//! in `pool::release`.
//!
//! A cell belongs to one script version. Cells are kept by recent use up to a limit; a number of *places* bounds how
//! many run at once. Calls of one script wait in a queue of their own, and scripts that wait take turns.

mod ask;
mod broken;
pub mod circuit;
mod event;
mod printed;
mod release;
mod renew;
mod resize;
mod runs;
mod share;
mod spare;
mod status;
mod watch;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use protocol::Failure;
use protocol::failure::Overloaded;
use protocol::frame::cell::Attempted;
use protocol::frame::control::Limits;
use tokio::sync::{Notify, oneshot, watch as watch_channel};
use tokio::task::JoinHandle;

pub use runs::Runs;
use share::Room;
use status::{Counts, count};

use super::ask::Asker;
use super::cell::{Cell, Phase};
use super::death::{self, Exit};
use super::job::{Done, Job, Outcome, Work};
use super::script::Key;
use super::zygote::{self, Zygote};
use crate::bus::link::Upcoming;
use crate::call::{Origin, cancelled};

/// What the pool may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Cells that run at once.
    pub places: usize,
    /// Processor cores: as many cells of one script run before its short calls share them.
    pub cores: usize,
    /// Cells that are kept.
    pub warm: usize,
    /// Cells that are loaded ahead for each script that runs every call in one of its own.
    pub spares: usize,
    /// Calls that wait.
    pub queue: usize,
    /// Calls that a cell serves before it is replaced.
    pub calls_per_cell: u64,
    /// Memory of a cell, in bytes.
    pub memory: u64,
    /// Whether cells run that lack a layer of their lock.
    pub unlocked: bool,
    /// How long a call that is cancelled or waits past its deadline has to end.
    pub grace: Duration,
    /// When a script whose cells keep dying is left alone.
    pub circuit: circuit::Rule,
}

struct Group {
    runs: Runs,
    queue: VecDeque<Job>,
    cells: Vec<Rc<Cell>>,
    /// Whether it stands in `State::waiting`.
    waits: bool,
}

/// A cell that has ended while a call ran in it, until its parent says how.
struct Dying {
    jobs: Vec<(Job, Option<Instant>)>,
    scene: death::Scene,
    since: Instant,
}

impl Dying {
    /// Answers without knowing how the process ended.
    fn end(self) {
        for (job, begun) in self.jobs {
            let failure = death::process_down(&job, begun, &self.scene, None);
            job.end(Err(failure));
        }
    }
}

#[derive(Default)]
struct State {
    groups: HashMap<Key, Group>,
    cells: HashMap<u64, Rc<Cell>>,
    /// Groups that have calls and no place, in turn.
    waiting: VecDeque<Key>,
    dying: HashMap<u64, Dying>,
    /// Cells to be killed as soon as their process is known.
    doomed: HashSet<u64>,
    running: usize,
    /// Cells that lend their place while they wait for the node.
    lent: usize,
    queued: usize,
    zygote: Option<Rc<Zygote>>,
    layers: Vec<String>,
    /// What a cell could and could not do that was asked to try what none may.
    attempted: Option<Attempted>,
    circuits: circuit::Circuits,
    next: u64,
}

/// The pool. Dropping it ends the zygote and every cell.
pub struct Pool {
    bounds: Bounds,
    /// What of the bounds can change.
    size: std::cell::Cell<resize::Size>,
    asker: Asker,
    /// Calls that stand in a pipe behind short ones.
    upcoming: Upcoming,
    /// Tells the pool's tasks to end; so does its drop.
    closing: watch_channel::Sender<bool>,
    keeper: RefCell<Option<JoinHandle<()>>>,
    state: RefCell<State>,
    counts: Counts,
    broken: broken::Broken,
    /// Wakes the watch when there is something to watch.
    active: Rc<Notify>,
    /// Wakes those who wait for the zygote.
    changed: Notify,
    /// Asks for another zygote.
    renewal: Rc<Notify>,
    this: Weak<Self>,
}

impl Pool {
    /// A pool whose zygote starts at once, and again whenever it ends.
    #[must_use]
    pub fn new(bounds: Bounds, command: zygote::Command, asker: Asker) -> Rc<Self> {
        let pool = Rc::new_cyclic(|this| Self {
            bounds,
            size: std::cell::Cell::new(resize::Size::of(&bounds)),
            upcoming: asker.upcoming(),
            asker,
            closing: watch_channel::Sender::new(false),
            keeper: RefCell::default(),
            state: RefCell::default(),
            counts: Counts::default(),
            broken: broken::Broken::default(),
            active: Rc::default(),
            changed: Notify::new(),
            renewal: Rc::default(),
            this: Weak::clone(this),
        });
        let weak = Rc::downgrade(&pool);
        let keeper = event::keep_zygote(Weak::clone(&weak), command, pool.closing.subscribe());
        pool.keeper.replace(Some(Self::vital(Weak::clone(&weak), keeper)));
        let watch = watch::watch(Weak::clone(&weak), pool.closing.subscribe());
        drop(Self::vital(weak, watch));
        pool
    }

    /// Ends the zygote, and all cells with it, and waits until it has gone.
    pub async fn stop(&self) {
        self.closing.send_replace(true);
        let keeper = self.keeper.take();
        if let Some(keeper) = keeper {
            let _ended = keeper.await;
        }
    }

    /// Resolves once the zygote forks.
    pub async fn ready(&self) {
        while self.state.borrow().zygote.is_none() {
            self.changed.notified().await;
        }
    }

    /// Takes a piece of work. What is returned resolves at its end: to how it failed, `OVERLOADED` at once if too many
    /// wait.
    pub fn run(&self, runs: Runs, work: Work, origin: Origin) -> impl Future<Output = Outcome> + use<> {
        let (reply, outcome) = oneshot::channel();
        self.submit(Job { runs, work, origin, queued: Instant::now(), losses: 0, reply });
        async { outcome.await.unwrap_or_else(|_| Err(Failure::unavailable("worker", 100))) }
    }

    /// Whether cells run that are not wholly locked.
    #[must_use]
    pub const fn runs_unlocked(&self) -> bool {
        self.bounds.unlocked
    }

    /// Keeps what came of forbidden attempts, to be shown.
    pub fn note_attempts(&self, attempted: Attempted) {
        self.state.borrow_mut().attempted = Some(attempted);
    }

    fn submit(&self, job: Job) {
        let _inside = self.inside();
        if self.is_broken() {
            // An operation that began before still has this pool.
            job.end(Err(Failure::unavailable("worker", 100)));
            return;
        }
        let key = job.runs.key();
        if let Some(by) = job.origin.cancel.by() {
            job.end(Err(cancelled(by)));
            return;
        }
        let mut state = self.state.borrow_mut();
        if state.circuits.open(&key, job.queued).is_some() {
            drop(state);
            job.end(Err(death::no_process("circuit_open")));
            return;
        }
        let turned_away = match state.room_for(&job.runs, self.bounds.queue) {
            Room::Free => None,
            Room::InsteadOf(other) => Some((other, self.overloaded(&state))),
            Room::None => {
                let overloaded = self.overloaded(&state);
                drop(state);
                job.end(Err(overloaded));
                return;
            }
        };
        let group = state.group(&key, &job.runs);
        group.queue.push_back(job);
        state.queued += 1;
        drop(state);
        if let Some((other, overloaded)) = turned_away {
            other.end(Err(overloaded));
        }
        self.pump(&key);
        self.active.notify_one();
    }

    fn overloaded(&self, state: &State) -> Failure {
        let retry_after_ms = state.wait_ms(self.size.get().places, Instant::now());
        Failure::Overloaded(Overloaded { retry_after_ms })
    }

    /// Gives the calls of a group to cells as far as there are places.
    fn pump(&self, key: &Key) {
        while let Some(step) = self.next_step(key) {
            match step {
                Step::Call(cell, job) => self.call(&cell, job),
                Step::Start => {
                    self.start(key);
                }
                Step::Wait => {
                    let mut state = self.state.borrow_mut();
                    if state.groups.get(key).is_some_and(|group| !group.waits) {
                        state.waiting.push_back(*key);
                        if let Some(group) = state.groups.get_mut(key) {
                            group.waits = true;
                        }
                    }
                    break;
                }
            }
        }
    }

    fn next_step(&self, key: &Key) -> Option<Step> {
        let mut state = self.state.borrow_mut();
        let full = state.running >= self.size.get().places;
        let others_wait = state.waiting.iter().any(|waiting| waiting != key);
        let group = state.groups.get_mut(key)?;
        let size = group.queue.front()?.size();
        let starting = group.cells.iter().filter(|cell| cell.state().phase != Phase::Ready).count();
        let once = group.runs.serves_once();
        let idle = group.cells.iter().find(|cell| cell.idle() && !(once && cell.state().calls > 0));
        let chosen = match idle {
            Some(_) if full => return Some(Step::Wait),
            Some(idle) => Some(Rc::clone(idle)),
            None if full || group.cells.len() - starting >= self.bounds.cores => {
                // While others wait, a busy cell is not refilled: it must come to its end to pass its place on.
                let shares = |cell: &&Rc<Cell>| !once && !others_wait && cell.takes_another(size);
                group.cells.iter().filter(shares).min_by_key(|cell| cell.state().flights.len()).cloned()
            }
            None => None,
        };
        if let Some(cell) = chosen {
            let job = group.queue.pop_front()?;
            state.queued -= 1;
            return Some(Step::Call(cell, job));
        }
        let on_their_way = starting >= group.queue.len();
        let waits = full
            || state.zygote.is_none()
            || state.is_crowded(self.size.get().warm.max(self.size.get().places));
        match (waits, on_their_way) {
            (true, _) => Some(Step::Wait),
            (false, true) => None,
            (false, false) => Some(Step::Start),
        }
    }

    /// Passes on what is known of a script's functions: one that was fetched anew has the same cells but does not know.
    fn tell_many(&self, runs: &Runs) {
        let state = self.state.borrow();
        let known = state.groups.get(&runs.key()).map(|group| &group.runs);
        if let (Runs::Script(new), Some(Runs::Script(loaded))) = (runs, known) {
            new.many.set(loaded.many.get());
        }
    }

    /// Puts a call into a cell's pipe.
    fn call(&self, cell: &Rc<Cell>, job: Job) {
        if matches!(job.work, Work::Load) {
            self.tell_many(&job.runs);
            job.end(Ok(Done::Loaded));
            return;
        }
        self.take_place(cell);
        let spares = job.runs.keeps_spares();
        if let Err((job, error)) = cell.call(job, &self.upcoming) {
            job.end(Err(Failure::request("payload", error.to_string())));
            self.rest(cell);
        }
        if spares {
            self.top_up(&cell.key);
        }
    }

    /// Asks the zygote for a cell; whether it could. The cell gets its script once it has said that it is locked.
    fn start(&self, key: &Key) -> bool {
        self.keep_at_most(self.size.get().warm.saturating_sub(1), Some(key));
        let started = self.try_start(key);
        if let Err(error) = &started {
            tracing::error!(%error, "a cell cannot be started");
            self.fail_queue(key, || death::no_process("no_process"));
        }
        started.is_ok()
    }

    fn try_start(&self, key: &Key) -> std::io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.next += 1;
        let (cell, ends) = Cell::new(state.next, *key)?;
        let Some(zygote) = state.zygote.clone() else { return Ok(()) };
        let granted = state.groups.get(key).map(|group| group.runs.capabilities().to_vec());
        let limits = Limits { memory: self.bounds.memory, capabilities: granted.unwrap_or_default() };
        zygote.fork(cell.id, limits, &ends.pipe, &ends.page)?;
        let Some(group) = state.groups.get_mut(key) else { return Ok(()) };
        group.cells.push(Rc::clone(&cell));
        state.cells.insert(cell.id, Rc::clone(&cell));
        drop(state);
        self.take_place(&cell);
        count(&self.counts.started);
        let pool = Weak::clone(&self.this);
        let driver = async move {
            let driven = Rc::clone(&cell);
            let said = move |said| {
                if let Some(pool) = pool.upgrade() {
                    pool.hear(&driven, said);
                }
            };
            cell.drive(said).await;
        };
        drop(Self::vital(Weak::clone(&self.this), driver));
        Ok(())
    }

    fn take_place(&self, cell: &Rc<Cell>) {
        self.end_lending(cell);
        let mut now = cell.state_mut();
        if !now.holds_place {
            now.holds_place = true;
            drop(now);
            self.state.borrow_mut().running += 1;
        }
    }

    /// Gives a cell's place back if nothing stands in its pipe, and lets others have it.
    fn rest(&self, cell: &Rc<Cell>) {
        self.give_place_back(cell);
        self.serve_waiting();
        self.pump(&cell.key);
        self.keep_at_most(self.size.get().warm, None);
    }

    /// Lets a cell that has just become ready serve what it was started for, and only then others have its place: they
    /// would start cells of their own and push this one out unused, and with more scripts than cells none would ever serve.
    fn open(&self, cell: &Rc<Cell>) {
        self.give_place_back(cell);
        self.pump(&cell.key);
        self.serve_waiting();
        self.keep_at_most(self.size.get().warm, None);
    }

    fn give_place_back(&self, cell: &Rc<Cell>) {
        if cell.state().flights.is_empty() {
            self.end_lending(cell);
        }
        let mut now = cell.state_mut();
        if now.holds_place && now.flights.is_empty() {
            now.holds_place = false;
            drop(now);
            self.state.borrow_mut().running -= 1;
        }
    }

    /// Lets each group that waits have one try, in turn.
    fn serve_waiting(&self) {
        let turns = self.state.borrow().waiting.len();
        for _ in 0..turns {
            let mut state = self.state.borrow_mut();
            if state.running >= self.size.get().places {
                return;
            }
            let Some(key) = state.next_in_turn() else { return };
            if let Some(group) = state.groups.get_mut(&key) {
                group.waits = false;
            }
            state.drop_if_empty(&key);
            drop(state);
            self.pump(&key);
        }
    }
}

/// What to do with the first call of a queue.
#[allow(clippy::large_enum_variant, reason = "taken apart where it is made, never kept")]
enum Step {
    Call(Rc<Cell>, Job),
    Start,
    Wait,
}
