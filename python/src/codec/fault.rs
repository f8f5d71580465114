//! What went wrong, while the readers and the walk unwind: the problem, and the path from the inside out.
//!
//! A path costs nothing until something fails: each list and dict adds its own step to a fault that passes through
//! it. Payload values never come in here; key names do, cut and escaped.

use super::{MAX_DEPTH, Problem};
use std::borrow::Cow;
use std::fmt::Write;

/// How many characters of a key a path shows.
const KEY_CHARACTERS: usize = 64;

/// The end of a step that writes something.
pub(super) type Done = Result<(), Fault>;

/// A problem on its way out; boxed, so that results stay one word wide on the way that is always taken.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Cow<'static, str>,
    /// Innermost first.
    steps: Vec<Step>,
    /// The problem is one of the whole value, so that steps say nothing.
    whole: bool,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Fault {
    /// A problem of the part that is being read or written.
    #[cold]
    pub(super) fn here(problem: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { problem: problem.into(), steps: Vec::new(), whole: false }))
    }

    /// A problem of the value as a whole: its path stays the root.
    #[cold]
    pub(super) fn whole(problem: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { problem: problem.into(), steps: Vec::new(), whole: true }))
    }

    /// One list or dict too many inside each other.
    #[cold]
    pub(super) fn too_deep() -> Self {
        Self::here(format!("nested deeper than {MAX_DEPTH} levels"))
    }

    /// No memory for the next step.
    #[cold]
    pub(super) fn out_of_memory() -> Self {
        Self::whole("out of memory")
    }

    /// The same problem, seen from the dict that holds it under `key` (UTF-8, else shown as well as it can be).
    #[cold]
    pub(super) fn under_key(mut self, key: &[u8]) -> Self {
        if !self.0.whole {
            self.0.steps.push(Step::Key(key_step(&String::from_utf8_lossy(key))));
        }
        self
    }

    /// The same problem, seen from the list that holds it at `index`.
    #[cold]
    pub(super) fn under_index(mut self, index: usize) -> Self {
        if !self.0.whole {
            self.0.steps.push(Step::Index(index));
        }
        self
    }

    /// The finished problem, its path starting with the caller's `root`.
    #[cold]
    pub(super) fn under_root(self, root: &str) -> Problem {
        let mut path = root.to_owned();
        for step in self.0.steps.iter().rev() {
            match step {
                Step::Key(key) => path.push_str(key),
                Step::Index(index) => {
                    // Writing into a String cannot fail.
                    let _ = write!(path, "[{index}]");
                }
            }
        }
        Problem { path, problem: self.0.problem.into_owned() }
    }
}

/// `.name` for a name, else `["key"]` with JSON escapes; a long key is cut and ends in an ellipsis.
fn key_step(key: &str) -> String {
    let cut = key.char_indices().nth(KEY_CHARACTERS).map(|(end, _)| end);
    let shown = cut.and_then(|end| key.get(..end)).unwrap_or(key);
    if cut.is_none() && is_name(key) {
        return format!(".{key}");
    }
    let mut step = String::with_capacity(shown.len() + 8);
    step.push_str("[\"");
    for character in shown.chars() {
        match character {
            '"' => step.push_str("\\\""),
            '\\' => step.push_str("\\\\"),
            '\n' => step.push_str("\\n"),
            '\r' => step.push_str("\\r"),
            '\t' => step.push_str("\\t"),
            control if control.is_control() => {
                // Writing into a String cannot fail.
                let _ = write!(step, "\\u{:04x}", u32::from(control));
            }
            plain => step.push(plain),
        }
    }
    if cut.is_some() {
        step.push('…');
    }
    step.push_str("\"]");
    step
}

fn is_name(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
