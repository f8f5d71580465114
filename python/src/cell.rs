//! A cell's life: lock, say hello, then answer one frame after another until the node closes the pipe or breaks the
//! protocol. How a script runs lives in `run`; what the frames are, in `protocol`.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use protocol::frame::cell::Reason;
use protocol::frame::cell::{
    Attempted, Call, Compile, Complaint, Hello, Load, Loaded, Output, Raised, Return, Skipped,
};
use protocol::frame::{self, Header, Operation};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

use crate::codec::Problem;
use crate::lock::{self, Lock};
use crate::output::Streams;
use crate::page::Page;
use crate::pipe::{End, Input, Reply};
use crate::run::{Failure, Script};
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
    let (pipe, layers) = lock::apply(lock);
    if tell_where(py).and_then(|()| refusal::explain(py, page.refused())).is_err() {
        return End::Starved;
    }
    let pipe = Rc::new(pipe);
    let Ok(streams) = Streams::install(py, &page) else { return End::Starved };
    let mut input = Input::new(Rc::clone(&pipe));
    let reserve = Vec::with_capacity(RESERVE);
    let mut cell =
        Cell { py, page, streams, reply: Reply::new(pipe), value: Vec::new(), reserve, script: None };
    let hello =
        Hello { protocol: frame::VERSION, abi: protocol::abi::VERSION, python: python_version(), layers };
    if let Err(end) = cell.reply.send(Operation::Hello, 0, &hello, 0) {
        return end;
    }
    loop {
        if let Err(end) = input.next().and_then(|(header, body)| cell.handle(header, body)) {
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
    page: Page,
    streams: Streams,
    reply: Reply,
    /// The encoded result of a call; kept between calls for its memory.
    value: Vec<u8>,
    reserve: Vec<u8>,
    script: Option<Script<'py>>,
}

impl Cell<'_> {
    /// Answers one frame.
    fn handle(&mut self, header: Header, body: &[u8]) -> Result<(), End> {
        match header.operation {
            Operation::Load => self.load(header.sequence, body),
            Operation::Call => self.call(header.sequence, body),
            Operation::Compile => self.compile(header.sequence, body),
            Operation::Attempt => self.attempt(header.sequence),
            _ => Err(End::Malformed),
        }
    }

    fn load(&mut self, sequence: u64, body: &[u8]) -> Result<(), End> {
        let load: Load = frame::read(body).map_err(|_| End::Malformed)?;
        if self.script.is_some() {
            return Err(End::Malformed);
        }
        let reserve = &mut self.reserve;
        match Script::load(self.py, &load, self.page.refused(), || *reserve = Vec::new()) {
            Ok(script) => {
                let loaded = Loaded { many: script.many() };
                self.script = Some(script);
                // Nobody asked for what a script prints while it loads.
                self.streams.take();
                self.reply.send(Operation::Loaded, sequence, &loaded, 0)
            }
            Err(account) => self.raised(sequence, account),
        }
    }

    fn compile(&mut self, sequence: u64, body: &[u8]) -> Result<(), End> {
        let text: Compile = frame::read(body).map_err(|_| End::Malformed)?;
        if !self.page.begin(sequence) {
            return self.reply.send(Operation::Skipped, sequence, &Skipped { late: false }, 0);
        }
        let compiled = compile::look(self.py, &text.body);
        // The compiler's warnings.
        self.streams.take();
        let size = compiled.functions.iter().map(|name| name.len() + 5).sum();
        self.reply.send(Operation::Compiled, sequence, &compiled, size)
    }

    fn attempt(&mut self, sequence: u64) -> Result<(), End> {
        self.page.begin(sequence);
        let (refused, allowed) = lock::attempt::all();
        self.reply.send(Operation::Attempted, sequence, &Attempted { refused, allowed }, 0)
    }

    fn call(&mut self, sequence: u64, body: &[u8]) -> Result<(), End> {
        let call: Call<'_> = frame::borrow(body).map_err(|_| End::Malformed)?;
        let script = self.script.as_ref().ok_or(End::Malformed)?;
        let withdrawn = !self.page.begin(sequence);
        if withdrawn || sys::monotonic() > call.deadline {
            return self.reply.send(Operation::Skipped, sequence, &Skipped { late: !withdrawn }, 0);
        }
        self.value.clear();
        match script.answer(self.py, &call, &mut self.value) {
            Ok(run) => {
                let output = self.streams.take();
                let size = self.value.len() + size_of(&output);
                let body = Return { value: self.value.as_slice().into(), output, run };
                self.reply.send(Operation::Return, sequence, &body, size)
            }
            Err(Failure::Raised(error)) => {
                if error.is_instance_of::<PyMemoryError>(self.py) {
                    self.reserve = Vec::new();
                }
                let account = traceback::raised(self.py, &error, &script.origin, self.page.refused());
                drop(error);
                self.raised(sequence, account)
            }
            Err(Failure::Missing(text)) => {
                self.raised(sequence, Account::plain(Reason::EntrypointMissing, text))
            }
            Err(Failure::Refused(problem)) => self.complain(Operation::Refused, sequence, problem, None),
            Err(Failure::Invalid(problem)) => {
                let line = script.line_of(&call);
                self.complain(Operation::Invalid, sequence, problem, line)
            }
            Err(Failure::Malformed) => Err(End::Malformed),
        }
    }

    fn raised(&mut self, sequence: u64, account: Account) -> Result<(), End> {
        let Account { reason, exception, line, refused } = account;
        let output = self.streams.take();
        let size = exception.len() + size_of(&output);
        let raised = Raised { reason, exception, line, refused, output };
        self.reply.send(Operation::Raised, sequence, &raised, size)
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
        let output = self.streams.take();
        let size = path.len() + problem.len() + size_of(&output);
        self.reply.send(operation, sequence, &Complaint { path, problem, too_large, line, output }, size)
    }
}

/// What printed text takes in a frame, in bytes.
fn size_of(output: &Output) -> usize {
    output.stdout.len() + output.stderr.len()
}
