//! The extension module `_callboard`: everything of Callboard that runs inside Python processes.
//!
//! `zygote` preloads the standard library and forks; `lock` takes a forked process's rights away; `cell` then serves
//! one script over the pipe (`pipe`, `page`), with `run`, `contract`, `compile`, `output`, `refusal` and `traceback`
//! for the parts of a call, and `ask` for what it has with the node while it runs.
//! The node, its actors and everything that knows the broker do not live here: the two meet in `protocol`.

use pyo3::prelude::*;

mod ask;
mod cell;
mod codec;
mod compile;
mod contract;
mod lock;
mod output;
mod page;
mod pipe;
mod refusal;
mod run;
mod sys;
mod traceback;
mod zygote;

/// The extension module.
#[pymodule]
fn _callboard(module: &Bound<'_, PyModule>) -> PyResult<()> {
    codec::python::register(module)?;
    module.add_function(wrap_pyfunction!(lock::system_calls, module)?)?;
    module.add_function(wrap_pyfunction!(zygote::zygote, module)?)
}
