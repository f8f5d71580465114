//! Finds `[[name key=value …]]` in content. Where a macro may stand at all is told by `visible`; what a name means and
//! what becomes of the macro is not decided here.

mod reader;
mod visible;

use super::{Error, Format, markdown};
use memchr::memmem;
use reader::Reader;
use std::ops::Range;

/// The most macros that a page may hold.
pub const MAX_MACROS: usize = 1000;

/// The most parameters that a macro may have, equal keys counted once.
pub const MAX_PARAMS: usize = 64;

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer of any size: decimal digits, with `-` in front if it is negative, without leading zeros.
    Int(String),
    /// A finite number with a fraction.
    Float(f64),
    /// `true` or `false`; a bare word is `true`.
    Bool(bool),
    /// All else, and whatever stands in quotes.
    Text(String),
}

/// One macro as it stands in the content.
#[derive(Clone, Debug, PartialEq)]
pub struct Macro {
    /// Where it stands, from the first bracket to the last, in bytes.
    pub span: Range<usize>,
    /// The name as it is written.
    pub name: String,
    /// The parameters in the order in which their keys first appear; each with its last value.
    pub params: Vec<(String, Value)>,
}

impl Macro {
    /// The name as names are compared: in lower case.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// The content holds more than a page may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Over [`MAX_MACROS`].
    #[error("too many macros in the content, at most {MAX_MACROS}")]
    Macros,
    /// Over [`MAX_PARAMS`].
    #[error("too many parameters in a macro, at most {MAX_PARAMS}")]
    Params,
}

/// What the content holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) macros: Vec<Macro>,
    /// Where a backslash stands before what would be a macro, in bytes.
    pub(super) escapes: Vec<usize>,
}

/// Finds the macros, in order. What is not well formed is text. Linear in the content.
///
/// # Errors
///
/// [`Error`] when there are [`TooMany`] macros in the page or parameters in a macro, or when markdown is larger or
/// deeper than a page may be.
pub fn find(content: &str, format: Format) -> Result<Vec<Macro>, Error> {
    scan(content, format).map(|found| found.macros)
}

pub(super) fn scan(content: &str, format: Format) -> Result<Found, Error> {
    if memmem::find(content.as_bytes(), b"[[").is_none() {
        return Ok(Found::default());
    }
    let found = match format {
        Format::Markdown => collect(content, visible::Markdown::new(content, markdown::read(content)?)),
        Format::Html => collect(content, visible::Html::new(content)),
    };
    Ok(found?)
}

/// Hands out the stretches of content in which macros may begin.
trait Stretches {
    /// The next one, in bytes. Up to `from` all is taken: what a macro holds does not hide what follows it.
    fn next(&mut self, from: usize) -> Option<Range<usize>>;
}

fn collect(content: &str, mut stretches: impl Stretches) -> Result<Found, TooMany> {
    let mut found = Found::default();
    let mut at = 0;
    while let Some(stretch) = stretches.next(at) {
        at = at.max(stretch.start);
        while let Some(start) = opening(content, at..stretch.end) {
            let escaped = is_escaped(content, start);
            let call = Reader::new(content, start).call()?;
            at = match call {
                None => start.saturating_add(1),
                Some(_) if escaped => {
                    found.escapes.push(start.saturating_sub(1));
                    start.saturating_add(1)
                }
                Some(call) => {
                    let end = call.span.end;
                    found.macros.push(call);
                    end
                }
            };
            if found.macros.len() > MAX_MACROS {
                return Err(TooMany::Macros);
            }
        }
    }
    Ok(found)
}

fn opening(content: &str, within: Range<usize>) -> Option<usize> {
    let start = within.start;
    let found = memmem::find(content.as_bytes().get(within)?, b"[[")?;
    Some(start.saturating_add(found))
}

/// An odd number of backslashes escapes; of an even number each second one does.
fn is_escaped(content: &str, at: usize) -> bool {
    let before = content.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests;
