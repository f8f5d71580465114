//! What went wrong in a script, in the words that its author reads: the script's own frames and the exception, bounded
//! in every direction, since both come from code that may be hostile. What happens with it lives in `cell`.

use std::collections::VecDeque;
use std::fmt::Write;

use protocol::frame::cell::Reason;
use pyo3::exceptions::{PyMemoryError, PySyntaxError};
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyString, PyType};

use crate::output;
use crate::page::Name;
use crate::refusal::{self, Refusal};

/// Most bytes of the whole text.
const LARGEST: usize = 8 * 1024;

/// Most characters of one exception's own text.
const LONGEST: usize = 2048;

/// How many of the outermost frames are shown, and how many of the innermost.
const OUTER: usize = 5;
const INNER: usize = 15;

/// How many exceptions behind the last one are told.
const CAUSES: usize = 4;

/// What stands where text was cut.
const MARK: &str = "\n[cut]";

/// How the frames and types of a script are told from others.
pub(crate) struct Origin {
    /// The name of its code: `<slug>.py`.
    pub(crate) file: String,
    /// The name of its module.
    pub(crate) module: String,
}

/// What is told of an exception.
pub(crate) struct Account {
    /// What kind of failure it is.
    pub(crate) reason: Reason,
    /// The frames and the text.
    pub(crate) exception: String,
    /// The innermost line in the script.
    pub(crate) line: Option<u32>,
    /// What the lock refused, if that is why.
    pub(crate) refused: Option<String>,
}

impl Account {
    /// A failure that no exception stands for.
    pub(crate) const fn plain(reason: Reason, exception: String) -> Self {
        Self { reason, exception, line: None, refused: None }
    }
}

/// What is told of an exception that the script raised; `refused` is what the lock refused to the call last.
pub(crate) fn raised(py: Python<'_>, error: &PyErr, origin: &Origin, refused: &Name) -> Account {
    let refusal = refusal::behind(py, error, refused);
    let reason = if error.is_instance_of::<PyMemoryError>(py) { Reason::Memory } else { Reason::Raised };
    let value = error.value(py);
    let frames = Frames::of(error.traceback(py).map(Bound::into_any), &origin.file);
    let mut exception = frames.text();
    exception.push_str(&headline(value, origin));
    for (relation, earlier) in causes(value) {
        let _ = write!(exception, "\n{relation} {}", headline(&earlier, origin));
        if let Some(line) = Frames::of(earlier.getattr("__traceback__").ok(), &origin.file).line() {
            let _ = write!(exception, " (line {line})");
        }
    }
    if let Some(Refusal { name, advice, told: false }) = &refusal {
        let _ = write!(exception, "\n{name} is refused: {advice}");
    }
    let refused = refusal.map(|refusal| refusal.name);
    Account { reason, exception: cut(exception), line: frames.line(), refused }
}

/// What is told of a script that does not compile.
pub(crate) fn uncompiled(py: Python<'_>, error: &PyErr, origin: &Origin) -> Account {
    let memory = error.is_instance_of::<PyMemoryError>(py);
    let reason = if memory { Reason::Memory } else { Reason::Syntax };
    let value = error.value(py);
    let syntax = error.is_instance_of::<PySyntaxError>(py);
    let line = if syntax { value.getattr("lineno").and_then(|line| line.extract()).ok() } else { None };
    Account { reason, exception: cut(headline(value, origin)), line, refused: None }
}

/// The exceptions that led to this one, nearest first, and how.
fn causes<'py>(value: &Bound<'py, PyAny>) -> Vec<(&'static str, Bound<'py, PyAny>)> {
    let mut found: Vec<(&'static str, Bound<'py, PyAny>)> = Vec::new();
    let given =
        |of: &Bound<'py, PyAny>, name: &str| of.getattr(name).ok().filter(|earlier| !earlier.is_none());
    let mut last = value.clone();
    while found.len() < CAUSES {
        let hidden =
            last.getattr("__suppress_context__").is_ok_and(|hidden| hidden.is_truthy().unwrap_or(true));
        let next = match given(&last, "__cause__") {
            Some(cause) => ("caused by", cause),
            None => match given(&last, "__context__") {
                Some(context) if !hidden => ("while handling", context),
                _ => break,
            },
        };
        last = next.1.clone();
        found.push(next);
    }
    found
}

