//! What a call has with the node while it runs: it asks for something and hears what came of it, it hears that it was
//! cancelled, and it collects notices. Python's side of it, the event loop, is `callboard/_loop.py`.
//!
//! Frames of later calls that come meanwhile are set aside; `cell` takes them when their turn has come.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use protocol::Format;
use protocol::abi::{LONGEST_NOTICE, MOST_NOTICES};
use protocol::capability::Capability;
use protocol::frame::ask::{Answer, Ask, COMPLETE, Dropped, Failed, LARGEST_PAYLOAD, MOST, Outcome};
use protocol::frame::cell::Reason;
use protocol::frame::{self, Operation};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde::Serialize;

use crate::codec;
use crate::page::Page;
use crate::pipe::{End, Input, Reply};
use crate::sys;

/// Longest single wait; whoever waits longer waits again.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A cell's pipe and page, and the call that runs.
pub(crate) struct Line {
    input: RefCell<Input>,
    reply: RefCell<Reply>,
    /// What node and cell tell each other past the pipe.
    pub(crate) page: Page,
    /// The running call's sequence; zero when none runs.
    running: Cell<u64>,
    /// The number of the last question.
    last: Cell<u32>,
    /// Questions that wait for their answers.
    open: RefCell<Vec<u32>>,
    may_ask: Cell<bool>,
    notices: RefCell<Vec<String>>,
}

impl Line {
    /// Nothing runs yet.
    pub(crate) fn new(input: Input, reply: Reply, page: Page) -> Rc<Self> {
        Rc::new(Self {
            input: RefCell::new(input),
            reply: RefCell::new(reply),
            page,
            running: Cell::new(0),
            last: Cell::new(0),
            open: RefCell::default(),
            may_ask: Cell::new(false),
            notices: RefCell::default(),
        })
    }

    /// Makes this line the one that Python code in this process has.
    ///
    /// # Errors
    /// Python's.
    pub(crate) fn install(self: &Rc<Self>, py: Python<'_>) -> PyResult<()> {
        py.import("callboard._loop")?.setattr("node", Node(Rc::clone(self)))
    }

    /// Says what calls may ask for.
    pub(crate) fn grant(&self, capabilities: &[Capability]) {
        self.may_ask.set(capabilities.contains(&Capability::Llm));
    }

    /// Where frames come from.
    pub(crate) fn input(&self) -> Result<RefMut<'_, Input>, End> {
        self.input.try_borrow_mut().map_err(|_| End::Malformed)
    }

    /// Sends a frame; see [`Reply::send`].
    ///
    /// # Errors
    /// The cell's end.
    pub(crate) fn send<T: Serialize>(
        &self,
        operation: Operation,
        sequence: u64,
        body: &T,
        size: usize,
    ) -> Result<(), End> {
        let mut reply = self.reply.try_borrow_mut().map_err(|_| End::Malformed)?;
        reply.send(operation, sequence, body, size)
    }

    /// From here on questions are this call's.
    pub(crate) fn begin(&self, sequence: u64) {
        self.running.set(sequence);
        self.open.take();
    }

    /// The call has ended; its notices. Answers that still come are nobody's.
    pub(crate) fn end(&self) -> Vec<String> {
        self.running.set(0);
        self.notices.take()
    }

    /// Takes a question from those that wait; whether it was one of them.
    fn close(&self, ask: u32) -> bool {
        let mut open = self.open.borrow_mut();
        let found = open.iter().position(|other| *other == ask);
        found.map(|place| open.swap_remove(place)).is_some()
    }

    /// Sends a frame of the running call.
    fn tell<T: Serialize>(&self, operation: Operation, body: &T, size: usize) {
        // Without the node there is nothing that this process could still do.
        if let Err(end) = self.send(operation, self.running.get(), body, size) {
            sys::exit(end.status());
        }
    }

    /// What has come for the running call; waits for it, at most that long.
    fn hear(&self, timeout: Option<Duration>) -> Result<Vec<Heard>, End> {
        let mut input = self.input()?;
        let mut heard = self.sort(&mut input)?;
        if heard.is_empty() {
            let waits = timeout != Some(Duration::ZERO);
            if waits {
                self.page.waits(self.running.get());
            }
            let more = input.wait(timeout);
            if waits {
                self.page.waits(0);
            }
            if more? {
                heard = self.sort(&mut input)?;
            }
        }
        Ok(heard)
    }

    /// Parts what has come into what is for the running call and what is for later.
    fn sort(&self, input: &mut Input) -> Result<Vec<Heard>, End> {
        let mut heard = Vec::new();
        while let Some((header, body)) = input.come()? {
            let running = header.sequence == self.running.get();
            match header.operation {
                Operation::Answer => {
                    let answer: Answer<'_> = frame::borrow(body).map_err(|_| End::Malformed)?;
                    if running && self.close(answer.ask) {
                        heard.push(Heard::of(answer));
                    }
                }
                Operation::Cancel if running => heard.push(Heard::Cancel),
                Operation::Cancel => {}
                Operation::Call | Operation::Compile => {
                    let body = body.to_vec();
                    input.set_aside(header, body);
                }
                _ => return Err(End::Malformed),
            }
        }
        Ok(heard)
    }
}

