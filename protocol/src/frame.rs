//! The pipe between node and cell: the frame's header, the operations and the shared page.
//! Bodies live in `frame::cell` (calls), `frame::ask` (what a running call asks of the node) and `frame::control` (the
//! zygote's own socket).
//!
//! A frame is `u32 length, u8 operation, u64 sequence, body`, integers little-endian, the body MessagePack with
//! named maps. The cell is hostile by definition: the node checks every header before it takes a byte of the body.

pub mod ask;
pub mod cell;
pub mod control;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::raw::Reader;

/// Version of the pipe. Node and cell must have the same one; there is no negotiation, they are installed together.
pub const VERSION: u32 = 2;

/// Bytes of a header.
pub const HEADER: usize = 13;

/// Largest body, in bytes.
pub const LARGEST: usize = 4 << 20;

/// What a frame asks for or answers. Below 128 the node speaks, from 128 the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// Node: here is your script.
    Load = 1,
    /// Node: run it.
    Call = 2,
    /// Node: look for syntax problems in a text; nothing of it runs.
    Compile = 3,
    /// Node: what came of an `Ask`; bears the call's sequence.
    Answer = 4,
    /// Node: the running call was cancelled or is late; bears its sequence.
    Cancel = 5,
    /// Node: try what no cell may do; without a body of its own (`null`).
    Attempt = 6,
    /// Cell: I am ready; the first frame of a cell.
    Hello = 128,
    /// Cell: the script is compiled and its entrypoint found.
    Loaded = 129,
    /// Cell: what the call returned.
    Return = 130,
    /// Cell: the script raised, or could not be loaded.
    Raised = 131,
    /// Cell: what the call returned breaks its contract.
    Invalid = 132,
    /// Cell: the input cannot be read.
    Refused = 133,
    /// Cell: the call was not begun: withdrawn, or late.
    Skipped = 134,
    /// Cell: the outcome of `Compile`.
    Compiled = 135,
    /// Cell: the running call asks the node to do something; bears its sequence.
    Ask = 136,
    /// Cell: the running call no longer wants an answer; bears its sequence.
    Drop = 137,
    /// Cell: the outcome of `Attempt`.
    Attempted = 138,
}

/// Every operation, for decoding and tests.
pub const OPERATIONS: [Operation; 17] = [
    Operation::Load,
    Operation::Call,
    Operation::Compile,
    Operation::Hello,
    Operation::Loaded,
    Operation::Return,
    Operation::Raised,
    Operation::Invalid,
    Operation::Refused,
    Operation::Skipped,
    Operation::Compiled,
    Operation::Answer,
    Operation::Cancel,
    Operation::Ask,
    Operation::Drop,
    Operation::Attempt,
    Operation::Attempted,
];

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the body.
    pub length: u32,
    /// What the body is.
    pub operation: Operation,
    /// The number of the call; an answer bears its question's.
    pub sequence: u64,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body would be larger than [`LARGEST`].
    #[error("a frame of {0} bytes, at most {LARGEST} are allowed")]
    TooLarge(usize),
    /// No such operation.
    #[error("unknown operation {0}")]
    Operation(u8),
    /// The body is not what its operation says.
    #[error("a body that cannot be read")]
    Body,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let (length, rest) = bytes.split_at_mut(4);
        let (operation, sequence) = rest.split_at_mut(1);
        length.copy_from_slice(&self.length.to_le_bytes());
        operation.copy_from_slice(&[self.operation as u8]);
        sequence.copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The operation is unknown or the body would be too large.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self, Error> {
        let [a, b, c, d, operation, sequence @ ..] = bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length as usize > LARGEST {
            return Err(Error::TooLarge(length as usize));
        }
        let operation = OPERATIONS
            .into_iter()
            .find(|known| *known as u8 == operation)
            .ok_or(Error::Operation(operation))?;
        Ok(Self { length, operation, sequence: u64::from_le_bytes(sequence) })
    }
}

/// Writes a whole frame behind what `out` holds.
///
/// # Errors
/// The body is too large; `out` is as it was.
pub fn write<T: Serialize>(
    out: &mut Vec<u8>,
    operation: Operation,
    sequence: u64,
    body: &T,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let written = rmp_serde::encode::write_named(out, body);
    let length = out.len() - start - HEADER;
    if written.is_err() || length > LARGEST {
        out.truncate(start);
        return Err(if written.is_err() { Error::Body } else { Error::TooLarge(length) });
    }
    let length = u32::try_from(length).map_err(|_| Error::TooLarge(length))?;
    let header = Header { length, operation, sequence }.encode();
    if let Some(place) = out.get_mut(start..start + HEADER) {
        place.copy_from_slice(&header);
    }
    Ok(())
}

