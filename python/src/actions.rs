//! Modules of actions: what they have registered with `callboard.action`, and values held to the types of an action's
//! function. How types become schemas and conversions lives in `callboard/_actions.py`; how a call runs, in `run`.

use protocol::frame::cell::{Declared, MOST_ACTIONS};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::codec::Problem;
use crate::run::Failure;

fn registered(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("callboard._actions")?.getattr("registered")?.cast_into()?)
}

/// What a module has registered, in its order.
///
/// # Errors
/// Python's; nothing or too much was registered.
pub(crate) fn told(py: Python<'_>) -> PyResult<Vec<Declared>> {
    let registered = registered(py)?;
    if registered.is_empty() || registered.len() > MOST_ACTIONS {
        let found = registered.len();
        return Err(PyValueError::new_err(format!(
            "a module registers 1 to {MOST_ACTIONS} actions by @callboard.action(name), this one {found}"
        )));
    }
    registered.values().iter().map(|declared| of(&declared)).collect()
}

fn of(declared: &Bound<'_, PyAny>) -> PyResult<Declared> {
    Ok(Declared {
        name: declared.getattr("name")?.extract()?,
        timeout_ms: declared.getattr("timeout_ms")?.extract()?,
        capabilities: declared.getattr("capabilities")?.extract()?,
        input: declared.getattr("input")?.extract()?,
        output: declared.getattr("output")?.extract()?,
    })
}

/// An action that a module has registered, and its function.
///
/// # Errors
/// Python's.
pub(crate) fn find<'py>(
    py: Python<'py>,
    name: &str,
) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let Some(declared) = registered(py)?.get_item(name)? else { return Ok(None) };
    let function = declared.getattr("function")?;
    Ok(Some((declared, function)))
}

/// What the function of an action is called with: nothing, or the payload as its parameter has it.
///
/// # Errors
/// The payload is not of its type, or the type's own code raised.
pub(crate) fn typed<'py>(
    declared: &Bound<'py, PyAny>,
    payload: &Bound<'py, PyAny>,
) -> Result<Option<Bound<'py, PyAny>>, Failure> {
    let typed = held(declared, "typed", payload, Failure::Refused)?;
    let takes = declared.getattr("takes_payload").and_then(|takes| takes.is_truthy());
    Ok(takes.map_err(Failure::Raised)?.then_some(typed))
}

/// A result of an action in plain values.
///
/// # Errors
/// The result is not of its type, or the type's own code raised.
pub(crate) fn checked<'py>(
    declared: &Bound<'py, PyAny>,
    result: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>, Failure> {
    held(declared, "checked", result, |problem| Failure::Invalid(problem, None))
}

fn held<'py>(
    declared: &Bound<'py, PyAny>,
    method: &str,
    value: &Bound<'py, PyAny>,
    mismatch: impl Fn(Problem) -> Failure,
) -> Result<Bound<'py, PyAny>, Failure> {
    declared.call_method1(method, (value,)).map_err(|error| match problem_of(declared.py(), &error) {
        Some(problem) => mismatch(problem),
        None => Failure::Raised(error),
    })
}

/// Where a value is not of its type, if that is what was raised.
fn problem_of(py: Python<'_>, error: &PyErr) -> Option<Problem> {
    let class = py.import("callboard.errors").and_then(|module| module.getattr("Mismatch")).ok()?;
    if !error.is_instance(py, &class) {
        return None;
    }
    let value = error.value(py);
    let text = |name: &str| value.getattr(name).ok()?.extract::<String>().ok();
    Some(Problem { path: text("path")?, problem: text("problem")? })
}