/// What came for the running call.
enum Heard {
    /// A question has its answer.
    Data(u32, Vec<u8>),
    /// A question failed.
    Failed(u32, Failed),
    /// The call should end.
    Cancel,
}

impl Heard {
    fn of(answer: Answer<'_>) -> Self {
        match answer.outcome {
            Outcome::Data(data) => Self::Data(answer.ask, data.to_vec()),
            Outcome::Failed(failed) => Self::Failed(answer.ask, failed),
        }
    }

    /// As the event loop takes it: the question's number or `None` for a cancel, the data, how it failed.
    fn told(self, py: Python<'_>) -> PyResult<Told> {
        let failed =
            |ask, code: String, reason, message| (Some(ask), py.None(), Some((code, reason, message)));
        Ok(match self {
            Self::Cancel => (None, py.None(), None),
            Self::Failed(ask, Failed { code, reason, message }) => failed(ask, code, reason, message),
            Self::Data(ask, data) => match codec::read(py, Format::MessagePack, &data, "data") {
                Ok(data) => (Some(ask), data.unbind(), None),
                Err(problem) => {
                    let message = format!("{}: {}", problem.path, problem.problem);
                    failed(ask, "PY_INVALID_RESPONSE".to_owned(), None, Some(message))
                }
            },
        })
    }
}

/// One event for the loop: the question's number, its data, its failure as code, reason and message.
type Told = (Option<u32>, Py<PyAny>, Option<(String, Option<String>, Option<String>)>);

/// The node, as the package `callboard` reaches it.
#[pyclass(unsendable, frozen)]
struct Node(Rc<Line>);

#[pymethods]
impl Node {
    /// What has come for the running call; waits for it, at most so many seconds.
    fn select(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<Told>> {
        let timeout = timeout.map(|seconds| {
            Duration::try_from_secs_f64(seconds.max(0.0)).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
        });
        match self.0.hear(timeout) {
            Ok(heard) => heard.into_iter().map(|heard| heard.told(py)).collect(),
            Err(end) => sys::exit(end.status()),
        }
    }

    /// Whether the running call waits for something besides the node, until this says otherwise.
    fn waiting(&self, waits: bool) {
        self.0.page.waits(if waits { self.0.running.get() } else { 0 });
    }

    /// Whether calls may ask for a model.
    fn may_ask(&self) -> bool {
        self.0.may_ask.get()
    }

    /// Asks for a model's answer; the question's number.
    fn ask(&self, payload: &Bound<'_, PyAny>) -> PyResult<u32> {
        let line = &self.0;
        if line.running.get() == 0 {
            return Err(PyRuntimeError::new_err("only a call that runs can ask for something"));
        }
        if line.open.borrow().len() >= MOST {
            return Err(PyRuntimeError::new_err(format!("a call waits for at most {MOST} answers at once")));
        }
        let mut bytes = Vec::new();
        codec::write(Format::MessagePack, payload, "payload", LARGEST_PAYLOAD, &mut bytes)
            .map_err(|problem| PyValueError::new_err(format!("{}: {}", problem.path, problem.problem)))?;
        let number = line.last.get().wrapping_add(1);
        line.last.set(number);
        line.open.borrow_mut().push(number);
        let body = Ask { ask: number, action: COMPLETE, payload: bytes.as_slice().into() };
        line.tell(Operation::Ask, &body, bytes.len());
        Ok(number)
    }

    /// Gives up a question that has no answer yet.
    fn drop(&self, ask: u32) {
        let line = &self.0;
        if line.running.get() != 0 && line.close(ask) {
            line.tell(Operation::Drop, &Dropped { ask }, 0);
        }
    }

    /// Whether the running call should end.
    fn cancelled(&self) -> bool {
        let running = self.0.running.get();
        running != 0 && self.0.page.is_cancelled(running)
    }

    /// Keeps a notice for the call's outcome.
    fn notice(&self, text: &Bound<'_, PyString>) -> PyResult<()> {
        let length = text.len()?;
        if length > LONGEST_NOTICE {
            let problem = format!("a notice has at most {LONGEST_NOTICE} characters, not {length}");
            return Err(PyValueError::new_err(problem));
        }
        let text = text.to_string_lossy().into_owned();
        let Ok(mut notices) = self.0.notices.try_borrow_mut() else {
            return Err(PyRuntimeError::new_err("a notice while another one is kept"));
        };
        if notices.len() >= MOST_NOTICES {
            return Err(PyValueError::new_err(format!("a call gives at most {MOST_NOTICES} notices")));
        }
        notices.try_reserve(1).map_err(|_| PyMemoryError::new_err("out of memory"))?;
        notices.push(text);
        Ok(())
    }
}

/// The reason of an exception of ours that a reply should bear instead of `raised`.
pub(crate) fn reason(py: Python<'_>, error: &PyErr) -> Option<Reason> {
    let class = py.import("callboard.errors").and_then(|module| module.getattr("ActionError")).ok()?;
    if !error.is_instance(py, &class) {
        return None;
    }
    let word: String = error.value(py).getattr("reason").ok()?.extract().ok()?;
    (word == Reason::CapabilityNotGranted.as_str()).then_some(Reason::CapabilityNotGranted)
}
