//! The codec of the cell: JSON and MessagePack straight between bytes and Python objects.
//!
//! Reading makes Python objects while it parses, writing walks them while it prints: there is no value tree in
//! between. What a value may be is the public conversion table (`convert`); what a byte may be is each format's
//! reader. Frames, schemas and the meaning of a value do not live here, and nothing here does I/O.

use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, TryLockError};

mod convert;
mod digits;
mod fault;
mod json_escape;
mod json_read;
mod json_write;
mod keys;
mod messagepack_read;
mod messagepack_write;
mod object;
mod output;
mod printed;
pub(crate) mod python;
mod scan;
mod stack;
mod walk;

pub(crate) use protocol::Format;

/// How many lists and dicts may stand inside each other, in both directions.
pub(crate) const MAX_DEPTH: usize = protocol::raw::DEEPEST;

/// How many decimal digits an integer may have, in both directions: what CPython itself converts by default.
pub(crate) const MAX_DIGITS: usize = 4300;

/// MessagePack's extension type of an integer beyond 64 bits: its decimal digits in ASCII.
const BIG_INTEGER: u8 = 1;

static JSON_KEYS: printed::Cache = printed::Cache::new();
static MESSAGE_PACK_KEYS: printed::Cache = printed::Cache::new();

/// Why a payload could not be read or a value not be written. Neither field ever holds a value of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where, from the caller's root: `result.data.items[3]`, `params["a key"]`.
    pub(crate) path: String,
    /// What is wrong, in lower case and without a full stop.
    pub(crate) problem: String,
}

/// How the problem of a value begins that takes more bytes than it may.
const TOO_LARGE: &str = "larger than";

impl Problem {
    /// Whether the value would be right if it were smaller.
    pub(crate) fn is_size(&self) -> bool {
        self.problem.starts_with(TOO_LARGE)
    }
}

/// Reads `bytes`, which must hold exactly one value, into a Python object.
///
/// # Errors
/// A [`Problem`] under `root` for anything that is not one well-formed value of the ABI (see the two readers), for
/// lists and dicts deeper than [`MAX_DEPTH`], for integers over [`MAX_DIGITS`], and when memory runs out.
pub(crate) fn read<'py>(
    py: Python<'py>,
    format: Format,
    bytes: &[u8],
    root: &str,
) -> Result<Bound<'py, PyAny>, Problem> {
    keys::with(|keys| match format {
        Format::Json => json_read::read(py, bytes, keys),
        Format::MessagePack => messagepack_read::read(py, bytes, keys),
    })
    .map_err(|fault| fault.under_root(root))
}

/// Appends `value` to `out` in `format`, at most `max_bytes` of it.
///
/// # Errors
/// A [`Problem`] under `root` for what the conversion table refuses, for lists and dicts deeper than
/// [`MAX_DEPTH`] (cycles therefore too), for more than `max_bytes` bytes, and when memory runs out or the value's
/// own code raises. `out` is then as it was.
pub(crate) fn write(
    format: Format,
    value: &Bound<'_, PyAny>,
    root: &str,
    max_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let before = out.len();
    let output = output::Output::new(out, max_bytes);
    let done = match format {
        Format::Json => walk::walk(value, json_write::Writer::new(output), &JSON_KEYS),
        Format::MessagePack => walk::walk(value, messagepack_write::Writer::new(output), &MESSAGE_PACK_KEYS),
    };
    done.map_err(|fault| {
        out.truncate(before);
        fault.under_root(root)
    })
}

/// What `cache` holds, if nobody else has it just now: a cache is never waited for.
fn opened<T>(cache: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match cache.try_lock() {
        Ok(guard) => Some(guard),
        // Every state of a cache is a good one, also the one that a panic left.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
