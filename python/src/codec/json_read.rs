//! JSON to Python objects: RFC 8259 to the letter, with the limits of the ABI.
//!
//! Refused beyond what the grammar refuses: more than one value, bytes that are not UTF-8, lone surrogates in escapes,
//! numbers beyond a float. Of equal keys the last one wins. Numbers are read in `digits`.

use super::fault::{Done, Fault};
use super::json_escape::Scratch;
use super::keys::Keys;
use super::object::{self, Made};
use super::stack::Stack;
use super::{digits, scan};
use pyo3::types::PyBool;
use pyo3::{Bound, PyAny, Python};

/// Reads the one value that `bytes` must be.
pub(super) fn read<'py>(py: Python<'py>, bytes: &[u8], keys: &mut Keys<'_>) -> Made<'py> {
    let mut reader =
        Reader { py, rest: bytes, length: bytes.len(), stack: Stack::new(), keys, scratch: Scratch::new() };
    reader.token();
    let value = reader.value()?;
    reader.token();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.whole("more bytes after the value")) }
}

struct Reader<'a, 'k, 'g, 'py> {
    py: Python<'py>,
    rest: &'a [u8],
    length: usize,
    stack: Stack<'py>,
    keys: &'k mut Keys<'g>,
    /// Where strings with escapes are put together.
    scratch: Scratch,
}

impl<'a, 'py> Reader<'a, '_, '_, 'py> {
    /// The value that begins at the next byte.
    #[inline]
    fn value(&mut self) -> Made<'py> {
        match self.rest.first() {
            Some(b'"') => match self.plain_text() {
                Ok(text) => object::text(self.py, text),
                Err(begin) => match self.scratch.unescape(begin, &mut self.rest) {
                    Ok(text) => object::text(self.py, text),
                    Err(problem) => Err(self.here(problem)),
                },
            },
            Some(b'-' | b'0'..=b'9') => {
                let Some((number, rest)) = digits::number(self.py, self.rest) else {
                    return Err(self.here("not a JSON number"));
                };
                self.rest = rest;
                number
            }
            Some(b'{') => self.dict(),
            Some(b'[') => self.list(),
            Some(b't') => self.word(b"true", PyBool::new(self.py, true).to_owned().into_any()),
            Some(b'f') => self.word(b"false", PyBool::new(self.py, false).to_owned().into_any()),
            Some(b'n') => self.word(b"null", self.py.None().into_bound(self.py)),
            _ => Err(self.here("expected a value")),
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8], value: Bound<'py, PyAny>) -> Made<'py> {
        let Some(rest) = self.rest.strip_prefix(word) else {
            return Err(self.here("expected a value"));
        };
        self.rest = rest;
        Ok(value)
    }

    fn list(&mut self) -> Made<'py> {
        self.stack.enter()?;
        self.step();
        let base = self.stack.base();
        if self.token() == Some(b']') {
            return self.end_list(base);
        }
        loop {
            let item = self.value().map_err(|fault| fault.under_index(self.stack.base() - base))?;
            self.stack.push(item)?;
            match self.token() {
                Some(b',') => self.step(),
                Some(b']') => return self.end_list(base),
                _ => return Err(self.here("expected ',' or ']'")),
            }
            self.token();
        }
    }

    fn end_list(&mut self, base: usize) -> Made<'py> {
        self.step();
        self.stack.leave();
        self.stack.list(self.py, base)
    }

    fn dict(&mut self) -> Made<'py> {
        self.stack.enter()?;
        self.step();
        let dict = object::dict(self.py)?;
        if self.token() == Some(b'}') {
            return Ok(self.end_dict(dict));
        }
        loop {
            self.entry(&dict)?;
            match self.token() {
                Some(b',') => self.step(),
                Some(b'}') => return Ok(self.end_dict(dict)),
                _ => return Err(self.here("expected ',' or '}'")),
            }
            self.token();
        }
    }

    fn end_dict(&mut self, dict: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.step();
        self.stack.leave();
        dict
    }

    /// The key that begins at the next byte, and its value.
    #[inline]
    fn entry(&mut self, dict: &Bound<'py, PyAny>) -> Done {
        if self.rest.first() != Some(&b'"') {
            return Err(self.here("expected a key in quotes"));
        }
        let key = match self.keys.expected(self.py, self.rest) {
            Some((key, rest)) => {
                self.rest = rest;
                key
            }
            None => self.key()?,
        };
        self.token();
        let value = self.value().map_err(|fault| under(fault, &key))?;
        object::insert(dict, &key, &value)
    }

    /// The key that begins at the next byte, and the colon.
    fn key(&mut self) -> Made<'py> {
        let key = match self.plain_text() {
            Ok(key) => self.keys.key(self.py, key),
            Err(begin) => match self.scratch.unescape(begin, &mut self.rest) {
                Ok(key) => self.keys.key(self.py, key),
                Err(problem) => Err(self.here(problem)),
            },
        }?;
        if self.token() != Some(b':') {
            return Err(self.here("expected ':'"));
        }
        self.step();
        Ok(key)
    }

    /// The text of the string that begins at the next byte, a quote, if no escape (or error) is in it; else the text
    /// in front of that, where the reader then stands.
    #[inline]
    fn plain_text(&mut self) -> Result<&'a [u8], &'a [u8]> {
        self.step();
        let (plain, rest) = self.plain();
        match rest.split_first() {
            Some((b'"', rest)) => {
                self.rest = rest;
                Ok(plain)
            }
            _ => {
                self.rest = rest;
                Err(plain)
            }
        }
    }

    /// The next bytes up to a quote, a backslash or a control character, and what begins there.
    #[inline]
    fn plain(&self) -> (&'a [u8], &'a [u8]) {
        self.rest.split_at_checked(scan::plain_prefix(self.rest)).unwrap_or((self.rest, &[]))
    }

    /// The next byte after space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.rest.split_first() {
                Some((b' ' | b'\n' | b'\r' | b'\t', rest)) => self.rest = rest,
                Some((token, _)) => return Some(*token),
                None => return None,
            }
        }
    }

    /// Passes a byte that has been looked at.
    #[inline]
    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    #[cold]
    fn here(&self, problem: &str) -> Fault {
        Fault::here(format!("{problem} at byte {}", self.length - self.rest.len()))
    }

    #[cold]
    fn whole(&self, problem: &str) -> Fault {
        Fault::whole(format!("{problem}, from byte {} on", self.length - self.rest.len()))
    }
}

#[cold]
fn under(fault: Fault, key: &Bound<'_, PyAny>) -> Fault {
    fault.under_key(object::utf8(key.as_borrowed()).unwrap_or_default())
}
