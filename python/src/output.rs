//! What scripts print: standard output and error of one call, each up to a limit, kept on the page so that the node finds
//! it when the cell dies. What becomes of the text lives in `cell`.

use protocol::frame::cell::Output;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};

use crate::page::{Page, Text};

/// What stands where text was cut.
const MARK: &str = "\n[cut]\n";

/// `sys.stdout` or `sys.stderr` of a cell: a text stream that can only be written.
#[pyclass(name = "Stream", frozen)]
pub(crate) struct Stream(Text);

impl Stream {
    /// The text since the last time, and whether it was cut.
    fn take(&self) -> (String, bool) {
        let (mut text, cut) = self.0.take();
        if cut {
            text.push_str(MARK);
        }
        (text, cut)
    }
}

#[pymethods]
impl Stream {
    /// Keeps what still fits; the number of characters written, as if all did.
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let length = text.len()?;
        let Some(free) = self.0.free() else { return Ok(length) };
        // A character is at least one byte: what is further behind cannot fit, and is not converted.
        let whole = length <= free;
        let part = if whole { text.clone() } else { slice(text, free)? };
        let written = part.to_string_lossy();
        // Python may have collected garbage meanwhile, and a finaliser may have printed.
        let Some(free) = self.0.free() else { return Ok(length) };
        let fits = head(&written, free);
        self.0.push(fits, !whole || fits.len() < written.len());
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
    pub(crate) fn install(py: Python<'_>, page: &Page) -> PyResult<Self> {
        let stream = |text| Py::new(py, Stream(text));
        let streams = Self { stdout: stream(page.stdout())?, stderr: stream(page.stderr())? };
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
