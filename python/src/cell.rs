//! A cell's life: lock, say hello, then answer one frame after another until the node closes the pipe or breaks the
//! protocol. How a script runs lives in `run`; what the frames are, in `protocol`.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use protocol::frame::cell::Reason;
use protocol::frame::cell::{
    Attempted, Call, Compile, Complaint, Declared, Hello, Load, Loaded, Output, Raised, Return, Skipped,
};
use protocol::frame::{self, Operation};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::ask::{self, Line};
use crate::codec::Problem;
use crate::lock::{self, Lock};
use crate::output::Streams;
use crate::page::Page;
use crate::pipe::{End, Input, Reply};
use crate::run::{Failure, Prepared, Script};
use crate::traceback::{self, Account};
use crate::{compile, refusal, sys};

/// Memory that is given back when a script has used up its own, so that this can still be told.
const RESERVE: usize = 4 << 20;

/// The interpreter's version, such as `3.11.7`.
pub(crate) fn python_version() -> String {
    Python::version_str().split_whitespace().next().unwrap_or_default().to_owned()
}

/// The rest of a forked process's life.
pub(crate) fn live(py: Python<'_>, lock: Lock) -> ! {
    // Nothing may ever return into the zygote's code in this process.
    let end = std::panic::catch_unwind(AssertUnwindSafe(|| serve(py, lock)));
    sys::exit(end.map_or(sys::DENIED, End::status))
}

fn serve(py: Python<'_>, lock: Lock) -> End {
    let Ok(page) = Page::map(&lock.page) else { return End::Malformed };
    if sys::unblock_children().is_err() {
        return End::Starved;
    }
    if lock::trap::install(page.refused()).is_err() {
        return End::Starved;
    }
    let open = refusal::Open { files: lock.folders().next().is_some(), network: lock.network() };
    if matches!(open.network, Some(lock::Reached::Ports(_))) && sys::names_by_tcp().is_err() {
        return End::Starved;
    }
    let (pipe, layers) = lock::apply(lock);
    // The audit hook is a part of what the lock costs: where nothing is refused there is nothing to explain.
    let explain = || if lock::IN_FORCE { refusal::explain(py, page.refused(), open) } else { Ok(()) };
    if tell_where(py).and_then(|()| explain()).is_err() {
        return End::Starved;
    }
    let pipe = Rc::new(pipe);
    let Ok(streams) = Streams::install(py, &page) else { return End::Starved };
    let line = Line::new(Input::new(Rc::clone(&pipe)), Reply::new(pipe), page);
    if line.install(py).is_err() {
        return End::Starved;
    }
    let reserve = Vec::with_capacity(RESERVE);
    let mut cell = Cell { py, line, streams, value: Vec::new(), reserve, script: None };
    let hello =
        Hello { protocol: frame::VERSION, abi: protocol::abi::VERSION, python: python_version(), layers };
    if let Err(end) = cell.line.send(Operation::Hello, 0, &hello, 0) {
        return end;
    }
    loop {
        if let Err(end) = cell.turn() {
            return end;
        }
    }
}

/// Has the interpreter's own fault handler write to the page where the script stands: when the node asks just before
/// it kills, and when the interpreter crashes. The handler runs between any two machine instructions, so the script is
/// found inside of a regular expression too.
fn tell_where(py: Python<'_>) -> PyResult<()> {
    let handler = py.import("faulthandler")?;
    handler.call_method1("enable", (lock::PAGE, false))?;
    handler.call_method1("register", (libc::SIGUSR1, lock::PAGE, false, false))?;
    Ok(())
}

/// `os._exit` of a cell: what the call was at is written to the page first, so that its end is explained.
#[pyfunction]
pub(crate) fn leave(py: Python<'_>, status: i32) {
    // Nothing of this may keep the process from its end.
    let _ = py
        .import("faulthandler")
        .and_then(|handler| handler.call_method1("dump_traceback", (lock::PAGE, false)));
    sys::exit(status)
}

struct Cell<'py> {
    py: Python<'py>,
    line: Rc<Line>,
    streams: Streams,
    /// The encoded result of a call; kept between calls for its memory.
    value: Vec<u8>,
    reserve: Vec<u8>,
    script: Option<Script<'py>>,
}

impl<'py> Cell<'py> {
    /// Answers one frame. What the frame's body holds is decoded before anything of the script runs: the script may
    /// have to read further frames.
    fn turn(&mut self) -> Result<(), End> {
        let line = Rc::clone(&self.line);
        let mut input = line.input()?;
        let (header, body) = input.next()?;
        let sequence = header.sequence;
        match header.operation {
            Operation::Load => {
                let load = frame::read(body).map_err(|_| End::Malformed)?;
                drop(input);
                self.load(sequence, &load)
            }
            Operation::Call => {
                let prepared = self.prepare(sequence, body);
                drop(input);
                self.call(sequence, prepared?)
            }
            Operation::Compile => {
                let text = frame::read(body).map_err(|_| End::Malformed)?;
                drop(input);
                self.compile(sequence, &text)
            }
            Operation::Attempt => {
                drop(input);
                self.attempt(sequence)
            }
            // For a call that had ended meanwhile.
            Operation::Answer | Operation::Cancel => Ok(()),
            _ => Err(End::Malformed),
        }
    }

