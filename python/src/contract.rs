//! ABI v1 as Python objects: what a macro is given and what it may answer, checked key by key. The same shapes as Rust
//! types live in `protocol::abi`; which values exist at all is the codec's business.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};

use crate::codec::Problem;

/// What a value must be.
enum Shape {
    Bool,
    Text,
    Texts,
    /// Any dict.
    Object,
    /// A dict with these keys and no others.
    Fields(&'static [Field]),
}

/// A key of a dict. One that is not required may be missing or `None`, which is the same.
struct Field {
    name: &'static str,
    required: bool,
    shape: Shape,
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}

const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

const CONTEXT: Shape = Shape::Fields(&[
    required(
        "env",
        Shape::Fields(&[
            required("isPreview", Shape::Bool),
            optional("mainLanguage", Shape::Text),
            optional("hook", Shape::Text),
            optional("source", Shape::Fields(&[required("kind", Shape::Text), optional("id", Shape::Text)])),
        ]),
    ),
    optional("params", Shape::Object),
    optional("data", Shape::Object),
]);

const RESULT: Shape = Shape::Fields(&[
    required("html", Shape::Text),
    optional("data", Shape::Object),
    optional("warnings", Shape::Texts),
]);

const POST: Shape = Shape::Fields(&[
    required("title", Shape::Text),
    required("content", Shape::Text),
    required("tags", Shape::Texts),
    required("categories", Shape::Texts),
]);

const TO_TRANSFORM: Shape = Shape::Fields(&[
    required("post", POST),
    required(
        "context",
        Shape::Fields(&[
            required("source", Shape::Text),
            required("url", Shape::Text),
            optional("format", Shape::Text),
        ]),
    ),
]);

/// The post and the context that a transform is called with.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn to_transform<'py>(
    value: &Bound<'py, PyAny>,
    path: &str,
) -> Result<(Bound<'py, PyAny>, Bound<'py, PyAny>), Problem> {
    TO_TRANSFORM.check(value, path, true)?;
    let part = |name: &str| value.get_item(name).map_err(|_| problem(path, format!("expected a {name}")));
    Ok((part("post")?, part("context")?))
}

/// Checks what a transform answers.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn post(value: &Bound<'_, PyAny>, path: &str) -> Result<(), Problem> {
    POST.check(value, path, false)
}

/// Checks a macro's context, and takes out of it the keys that are `None`: scripts see them as missing.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn context(value: &Bound<'_, PyAny>, path: &str) -> Result<(), Problem> {
    CONTEXT.check(value, path, true)
}

/// Checks a list of contexts like [`context`]; how many there are.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn contexts(value: &Bound<'_, PyAny>, path: &str) -> Result<usize, Problem> {
    let Ok(list) = value.cast::<PyList>() else { return Err(expected("list", value, path)) };
    for (index, item) in list.iter().enumerate() {
        CONTEXT.check(&item, &format!("{path}[{index}]"), true)?;
    }
    Ok(list.len())
}

/// Checks a macro's result.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn result(value: &Bound<'_, PyAny>, path: &str) -> Result<(), Problem> {
    RESULT.check(value, path, false)
}

/// Checks the results of a batch of `count` contexts.
///
/// # Errors
/// What is wrong, and where under `path`.
pub(crate) fn results(value: &Bound<'_, PyAny>, count: usize, path: &str) -> Result<(), Problem> {
    let items: Vec<Bound<'_, PyAny>> = match (value.cast::<PyList>(), value.cast::<PyTuple>()) {
        (Ok(list), _) => list.iter().collect(),
        (_, Ok(tuple)) => tuple.iter().collect(),
        _ => return Err(expected("list", value, path)),
    };
    if items.len() != count {
        return Err(problem(path, format!("expected {count} results, found {}", items.len())));
    }
    items
        .iter()
        .enumerate()
        .try_for_each(|(index, item)| RESULT.check(item, &format!("{path}[{index}]"), false))
}

impl Shape {
    fn check(&self, value: &Bound<'_, PyAny>, path: &str, drop_none: bool) -> Result<(), Problem> {
        let (name, fits) = match self {
            Self::Bool => ("bool", value.is_instance_of::<PyBool>()),
            Self::Text => ("str", value.is_instance_of::<PyString>()),
            Self::Object => ("dict", value.is_instance_of::<PyDict>()),
            Self::Texts => return texts(value, path),
            Self::Fields(fields) => match value.cast::<PyDict>() {
                Ok(dict) => return fields_of(dict, fields, path, drop_none),
                Err(_) => ("dict", false),
            },
        };
        if fits { Ok(()) } else { Err(expected(name, value, path)) }
    }
}

/// Checks each key of a dict, and that none is missing.
fn fields_of(
    dict: &Bound<'_, PyDict>,
    fields: &'static [Field],
    path: &str,
    drop_none: bool,
) -> Result<(), Problem> {
    let mut missing = fields.iter().filter(|field| field.required).count();
    let mut none = Vec::new();
    for (key, value) in dict.iter() {
        let name = key.cast::<PyString>().ok().and_then(|key| key.to_str().ok());
        let Some(field) = fields.iter().find(|field| Some(field.name) == name) else {
            return Err(unknown(name, path));
        };
        if !field.required && value.is_none() {
            none.push(field.name);
            continue;
        }
        missing -= usize::from(field.required);
        // Paths are only spelled out for what does not fit.
        field.shape.check(&value, "", drop_none).map_err(|inner| Problem {
            path: format!("{path}.{}{}", field.name, inner.path),
            problem: inner.problem,
        })?;
    }
    if missing > 0 {
        let absent =
            fields.iter().find(|field| field.required && !dict.contains(field.name).unwrap_or(false));
        return Err(problem(path, format!("`{}` is missing", absent.map_or("a key", |field| field.name))));
    }
    if drop_none {
        for name in none {
            dict.del_item(name).map_err(|_| problem(path, "a key cannot be removed"))?;
        }
    }
    Ok(())
}

fn texts(value: &Bound<'_, PyAny>, path: &str) -> Result<(), Problem> {
    let wrong = |(index, item): (usize, Bound<'_, PyAny>)| match item.is_instance_of::<PyString>() {
        true => None,
        false => Some(expected("str", &item, &format!("{path}[{index}]"))),
    };
    let wrong = match (value.cast::<PyList>(), value.cast::<PyTuple>()) {
        (Ok(list), _) => list.iter().enumerate().find_map(wrong),
        (_, Ok(tuple)) => tuple.iter().enumerate().find_map(wrong),
        _ => Some(expected("list", value, path)),
    };
    wrong.map_or(Ok(()), Err)
}

/// A key that has no business there. Its name is shown if it could be an attribute's.
fn unknown(name: Option<&str>, path: &str) -> Problem {
    let plain = |name: &&str| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match name.filter(plain) {
        Some(name) => problem(&format!("{path}.{name}"), "unknown key"),
        None => problem(path, "a key that is not known here"),
    }
}

fn expected(name: &str, found: &Bound<'_, PyAny>, path: &str) -> Problem {
    let found =
        if found.is_none() { "None".to_owned() } else { crate::traceback::type_name(&found.get_type()) };
    problem(path, format!("expected {name}, found {found}"))
}

fn problem(path: &str, problem: impl Into<String>) -> Problem {
    Problem { path: path.to_owned(), problem: problem.into() }
}
