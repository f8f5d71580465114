//! Microbenchmarks of the border between Rust and Python, and of the cell's codec beside others. They run inside a stock
//! interpreter, as the cell does: `bridge.py` loads this as a module, hands in what is called, and reads the results.

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A function of Rust that Python calls.
#[pyfunction]
fn nothing() {}

/// The same with a small dictionary.
#[pyfunction]
fn small(values: &Bound<'_, PyDict>) -> usize {
    values.len()
}

/// A dictionary of four entries, as a call has it that passes some facts along.
fn dictionary(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let values = PyDict::new(py);
    values.set_item(intern!(py, "id"), 7)?;
    values.set_item(intern!(py, "title"), "A film")?;
    values.set_item(intern!(py, "ratio"), 1.5)?;
    values.set_item(intern!(py, "public"), true)?;
    Ok(values)
}

/// Measures. `called` are functions of Python: `empty` and `small`, called from here, and those that call `nothing` and
/// `small` so often as they are told; `codecs` are groups, names, functions and what they are called with.
///
/// # Errors
/// A function of Python's.
#[pyfunction]
fn run(
    py: Python<'_>,
    called: &Bound<'_, PyDict>,
    codecs: Vec<(String, String, Py<PyAny>, Py<PyAny>)>,
) -> PyResult<()> {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500));
    let function = |name: &str| called.as_any().get_item(name);
    let (empty, takes_small) = (function("empty")?, function("small")?);
    let mut group = criterion.benchmark_group("rust to python");
    group.bench_function("empty", |b| b.iter(|| empty.call0()));
    let ready = dictionary(py)?;
    group.bench_function("small dict", |b| b.iter(|| takes_small.call1((&ready,))));
    group.bench_function("small dict, built per call", |b| {
        b.iter(|| dictionary(py).and_then(|values| takes_small.call1((values,))));
    });
    group.finish();
    let mut group = criterion.benchmark_group("python to rust");
    for name in ["loop alone", "empty", "small dict", "small dict, built per call"] {
        let repeat = function(&format!("repeat {name}"))?;
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let begun = Instant::now();
                // A failure shows in the line after the measurement.
                let _called = repeat.call1((times,));
                begun.elapsed()
            });
        });
        repeat.call1((1,))?;
    }
    group.finish();
    for (group, name, function, argument) in codecs {
        let function = function.bind(py);
        function.call1((argument.bind(py),))?;
        let mut group = criterion.benchmark_group(group);
        group.bench_function(name, |b| {
            b.iter_batched(
                || argument.clone_ref(py).into_bound(py),
                |argument| function.call1((argument,)),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
    Ok(())
}

#[pymodule]
fn bridge(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(nothing, module)?)?;
    module.add_function(wrap_pyfunction!(small, module)?)?;
    module.add_function(wrap_pyfunction!(run, module)?)
}