    fn load(&mut self, sequence: u64, load: &Load) -> Result<(), End> {
        if self.script.is_some() {
            return Err(End::Malformed);
        }
        self.line.grant(&load.capabilities);
        let reserve = &mut self.reserve;
        match Script::load(self.py, load, self.line.page.refused(), || *reserve = Vec::new()) {
            Ok(mut script) => {
                let (many, asynchronous) = (script.many(), script.asynchronous());
                let loaded = Loaded { many, asynchronous, actions: script.told() };
                let told = |one: &Declared| one.name.len() + one.input.len() + one.output.len() + 512;
                let size = loaded.actions.iter().map(told).sum();
                self.script = Some(script);
                // Nobody asked for what a script prints while it loads, or says to its callers.
                self.streams.take();
                self.line.end();
                self.line.send(Operation::Loaded, sequence, &loaded, size)
            }
            Err(account) => self.raised(sequence, account),
        }
    }

    fn compile(&mut self, sequence: u64, text: &Compile) -> Result<(), End> {
        if !self.line.page.begin(sequence) {
            return self.line.send(Operation::Skipped, sequence, &Skipped { late: false }, 0);
        }
        let compiled = compile::look(self.py, &text.body);
        // The compiler's warnings.
        self.streams.take();
        let size = compiled.functions.iter().map(|name| name.len() + 5).sum();
        self.line.send(Operation::Compiled, sequence, &compiled, size)
    }

    fn attempt(&mut self, sequence: u64) -> Result<(), End> {
        self.line.page.begin(sequence);
        let (refused, allowed) = lock::attempt::all();
        self.line.send(Operation::Attempted, sequence, &Attempted { refused, allowed }, 0)
    }

    /// Decodes a call, or says that it is not to be begun.
    fn prepare(&self, sequence: u64, body: &[u8]) -> Result<Begun<'py>, End> {
        let call: Call<'_> = frame::borrow(body).map_err(|_| End::Malformed)?;
        let script = self.script.as_ref().ok_or(End::Malformed)?;
        let withdrawn = !self.line.page.begin(sequence);
        if withdrawn || sys::monotonic() > call.deadline {
            return Ok(Begun::Skipped { late: !withdrawn });
        }
        Ok(Begun::Prepared(script.prepare(self.py, &call)))
    }

    fn call(&mut self, sequence: u64, begun: Begun<'py>) -> Result<(), End> {
        let prepared = match begun {
            Begun::Prepared(prepared) => prepared,
            Begun::Skipped { late } => {
                return self.line.send(Operation::Skipped, sequence, &Skipped { late }, 0);
            }
        };
        self.value.clear();
        self.line.begin(sequence);
        let answered = match (prepared, &self.script) {
            (Ok(prepared), Some(script)) => script.answer(prepared, &mut self.value),
            (Err(failure), _) => Err(failure),
            (_, None) => Err(Failure::Malformed),
        };
        match answered {
            Ok(run) => {
                let (notices, output) = (self.line.end(), self.streams.take());
                let size = self.value.len() + size_of(&output, &notices);
                let body = Return { value: self.value.as_slice().into(), output, run, notices };
                self.line.send(Operation::Return, sequence, &body, size)
            }
            Err(Failure::Raised(error)) => {
                let account = self.account(&error)?;
                drop(error);
                self.raised(sequence, account)
            }
            Err(Failure::Missing(text)) => {
                self.raised(sequence, Account::plain(Reason::EntrypointMissing, text))
            }
            Err(Failure::Refused(problem)) => self.complain(Operation::Refused, sequence, problem, None),
            Err(Failure::Invalid(problem, line)) => {
                self.complain(Operation::Invalid, sequence, problem, line)
            }
            Err(Failure::Malformed) => Err(End::Malformed),
        }
    }

    /// What is told of an exception that a call raised.
    fn account(&mut self, error: &PyErr) -> Result<Account, End> {
        if error.is_instance_of::<PyMemoryError>(self.py) {
            self.reserve = Vec::new();
        }
        let script = self.script.as_ref().ok_or(End::Malformed)?;
        let mut account = traceback::raised(self.py, error, &script.origin, self.line.page.refused());
        account.reason = ask::reason(self.py, error).unwrap_or(account.reason);
        Ok(account)
    }

    fn raised(&mut self, sequence: u64, account: Account) -> Result<(), End> {
        let Account { reason, exception, line, refused } = account;
        let (notices, output) = (self.line.end(), self.streams.take());
        let size = exception.len() + size_of(&output, &notices);
        let body = Raised { reason, exception, line, refused, output, notices };
        self.line.send(Operation::Raised, sequence, &body, size)
    }

    fn complain(
        &mut self,
        operation: Operation,
        sequence: u64,
        problem: Problem,
        line: Option<u32>,
    ) -> Result<(), End> {
        let too_large = problem.is_size();
        let Problem { path, problem } = problem;
        self.line.end();
        let output = self.streams.take();
        let size = path.len() + problem.len() + size_of(&output, &[]);
        self.line.send(operation, sequence, &Complaint { path, problem, too_large, line, output }, size)
    }
}

/// A call that was decoded.
enum Begun<'py> {
    /// It is to run; or why it cannot.
    Prepared(Result<Prepared<'py>, Failure>),
    /// It is not to run.
    Skipped {
        /// Whether its deadline was past; else it was withdrawn.
        late: bool,
    },
}

/// What printed text and notices take in a frame, in bytes.
fn size_of(output: &Output, notices: &[String]) -> usize {
    let notices: usize = notices.iter().map(|notice| notice.len() + 5).sum();
    output.stdout.len() + output.stderr.len() + notices
}
