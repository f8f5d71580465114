//! What scripts print: standard output and error of one call, each up to a limit, and not a byte more in memory.
//! What becomes of the text lives in `cell`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::abi::LARGEST_OUTPUT;
use protocol::frame::cell::Output;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};

/// What stands where text was cut.
const MARK: &str = "\n[cut]\n";

/// The text so far.
#[derive(Default)]
struct Text {
    kept: String,
    cut: bool,
}

impl Text {
    /// How many bytes still fit; nothing once something was cut.
    fn free(&self) -> Option<usize> {
        if self.cut { None } else { LARGEST_OUTPUT.checked_sub(self.kept.len()) }
    }

    /// Keeps what fits. `cut` says that `text` is only the first part of what was written.
    fn push(&mut self, text: &str, cut: bool) {
        if let Some(free) = self.free() {
            let fits = head(text, free);
            self.kept.push_str(fits);
            self.cut = cut || fits.len() < text.len();
        }
    }
}

/// `sys.stdout` or `sys.stderr` of a cell: a text stream that can only be written.
#[pyclass(name = "Stream", frozen)]
pub(crate) struct Stream(Mutex<Text>);

impl Stream {
    fn text(&self) -> MutexGuard<'_, Text> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text since the last time, and whether it was cut.
    fn take(&self) -> (String, bool) {
        let mut text = self.text();
        if text.cut {
            text.kept.push_str(MARK);
        }
        (std::mem::take(&mut text.kept), std::mem::take(&mut text.cut))
    }
}

#[pymethods]
impl Stream {
    /// Keeps what still fits; the number of characters written, as if all did.
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let length = text.len()?;
        let Some(free) = self.text().free() else { return Ok(length) };
        // A character is at least one byte: what is further behind cannot fit, and is not converted. No lock is held
        // meanwhile: Python may collect garbage here, and a finaliser may print.
        let fits = length <= free;
        let head = if fits { text.clone() } else { slice(text, free)? };
        self.text().push(&head.to_string_lossy(), !fits);
        Ok(length)
    }

    /// Writes each line as it is.
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in PyIterator::from_object(lines)? {
            self.write(line?.cast()?)?;
        }
        Ok(())
    }

    /// Nothing waits to be written.
    const fn flush(&self) {}

    /// This stream is no terminal.
    const fn isatty(&self) -> bool {
        false
    }

    /// This stream can not be read.
    const fn readable(&self) -> bool {
        false
    }

    /// This stream can be written.
    const fn writable(&self) -> bool {
        true
    }

    /// This stream has no positions.
    const fn seekable(&self) -> bool {
        false
    }

    /// There is no descriptor behind this stream.
    fn fileno(&self) -> PyResult<i32> {
        Err(PyOSError::new_err("the output of a script has no file descriptor"))
    }

    /// How text is encoded.
    #[getter]
    const fn encoding(&self) -> &'static str {
        "utf-8"
    }

    /// What becomes of characters that cannot be encoded.
    #[getter]
    const fn errors(&self) -> &'static str {
        "replace"
    }

    /// This stream stays open.
    #[getter]
    const fn closed(&self) -> bool {
        false
    }
}

/// What of a text fits into so many bytes, cut at a character's border.
pub(crate) fn head(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The first characters of a text.
fn slice<'py>(text: &Bound<'py, PyString>, characters: usize) -> PyResult<Bound<'py, PyString>> {
    let part = pyo3::types::PySlice::new(text.py(), 0, isize::try_from(characters)?, 1);
    Ok(text.get_item(part)?.cast_into()?)
}

/// Both streams of a cell.
pub(crate) struct Streams {
    stdout: Py<Stream>,
    stderr: Py<Stream>,
}

impl Streams {
    /// Puts streams of the cell's own into `sys`.
    ///
    /// # Errors
    /// Python's, for want of memory.
    pub(crate) fn install(py: Python<'_>) -> PyResult<Self> {
        let stream = || Py::new(py, Stream(Mutex::default()));
        let streams = Self { stdout: stream()?, stderr: stream()? };
        let sys = py.import("sys")?;
        sys.setattr("stdout", &streams.stdout)?;
        sys.setattr("stderr", &streams.stderr)?;
        Ok(streams)
    }

    /// What was printed since the last time.
    pub(crate) fn take(&self) -> Output {
        let (stdout, stdout_cut) = self.stdout.get().take();
        let (stderr, stderr_cut) = self.stderr.get().take();
        Output { stdout, stderr, truncated: stdout_cut || stderr_cut }
    }
}