/// The frames of the script in one traceback.
#[derive(Default)]
struct Frames {
    outer: Vec<(u32, String)>,
    left_out: usize,
    inner: VecDeque<(u32, String)>,
}

impl Frames {
    /// The frames from the outermost entry of a traceback on.
    fn of(mut next: Option<Bound<'_, PyAny>>, file: &str) -> Self {
        let mut frames = Self::default();
        while let Some(entry) = next.filter(|entry| !entry.is_none()) {
            if let Ok(Some(frame)) = of_script(&entry, file) {
                frames.push(frame);
            }
            next = entry.getattr("tb_next").ok();
        }
        frames
    }

    fn push(&mut self, frame: (u32, String)) {
        if self.outer.len() < OUTER {
            self.outer.push(frame);
            return;
        }
        if self.inner.len() == INNER {
            self.inner.pop_front();
            self.left_out += 1;
        }
        self.inner.push_back(frame);
    }

    fn line(&self) -> Option<u32> {
        self.inner.back().or(self.outer.last()).map(|(line, _)| *line)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (line, name) in &self.outer {
            let _ = writeln!(text, "line {line}, in {name}");
        }
        if self.left_out > 0 {
            let _ = writeln!(text, "[{} more]", self.left_out);
        }
        for (line, name) in &self.inner {
            let _ = writeln!(text, "line {line}, in {name}");
        }
        text
    }
}

/// Line and function of one entry of a traceback, if it is in the script's file.
fn of_script(entry: &Bound<'_, PyAny>, file: &str) -> PyResult<Option<(u32, String)>> {
    let code = entry.getattr("tb_frame")?.getattr("f_code")?;
    if code.getattr("co_filename")?.cast::<PyString>()?.to_str()? != file {
        return Ok(None);
    }
    let line = entry.getattr("tb_lineno")?.extract().unwrap_or(0);
    Ok(Some((line, shown(code.getattr("co_name")?.cast()?, 100))))
}

/// `Type: text` of an exception. Its `__str__` may be anyone's.
fn headline(value: &Bound<'_, PyAny>, origin: &Origin) -> String {
    let class = value.get_type();
    let module = class.getattr("__module__").ok().and_then(|module| Some(shown(module.cast().ok()?, 100)));
    let name = match module {
        Some(module) if module != "builtins" && module != origin.module => {
            format!("{module}.{}", type_name(&class))
        }
        _ => type_name(&class),
    };
    match value.str() {
        Ok(text) => match shown(&text, LONGEST) {
            text if text.is_empty() => name,
            text => format!("{name}: {text}"),
        },
        Err(_) => format!("{name}: [its text cannot be made]"),
    }
}

/// A class's own name.
pub(crate) fn type_name(class: &Bound<'_, PyType>) -> String {
    match class.qualname() {
        Ok(name) => shown(&name, 100),
        Err(_) => "[a class without a name]".to_owned(),
    }
}

/// A text, at most so many characters of it. Only these are converted.
fn shown(text: &Bound<'_, PyString>, characters: usize) -> String {
    let head = || {
        let end = isize::try_from(characters).unwrap_or(isize::MAX);
        text.get_item(PySlice::new(text.py(), 0, end, 1)).and_then(|head| Ok(head.cast_into::<PyString>()?))
    };
    match text.len() {
        Ok(length) if length <= characters => text.to_string_lossy().into_owned(),
        _ => head().map(|head| head.to_string_lossy().into_owned() + "…").unwrap_or_default(),
    }
}

fn cut(text: String) -> String {
    if text.len() <= LARGEST { text } else { output::head(&text, LARGEST - MARK.len()).to_owned() + MARK }
}
