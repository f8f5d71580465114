//! The cell's side of the pipe: whole frames in, whole frames out, over buffers that stay. What a frame says and what
//! follows from it lives in `protocol` and `cell`, and in `ask` while a call runs.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use protocol::frame::{self, HEADER, Header, Operation};
use serde::Serialize;

use crate::sys;

/// What the buffers hold between calls, in bytes; what a large frame took is given back.
const KEPT: usize = 256 * 1024;

/// More than what a frame takes beside its variable parts, in bytes.
const SMALL: usize = 1024;

/// Why a cell ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The node has closed its side.
    Closed,
    /// The node broke the protocol.
    Malformed,
    /// No memory was left for a frame.
    Starved,
}

impl End {
    /// The cell's exit status.
    pub(crate) const fn status(self) -> i32 {
        match self {
            Self::Closed => 0,
            Self::Malformed => sys::MALFORMED,
            Self::Starved => sys::DENIED,
        }
    }
}

/// Frames from the node.
pub(crate) struct Input {
    socket: Rc<OwnedFd>,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
    /// Where what was read ends.
    end: usize,
    /// Frames that came while a call looked for others, in their order: the next ones.
    aside: VecDeque<(Header, Vec<u8>)>,
    /// The body of the frame that was set aside and is being handled.
    held: Vec<u8>,
}

impl Input {
    /// Frames from `socket`.
    pub(crate) fn new(socket: Rc<OwnedFd>) -> Self {
        let (aside, held) = (VecDeque::new(), Vec::new());
        Self { socket, buffer: vec![0; KEPT], start: 0, end: 0, aside, held }
    }

    /// The next frame. Reads as much as is there, so that calls that stand in the pipe cost one read together.
    ///
    /// # Errors
    /// The cell's end, for whatever reason.
    pub(crate) fn next(&mut self) -> Result<(Header, &[u8]), End> {
        if let Some((header, body)) = self.aside.pop_front() {
            self.held = body;
            return Ok((header, &self.held));
        }
        self.fill(HEADER)?;
        let header = self.header()?;
        self.fill(HEADER + header.length as usize)?;
        self.take(header)
    }

    /// The next frame that has come whole and was not set aside, without waiting.
    ///
    /// # Errors
    /// The node broke the protocol.
    pub(crate) fn come(&mut self) -> Result<Option<(Header, &[u8])>, End> {
        if self.end - self.start < HEADER {
            return Ok(None);
        }
        let header = self.header()?;
        let whole = self.end - self.start >= HEADER + header.length as usize;
        if whole { self.take(header).map(Some) } else { Ok(None) }
    }

    /// Sets a frame aside, to be the next one after those that were set aside before.
    pub(crate) fn set_aside(&mut self, header: Header, body: Vec<u8>) {
        self.aside.push_back((header, body));
    }

    /// Waits until more can be read, at most that long, and reads it; whether there was more.
    ///
    /// # Errors
    /// The cell's end, for whatever reason.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, End> {
        if !sys::readable(self.socket.as_fd(), timeout).map_err(|_| End::Closed)? {
            return Ok(false);
        }
        let size =
            if self.end - self.start < HEADER { HEADER } else { HEADER + self.header()?.length as usize };
        if self.buffer.len() - self.start < size || self.end == self.buffer.len() {
            self.make_room(size)?;
        }
        self.read().map(|()| true)
    }

    /// The header at the front of what was read.
    fn header(&self) -> Result<Header, End> {
        let bytes = self.buffer.get(self.start..).and_then(<[u8]>::first_chunk).ok_or(End::Malformed)?;
        Header::decode(*bytes).map_err(|_| End::Malformed)
    }

    /// Takes the frame at the front, which is there as a whole.
    fn take(&mut self, header: Header) -> Result<(Header, &[u8]), End> {
        let size = HEADER + header.length as usize;
        let body = self.start + HEADER..self.start + size;
        self.start += size;
        Ok((header, self.buffer.get(body).ok_or(End::Malformed)?))
    }

    /// Reads until `size` bytes of the next frame are there.
    fn fill(&mut self, size: usize) -> Result<(), End> {
        if self.end - self.start < size {
            self.make_room(size)?;
        }
        while self.end - self.start < size {
            self.read()?;
        }
        Ok(())
    }

    /// Reads as much as is there, and waits until something is.
    fn read(&mut self) -> Result<(), End> {
        let free = self.buffer.get_mut(self.end..).ok_or(End::Malformed)?;
        match sys::read(self.socket.as_fd(), free) {
            Ok(0) | Err(_) => Err(End::Closed),
            Ok(read) => {
                self.end += read;
                Ok(())
            }
        }
    }

    /// Makes the buffer hold `size` bytes from `start` on.
    fn make_room(&mut self, size: usize) -> Result<(), End> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if size > self.buffer.len() {
            self.buffer.try_reserve_exact(size - self.buffer.len()).map_err(|_| End::Starved)?;
            self.buffer.resize(size, 0);
        } else if self.buffer.len() > KEPT && self.end <= KEPT && size <= KEPT {
            self.buffer.truncate(KEPT);
            self.buffer.shrink_to_fit();
        }
        Ok(())
    }
}

/// Frames to the node.
pub(crate) struct Reply {
    socket: Rc<OwnedFd>,
    bytes: Vec<u8>,
}

impl Reply {
    /// Frames to `socket`.
    pub(crate) const fn new(socket: Rc<OwnedFd>) -> Self {
        Self { socket, bytes: Vec::new() }
    }

    /// Sends one frame. `size` is what its variable parts take, in bytes.
    ///
    /// # Errors
    /// The cell's end: the node is gone, or there is no memory for the frame.
    pub(crate) fn send<T: Serialize>(
        &mut self,
        operation: Operation,
        sequence: u64,
        body: &T,
        size: usize,
    ) -> Result<(), End> {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.bytes.try_reserve(size + SMALL).map_err(|_| End::Starved)?;
        frame::write(&mut self.bytes, operation, sequence, body).map_err(|_| End::Malformed)?;
        sys::write(self.socket.as_fd(), &self.bytes).map_err(|_| End::Closed)
    }
}
