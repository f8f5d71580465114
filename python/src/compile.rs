//! Syntax problems of a text, and its functions, as CPython's own compiler sees them. Nothing of the text runs.

use protocol::actions::script_compile::SyntaxProblem;
use protocol::frame::cell::Compiled;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::{output, run};

/// `ast.PyCF_ONLY_AST`: parse and no more.
const ONLY_PARSE: u32 = 0x400;

/// Tracebacks and warnings would show this.
const FILE: &str = "script.py";

/// Longest message, in characters.
const LONGEST: usize = 500;

/// What the compiler says of a text.
pub(crate) fn look(py: Python<'_>, body: &str) -> Compiled {
    let tree = match run::compile(py, body, FILE, ONLY_PARSE) {
        Ok(tree) => tree,
        Err(error) => return failed(problem(py, &error, body, false)),
    };
    // Some problems, such as a `return` outside a function, are only seen later.
    if let Err(error) = run::compile(py, body, FILE, 0) {
        return failed(problem(py, &error, body, true));
    }
    Compiled { problems: Vec::new(), functions: functions(&tree).unwrap_or_default() }
}

fn failed(problem: SyntaxProblem) -> Compiled {
    Compiled { problems: vec![problem], functions: Vec::new() }
}

/// The names of the functions at the top level, without those that their author hides.
fn functions(tree: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let mut names = Vec::new();
    for statement in tree.getattr("body")?.cast::<PyList>()?.iter() {
        if statement.get_type().name()?.to_str()? == "FunctionDef" {
            let name: String = statement.getattr("name")?.extract()?;
            if !name.starts_with('_') && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// One problem. `bytes` says that its columns are counted in bytes, as all but the parser do.
fn problem(py: Python<'_>, error: &PyErr, body: &str, bytes: bool) -> SyntaxProblem {
    let value = error.value(py);
    let number = |name: &str| value.getattr(name).and_then(|number| number.extract::<u32>()).ok();
    let place = |line: &str, column: &str| {
        let line = number(line).filter(|line| *line > 0)?;
        let column = number(column).unwrap_or(0).max(1);
        Some((line, if bytes { characters(body, line, column) } else { column }))
    };
    let syntax = error.is_instance_of::<PySyntaxError>(py);
    let start = if syntax { place("lineno", "offset") } else { None }.unwrap_or((1, 1));
    let end = if syntax { place("end_lineno", "end_offset") } else { None }.unwrap_or(start).max(start);
    let message = if syntax {
        value.getattr("msg").and_then(|text| Ok(text.cast_into::<PyString>()?))
    } else {
        value.str()
    };
    let message = match message {
        Ok(text) if !text.is_empty().unwrap_or(true) => {
            text.to_string_lossy().chars().take(LONGEST).collect()
        }
        _ => "too deeply nested to be compiled".to_owned(),
    };
    let ((line, column), (end_line, end_column)) = (start, end);
    SyntaxProblem { line, column, end_line, end_column, message }
}

/// The column in characters of a column in bytes, both from 1.
fn characters(body: &str, line: u32, column: u32) -> u32 {
    let line = body.lines().nth(line as usize - 1).unwrap_or_default();
    let before = output::head(line, column as usize - 1);
    u32::try_from(before.chars().count() + 1).unwrap_or(column)
}
