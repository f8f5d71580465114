//! What cells and the zygote report, and what the pool does about it.

use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Failure;
use protocol::capability::Capability;
use protocol::failure::{ActionFailed, InvalidResponse};
use protocol::frame::cell::{Attempted, Compiled, Complaint, Hello, Loaded, Raised, Reason, Return, Skipped};
use protocol::frame::page::REFUSED_SIZE;
use protocol::frame::{self, Header, Operation};
use protocol::{Problem, abi};
use tokio::sync::watch::Receiver;

use super::{Dying, Exit, Pool, count, death, renew};
use crate::worker::cell::{Cell, Flight, Phase, Said};
use crate::worker::job::{Done, Job, Outcome, Returned};
use crate::worker::zygote::{self, Zygote};

/// The layer that cells need which read files.
const LANDLOCK: &str = "landlock";
/// First pause before a zygote is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After living this long a zygote was not the problem, and pauses begin anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// Keeps a zygote running as long as the pool lives.
pub(super) async fn keep_zygote(pool: Weak<Pool>, command: zygote::Command, mut closing: Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        match Zygote::start(&command).await {
            Ok(zygote) => {
                let mut zygote = Rc::new(zygote);
                loop {
                    tracing::info!(python = %zygote.ready.python, pid = zygote.pid, modules = zygote.ready.modules, "the zygote is ready");
                    tokio::select! {
                        () = serve(&pool, &zygote) => break,
                        _ = closing.changed() => break,
                        new = renew::next(&pool, &command) => {
                            renew::retire(&pool, std::mem::replace(&mut zygote, new));
                        }
                    }
                }
                zygote.reap().await;
            }
            Err(error) => tracing::error!(%error, "there is no zygote"),
        }
        if closing.has_changed().is_err() || *closing.borrow() {
            return;
        }
        if begun.elapsed() > HEALTHY {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(pause_ms = crate::call::millis(pause), "the zygote is started again");
        if tokio::time::timeout(pause, closing.changed()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes on what one zygote reports until it ends.
async fn serve(pool: &Weak<Pool>, zygote: &Rc<Zygote>) {
    let Some(here) = pool.upgrade() else { return };
    here.state.borrow_mut().zygote = Some(Rc::clone(zygote));
    here.changed.notify_waiters();
    here.pump_all();
    drop(here);
    while let Some(event) = zygote.event().await {
        let Some(pool) = pool.upgrade() else { return };
        pool.hear_zygote(event);
    }
    if let Some(pool) = pool.upgrade() {
        pool.lose_zygote();
    }
}

impl Pool {
    fn pump_all(&self) {
        let keys: Vec<_> = self.state.borrow().groups.keys().cloned().collect();
        keys.iter().for_each(|key| self.pump(key));
    }

    pub(super) fn hear_zygote(&self, event: zygote::Event) {
        crate::faults::point("zygote");
        match event {
            zygote::Event::Forked { cell, pid, pidfd } => {
                let mut state = self.state.borrow_mut();
                if state.doomed.remove(&cell) {
                    let _gone_already =
                        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
                } else if let Some(cell) = state.cells.get(&cell) {
                    cell.state_mut().process = Some((pid, pidfd));
                }
            }
            zygote::Event::Failed { cell, errno } => {
                tracing::error!(errno, "a cell could not be forked");
                let cell = self.state.borrow().cells.get(&cell).cloned();
                if let Some(cell) = cell {
                    self.let_go(&cell);
                    self.fail_queue(&cell.key, || death::no_process("no_process"));
                    self.serve_waiting();
                }
            }
            zygote::Event::Exited { cell, exit } => self.hear_exit(cell, exit),
        }
    }

    fn hear_exit(&self, id: u64, exit: Exit) {
        let mut state = self.state.borrow_mut();
        state.doomed.remove(&id);
        let dying = state.dying.remove(&id);
        // A cell that the pool still has will be heard to its end first: its last answers may be in the pipe.
        if let Some(cell) = state.cells.get(&id) {
            cell.state_mut().exit = Some(exit);
        }
        drop(state);
        let Some(Dying { jobs, scene, .. }) = dying else { return };
        for (job, begun) in jobs {
            let failure = death::process_down(&job, begun, &scene, Some(exit));
            job.end(Err(failure));
        }
    }

    /// The zygote has gone, and its cells with it.
    fn lose_zygote(&self) {
        tracing::error!("the zygote has ended, and all cells with it");
        let cells: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.zygote = None;
            state.doomed.clear();
            state.cells.values().cloned().collect()
        };
        self.lose_cells(cells);
        // Nobody will say any more how they ended.
        let dying: Vec<_> = self.state.borrow_mut().dying.drain().collect();
        dying.into_iter().for_each(|(_, dying)| dying.end());
    }

    /// Cells have gone with their zygote.
    pub(super) fn lose_cells(&self, cells: Vec<Rc<Cell>>) {
        for cell in cells {
            let (begun, waiting) = self.part_flights(&cell);
            self.let_go(&cell);
            for (job, at) in begun {
                let failure = death::process_down(&job, at, &death::Scene::default(), None);
                job.end(Err(failure));
            }
            self.take_back(&cell.key, waiting, false);
        }
    }

    /// What a cell's driver tells.
    pub(super) fn hear(&self, cell: &Rc<Cell>, said: Said) {
        crate::faults::point("cell");
        if cell.state().phase == Phase::Gone {
            return;
        }
        match said {
            Said::End(None) => {
                count(&self.counts.died);
                self.lose(cell);
            }
            Said::End(Some(error)) => self.distrust(cell, &error.to_string(), false),
            Said::Frame(header, body) => {
                if let Err(error) = self.hear_frame(cell, header, &body) {
                    self.distrust(cell, &error, self.is_left_over(cell, header));
                }
            }
        }
    }

    fn hear_frame(&self, cell: &Rc<Cell>, header: Header, body: &Bytes) -> Result<(), String> {
        let phase = cell.state().phase;
        match (phase, header.operation) {
            (Phase::Starting, Operation::Hello) => self.hear_hello(cell, &read(body)?),
            (Phase::Loading, Operation::Loaded) => {
                self.hear_loaded(cell, read(body)?);
                Ok(())
            }
            (Phase::Loading, Operation::Raised) => {
                self.hear_not_loaded(cell, read(body)?);
                Ok(())
            }
            (Phase::Ready, _) => {
                self.hear_running(cell, header, body).unwrap_or_else(|| self.hear_answer(cell, header, body))
            }
            _ => Err(format!("{:?} while {phase:?}", header.operation)),
        }
    }

    fn hear_hello(&self, cell: &Rc<Cell>, hello: &Hello) -> Result<(), String> {
        if hello.protocol != frame::VERSION || hello.abi != abi::VERSION {
            return Err("another version".to_owned());
        }
        let mut missing = hello.missing_layers();
        let needs_list = self
            .state
            .borrow()
            .groups
            .get(&cell.key)
            .is_some_and(|g| g.runs.capabilities().iter().any(Capability::needs_list));
        if needs_list && !hello.layers.iter().any(|layer| layer == LANDLOCK) {
            // Only this layer knows one folder, or port, from another.
            missing.push(LANDLOCK);
        }
        if !missing.is_empty() && !self.bounds.unlocked {
            tracing::error!(
                ?missing,
                "a cell is not wholly locked and is not used: this kernel refuses a layer"
            );
            self.let_go(cell);
            self.fail_queue(&cell.key, || death::no_process("not_locked"));
            self.serve_waiting();
            return Ok(());
        }
        let mut state = self.state.borrow_mut();
        state.layers.clone_from(&hello.layers);
        let runs = state.groups.get(&cell.key).map(|group| group.runs.clone());
        drop(state);
        let Some(runs) = runs else {
            self.let_go(cell);
            return Ok(());
        };
        match runs.load() {
            Some(load) => {
                cell.enter(Phase::Loading);
                let sent = cell.send(|sequence, out| frame::write(out, Operation::Load, sequence, &load));
                sent.map_err(|error| error.to_string())?;
            }
            None => {
                cell.enter(Phase::Ready);
                self.open(cell);
            }
        }
        Ok(())
    }

    fn hear_loaded(&self, cell: &Rc<Cell>, loaded: Loaded) {
        let runs = self.state.borrow().groups.get(&cell.key).map(|group| group.runs.clone());
        cell.state_mut().alone = runs.is_some_and(|runs| runs.loaded(loaded));
        cell.enter(Phase::Ready);
        self.open(cell);
        self.top_up(&cell.key);
    }

    /// The script cannot be loaded: none of its calls can be served.
    fn hear_not_loaded(&self, cell: &Rc<Cell>, raised: Raised) {
        self.let_go(cell);
        self.fail_queue(&cell.key, || raised_failure(raised.clone()));
        self.serve_waiting();
    }

    /// An answer to the first call in the pipe.
    fn hear_answer(&self, cell: &Rc<Cell>, header: Header, body: &Bytes) -> Result<(), String> {
        let expected = cell.state().flights.front().map(|flight| flight.sequence);
        if expected != Some(header.sequence) {
            return Err(format!("an answer out of turn ({:?})", header.operation));
        }
        let (outcome, run) = answer(header.operation, body)?;
        let Some(flight) = cell.state_mut().flights.pop_front() else { return Ok(()) };
        let used_up = self.note_answer(cell, run, &outcome);
        match (outcome, flight.job) {
            (Heard::Ended(outcome), Some(job)) => job.end(outcome),
            (Heard::Skipped { late: true }, Some(job)) => {
                let failure = job.origin.deadline.passed_in_queue(None);
                job.end(Err(failure));
            }
            (Heard::Skipped { late: false }, Some(job)) => self.take_back(&cell.key, vec![job], false),
            (_, None) => {}
        }
        if used_up && cell.state().flights.is_empty() {
            self.let_go(cell);
            self.serve_waiting();
            self.pump(&cell.key);
            self.top_up(&cell.key);
        } else {
            self.rest(cell);
        }
        Ok(())
    }

    /// Books an answer in the cell's state; says whether the cell has served long enough.
    fn note_answer(&self, cell: &Rc<Cell>, run: Option<Duration>, outcome: &Heard) -> bool {
        let once = self.state.borrow().groups.get(&cell.key).is_some_and(|group| group.runs.serves_once());
        let now = Instant::now();
        let mut state = cell.state_mut();
        state.calls += 1;
        state.used = now;
        if let Some(run) = run {
            let run = run.as_secs_f64() * 1e6;
            state.pace = if state.pace.is_finite() { state.pace.mul_add(0.8, run * 0.2) } else { run };
        }
        if let Some(next) = state.flights.front_mut() {
            next.begun = Some(now);
        }
        if state.withdrawn && state.flights.iter().all(|flight| flight.job.is_some()) {
            state.withdrawn = cell.withdraw_from(u64::MAX).is_err();
        }
        let short_of_memory = matches!(outcome, Heard::Ended(Err(Failure::ActionFailed(failed))) if failed.reason.as_deref() == Some(Reason::Memory.as_str()));
        state.retires |= once || short_of_memory || state.calls >= self.bounds.calls_per_cell;
        let asked = std::mem::take(&mut state.asked);
        state.stopped = false;
        let retires = state.retires;
        drop(state);
        if asked.is_some() {
            cell.forget_where();
        }
        retires
    }

    /// Whether a frame is of a call that was answered before: what runs now has no part in it. A script without
    /// capabilities changes nothing outside of its cell, so that its call may begin again in another one.
    fn is_left_over(&self, cell: &Rc<Cell>, header: Header) -> bool {
        let after = cell.state().flights.front().is_some_and(|front| header.sequence < front.sequence);
        let state = self.state.borrow();
        let runs = state.groups.get(&cell.key).map(|group| &group.runs);
        after && header.sequence > 0 && runs.is_some_and(|runs| runs.capabilities().is_empty())
    }

    /// A cell does what no honest cell does: it is not heard any more, has a moment to say where its script stands, and is
    /// killed. `innocent` says that the calls in its pipe have no part in it: they go elsewhere.
    fn distrust(&self, cell: &Rc<Cell>, why: &str, innocent: bool) {
        /// How often it is looked whether it has said so.
        const LOOK: Duration = Duration::from_millis(3);
        /// How many times.
        const LOOKS: u32 = 10;
        tracing::warn!(why, "a cell broke the protocol and is killed");
        count(&self.counts.killed);
        self.note_death(cell);
        let before = self.scene(cell);
        let loaded = cell.state().phase == Phase::Ready;
        let slug = self.slug(cell);
        let (mut begun, mut waiting) = self.part_flights(cell);
        if innocent {
            waiting.splice(0..0, begun.drain(..).map(|(job, _)| job));
        }
        if !loaded {
            begun.extend(self.take_queue(&cell.key).into_iter().map(|job| (job, None)));
        }
        cell.ask_where();
        self.forsake(cell);
        let dying = Rc::clone(cell);
        tokio::task::spawn_local(async move {
            let mut line = None;
            for _ in 0..LOOKS {
                tokio::time::sleep(LOOK).await;
                line = slug.as_ref().and_then(|slug| dying.line(slug));
                if line.is_some() {
                    break;
                }
                dying.ask_where();
            }
            dying.kill();
            let scene = death::Scene { line, ..before };
            for (job, at) in begun {
                let failure = death::protocol(&job, at, &scene);
                job.end(Err(failure));
            }
        });
        self.recover(cell, waiting, true);
    }

    /// A cell has ended by itself: what it had begun fails, what only stood in its pipe goes to others.
    pub(super) fn lose(&self, cell: &Rc<Cell>) {
        let was = cell.state().phase;
        let exit = cell.state().exit;
        let scene = self.scene(cell);
        let (mut begun, waiting) = self.part_flights(cell);
        self.let_go(cell);
        self.note_death(cell);
        if was != Phase::Ready {
            // It died of its script's own top level: calls that wait for it would only kill the next one.
            begun.extend(self.take_queue(&cell.key).into_iter().map(|job| (job, None)));
        }
        match exit {
            None => {
                let dying = Dying { jobs: begun, scene, since: Instant::now() };
                self.state.borrow_mut().dying.insert(cell.id, dying);
                self.active.notify_one();
            }
            Some(exit) => {
                for (job, begun) in begun {
                    let failure = death::process_down(&job, begun, &scene, Some(exit));
                    job.end(Err(failure));
                }
            }
        }
        self.recover(cell, waiting, true);
    }

    /// Calls in a cell's pipe, parted into those that it may have begun and those that it has not.
    #[allow(clippy::type_complexity, reason = "a pair of lists, used three times here")]
    pub(super) fn part_flights(&self, cell: &Rc<Cell>) -> (Vec<(Job, Option<Instant>)>, Vec<Job>) {
        let flights: Vec<Flight> = cell.state_mut().flights.drain(..).collect();
        let mut begun = Vec::new();
        let mut waiting = Vec::new();
        for Flight { sequence, job, begun: at, .. } in flights {
            let Some(job) = job else { continue };
            if cell.has_begun(sequence) { begun.push((job, at)) } else { waiting.push(job) }
        }
        (begun, waiting)
    }

    /// Gives calls of a cell that has gone to others; `lost` is whether it died by itself.
    pub(super) fn recover(&self, cell: &Rc<Cell>, waiting: Vec<Job>, lost: bool) {
        self.take_back(&cell.key, waiting, lost);
        self.serve_waiting();
        self.pump(&cell.key);
    }
}

/// What an answer says.
enum Heard {
    Ended(Outcome),
    Skipped { late: bool },
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    frame::read(body).map_err(|error| error.to_string())
}

fn answer(operation: Operation, body: &Bytes) -> Result<(Heard, Option<Duration>), String> {
    let mut run = None;
    let outcome = match operation {
        Operation::Return => {
            let returned: Return<'_> = frame::borrow(body).map_err(|error| error.to_string())?;
            if !abi::are_notices(&returned.notices) {
                return Err("notices that no call may give".to_owned());
            }
            let took = Duration::from_micros(returned.run);
            run = Some(took);
            Ok(Done::Returned(Returned {
                value: body.slice_ref(returned.value),
                output: returned.output,
                run: took,
                notices: returned.notices,
            }))
        }
        Operation::Compiled => Ok(Done::Compiled(read::<Compiled>(body)?)),
        Operation::Attempted => Ok(Done::Attempted(read::<Attempted>(body)?)),
        Operation::Raised => {
            let raised: Raised = read(body)?;
            if !abi::are_notices(&raised.notices) {
                return Err("notices that no call may give".to_owned());
            }
            Err(raised_failure(raised))
        }
        Operation::Invalid => Err(invalid(read(body)?)),
        Operation::Refused => {
            let Complaint { path, problem, .. } = read(body)?;
            Err(Failure::RequestInvalid(Problem::new(path, problem)))
        }
        Operation::Skipped => {
            let Skipped { late } = read(body)?;
            return Ok((Heard::Skipped { late }, None));
        }
        Operation::Load
        | Operation::Call
        | Operation::Compile
        | Operation::Attempt
        | Operation::Answer
        | Operation::Cancel
        | Operation::Hello
        | Operation::Loaded
        | Operation::Ask
        | Operation::Drop => return Err(format!("{operation:?} in answer to a call")),
    };
    Ok((Heard::Ended(outcome), run))
}

fn raised_failure(raised: Raised) -> Failure {
    Failure::ActionFailed(ActionFailed {
        reason: Some(raised.reason.as_str().to_owned()),
        line: raised.line,
        refused: raised.refused.map(|refused| refused.chars().take(REFUSED_SIZE).collect()),
        exception: Some(raised.exception),
        output: raised.output.text(),
        ..ActionFailed::default()
    })
}

fn invalid(complaint: Complaint) -> Failure {
    let Problem { path, problem } = Problem::new(complaint.path, complaint.problem);
    let reason = complaint.too_large.then(|| "too_large".to_owned());
    let output = complaint.output.text();
    Failure::InvalidResponse(InvalidResponse {
        path,
        problem,
        reason,
        script: None,
        line: complaint.line,
        output,
    })
}