/// Reads a body that borrows nothing.
///
/// # Errors
/// The bytes are not a `T`, or more than one.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    borrow(body)
}

/// Reads a body that may borrow from its bytes.
///
/// # Errors
/// The bytes are not a `T`, or more than one.
pub fn borrow<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let mut reader = Reader::new(body, 16);
    let value = T::deserialize(&mut reader).map_err(|_| Error::Body)?;
    if reader.at_end() { Ok(value) } else { Err(Error::Body) }
}

/// The memory that node and cell share beside the pipe: words at fixed places, little-endian `u64`s unless they say
/// otherwise, and text. The cell maps it; the node reads and writes it by `pread` and `pwrite` and believes nothing it
/// says about anyone but that cell.
pub mod page {
    use crate::abi::LARGEST_OUTPUT;

    /// Bytes of it all. Only the first 4 KiB and what was printed take memory.
    pub const SIZE: usize = STDERR + LARGEST_OUTPUT;
    /// Where the cell notes the sequence of the call it is about to begin.
    pub const STARTED: usize = 0;
    /// Where the node notes the first sequence that is withdrawn; `u64::MAX` when none is. The cell looks after it
    /// has noted `STARTED` and skips calls from there on, so that each call is either seen as started or not begun.
    pub const WITHDRAWN: usize = 8;
    /// Where the cell keeps how many bytes of standard output stand at [`STDOUT`]; bit 63 says that more was cut.
    pub const STDOUT_LENGTH: usize = 24;
    /// The same of standard error and [`STDERR`].
    pub const STDERR_LENGTH: usize = 32;
    /// Bit of a length that says that more was printed than was kept.
    pub const CUT: u64 = 1 << 63;
    /// Where the node notes the sequence of a call that was cancelled or is late while it runs, so that loops can look.
    pub const CANCELLED: usize = 40;
    /// Where the cell notes the sequence of its call while that waits for something to happen, and zero else.
    pub const WAITS: usize = 48;
    /// The name of the last thing that was refused to the call that runs: ASCII, padded with zeros.
    pub const REFUSED: usize = 64;
    /// Bytes at [`REFUSED`].
    pub const REFUSED_SIZE: usize = 32;
    /// From here to [`STDOUT`] a handler in the cell writes where the script stands, innermost frame first, when
    /// the node sends `SIGUSR1` or the interpreter crashes. The page's file is positioned here when it is made.
    pub const FRAMES: usize = 128;
    /// What the call that runs has printed so far, so that it is known of a call that is killed too.
    pub const STDOUT: usize = 4096;
    /// The same of standard error.
    pub const STDERR: usize = STDOUT + LARGEST_OUTPUT;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_for_every_operation() {
        for operation in OPERATIONS {
            let header = Header { length: 77, operation, sequence: u64::MAX - 1 };
            assert_eq!(Header::decode(header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_header_that_claims_too_much_or_nothing_known_is_refused() {
        let mut bytes = Header { length: 0, operation: Operation::Call, sequence: 1 }.encode();
        bytes[..4].copy_from_slice(&(LARGEST as u32 + 1).to_le_bytes());
        assert_eq!(Header::decode(bytes), Err(Error::TooLarge(LARGEST + 1)));
        bytes[..4].fill(0);
        bytes[4] = 77;
        assert_eq!(Header::decode(bytes), Err(Error::Operation(77)));
    }

    #[test]
    fn a_body_over_the_limit_leaves_the_buffer_as_it_was() {
        let mut out = vec![7];
        let body = serde_bytes::ByteBuf::from(vec![0; LARGEST + 1]);
        assert!(matches!(write(&mut out, Operation::Call, 1, &body), Err(Error::TooLarge(_))));
        assert_eq!(out, [7]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_crash_the_reader(bytes: Vec<u8>) {
            let _ = read::<cell::Raised>(&bytes);
            let _ = borrow::<cell::Return<'_>>(&bytes);
            let _ = borrow::<ask::Ask<'_>>(&bytes);
            let _ = read::<ask::Dropped>(&bytes);
            let _ = read::<control::Ready>(&bytes);
        }
    }
}
