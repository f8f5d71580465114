//! Any bytes as JSON and as MessagePack in the cell's own reader, with an interpreter around it: what is read is written in
//! both formats, read again and equal, and nothing is left behind. The codec is compiled from its place in `python/src`;
//! what a frame around it says is `frame`'s business.

#![no_main]

// The codec looks for its own modules beside the file that it is, as in its own crate.
#[path = "../../../../python/src"]
#[allow(dead_code, reason = "what only cells call")]
mod cell {
    pub(crate) mod codec;
}

use cell::codec::{self, Format, Problem};
use libfuzzer_sys::fuzz_target;
use pyo3::prelude::*;

/// More than anything takes that fits into a fuzzer's input, in any format.
const ROOM: usize = 1 << 20;

/// Raises what has gone wrong: values that are not equal, or a reference that was lost or kept.
fn survives(py: Python<'_>, format: Format, data: &[u8]) -> Result<(), Problem> {
    let value = codec::read(py, format, data, "value")?;
    for other in [Format::Json, Format::MessagePack] {
        let mut out = Vec::new();
        codec::write(other, &value, "value", ROOM, &mut out).expect("what was read can be written");
        let again = codec::read(py, other, &out, "value").expect("what was written can be read");
        let equal = value.eq(&again).expect("values that can be compared");
        assert!(equal, "{other:?}: {value:?} became {again:?}");
        // The same value has one spelling.
        let mut twice = Vec::new();
        codec::write(other, &again, "value", ROOM, &mut twice).expect("the same again");
        assert_eq!(out, twice);
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    Python::attach(|py| {
        for format in [Format::Json, Format::MessagePack] {
            if let Err(Problem { path, problem }) = survives(py, format, data) {
                assert!(path.starts_with("value") && !problem.is_empty());
            }
            assert!(!PyErr::occurred(py), "an exception was left behind");
        }
    });
});
