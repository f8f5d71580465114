//! The codec as functions of the extension module: what its own tests and benchmarks call.
//!
//! Cells do not come this way; the pipe calls [`read`](super::read) and [`write`](super::write).

use super::{Format, Problem};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Room for a usual payload, in bytes; the pipe keeps its buffer from call to call and has it too.
const USUAL: usize = 16 << 10;

pyo3::create_exception!(
    _callboard,
    CodecError,
    PyValueError,
    "A payload that cannot be read or a value that cannot be written; see `path` and `problem`."
);

/// Adds `loads`, `dumps` and `CodecError` to the extension module.
///
/// # Errors
/// Whatever Python raises while it adds them.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CodecError", module.py().get_type::<CodecError>())?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_function(wrap_pyfunction!(dumps, module)?)
}

/// The value that `data` holds in `format` ("json" or "msgpack"); paths of errors start with `root`.
#[pyfunction]
#[pyo3(signature = (format, data, root = "value"))]
fn loads<'py>(py: Python<'py>, format: &str, data: &[u8], root: &str) -> PyResult<Bound<'py, PyAny>> {
    super::read(py, named(format)?, data, root).map_err(|problem| error(py, problem))
}

/// `value` in `format` ("json" or "msgpack"), of at most `max_bytes`; paths of errors start with `root`.
#[pyfunction]
#[pyo3(signature = (format, value, max_bytes, root = "value"))]
fn dumps<'py>(
    format: &str,
    value: &Bound<'py, PyAny>,
    max_bytes: usize,
    root: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::with_capacity(USUAL);
    super::write(named(format)?, value, root, max_bytes, &mut out)
        .map_err(|problem| error(value.py(), problem))?;
    Ok(PyBytes::new(value.py(), &out))
}

fn named(format: &str) -> PyResult<Format> {
    match format {
        "json" => Ok(Format::Json),
        "msgpack" => Ok(Format::MessagePack),
        _ => Err(PyValueError::new_err("the format is neither \"json\" nor \"msgpack\"")),
    }
}

fn error(py: Python<'_>, problem: Problem) -> PyErr {
    let error = CodecError::new_err(format!("{}: {}", problem.path, problem.problem));
    let value = error.value(py);
    let described =
        value.setattr("path", problem.path).and_then(|()| value.setattr("problem", problem.problem));
    match described {
        Ok(()) => error,
        Err(failure) => failure,
    }
}
