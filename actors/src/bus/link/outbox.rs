//! What waits to be written to the broker, in whole frames. When a connection breaks, what was not yet written of it goes over the next
//! one; a frame that was written in part is gone, and whether the broker has read it nobody knows.

use super::headers::Block;

/// Most bytes that wait, unless a single frame is larger. Who has more to say waits for room.
const MOST_WAITING: usize = 64 << 20;
/// Written bytes are thrown away from here on even if others still wait behind them.
const MOST_WRITTEN: usize = 1 << 20;
/// A buffer that was needed for more than this is not kept.
const MOST_KEPT: usize = 1 << 20;

/// Longest subject, in bytes: a line of ours has two at most, and a broker takes lines of 4 KiB.
const LONGEST_SUBJECT: usize = 1_500;

/// Why a message does not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much waits already: the broker is away or slow.
    #[error("the broker is away or slow, and too much waits for it")]
    Full,
    /// More than the broker carries, headers included: it would close the connection over it.
    #[error("{0} bytes are more than the broker carries")]
    TooLarge(usize),
    /// The connection has been ended for good.
    #[error("the connection to the broker has been closed")]
    Closed,
    /// A subject that no broker takes.
    #[error(
        "a subject may be neither empty nor longer than {LONGEST_SUBJECT} bytes, nor hold spaces or control characters"
    )]
    Subject,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy)]
pub struct To<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// Where answers to it go.
    pub reply: Option<&'a str>,
}

impl<'a> To<'a> {
    /// To a subject; nobody is asked to answer.
    #[must_use]
    pub const fn subject(subject: &'a str) -> Self {
        Self { subject, reply: None }
    }
}

/// The frames that wait.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// The headers of the frame that is being made; kept for its room.
    block: Vec<u8>,
    /// Largest message that the broker carries, in bytes.
    pub(super) largest: usize,
}

impl Outbox {
    /// An empty one for a broker that carries messages up to `largest` bytes.
    pub(super) const fn new(largest: usize) -> Self {
        Self { bytes: Vec::new(), written: 0, block: Vec::new(), largest }
    }

    /// Whether who waits for room should try again.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() <= MOST_WAITING / 2
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// What is to be written next.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Notes that `count` bytes of the rest were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.bytes.len());
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(MOST_KEPT);
            self.written = 0;
        } else if self.written > MOST_WRITTEN {
            let (start, _) = borders(&self.bytes, self.written);
            self.bytes.drain(..start);
            self.written -= start;
        }
    }

    /// A word of the protocol without a message.
    pub(super) fn word(&mut self, parts: &[&str]) {
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A message with the headers that `headers` puts, and with the parts of `payload` as one.
    pub(super) fn message(
        &mut self,
        to: To<'_>,
        headers: impl FnOnce(&mut Block<'_>),
        payload: &[&[u8]],
    ) -> Result<(), Refused> {
        self.block.clear();
        let mut block = Block::begin(&mut self.block);
        headers(&mut block);
        block.end();
        let headers = std::mem::take(&mut self.block);
        let put = self.put(to, Some(&headers), payload);
        self.block = headers;
        put
    }

    /// A message without headers.
    pub(super) fn bare(&mut self, to: To<'_>, payload: &[&[u8]]) -> Result<(), Refused> {
        self.put(to, None, payload)
    }

    fn put(&mut self, to: To<'_>, headers: Option<&[u8]>, payload: &[&[u8]]) -> Result<(), Refused> {
        if !is_subject(to.subject) || to.reply.is_some_and(|reply| !is_subject(reply)) {
            return Err(Refused::Subject);
        }
        let size = headers.into_iter().chain(payload.iter().copied()).map(<[u8]>::len).sum();
        if size > self.largest {
            return Err(Refused::TooLarge(size));
        }
        if self.waiting() > 0 && self.waiting() + size > MOST_WAITING {
            return Err(Refused::Full);
        }
        let (mut counts, mut totals) = (itoa::Buffer::new(), itoa::Buffer::new());
        let total = totals.format(size);
        let verb = if headers.is_some() { "HPUB " } else { "PUB " };
        for part in [verb, to.subject, " "] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        if let Some(reply) = to.reply {
            self.bytes.extend_from_slice(reply.as_bytes());
            self.bytes.push(b' ');
        }
        if let Some(headers) = headers {
            self.bytes.extend_from_slice(counts.format(headers.len()).as_bytes());
            self.bytes.push(b' ');
        }
        self.bytes.extend_from_slice(total.as_bytes());
        // At once: what comes is as much as this.
        self.bytes.reserve(size + 4);
        self.bytes.extend_from_slice(b"\r\n");
        for part in headers.into_iter().chain(payload.iter().copied()) {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Puts what waits in another one behind what waits here.
    pub(super) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(other.rest());
    }

    /// What goes over the next connection: the messages of which nothing was written. The other words are said anew.
    pub(super) fn begin_again(&mut self) {
        let (_, mut start) = borders(&self.bytes, self.written);
        let mut kept = Vec::new();
        while let Some(rest) = self.bytes.get(start..).filter(|rest| !rest.is_empty()) {
            let (size, is_message) = frame(rest);
            if is_message {
                kept.extend_from_slice(rest.get(..size).unwrap_or_default());
            }
            start += size;
        }
        (self.bytes, self.written) = (kept, 0);
    }
}

/// Whether a broker takes it as a subject.
fn is_subject(subject: &str) -> bool {
    !subject.is_empty()
        && subject.len() <= LONGEST_SUBJECT
        && subject.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

/// The borders of frames around what is written: the last one before or at its end, and the first one at or behind it.
fn borders(bytes: &[u8], written: usize) -> (usize, usize) {
    let mut start = 0;
    loop {
        let next = start + frame(bytes.get(start..).unwrap_or_default()).0;
        if next > written || next == start {
            return (start, if start < written { next } else { start });
        }
        start = next;
    }
}

/// Size of the first frame of our own making, and whether it is a message.
fn frame(bytes: &[u8]) -> (usize, bool) {
    let line = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    let text = std::str::from_utf8(bytes.get(..line).unwrap_or_default()).unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let is_message = words.next().is_some_and(|verb| verb == "PUB" || verb == "HPUB");
    let body = words.next_back().filter(|_| is_message).and_then(|size| size.parse::<usize>().ok());
    (body.map_or(line, |body| line + body + 2).min(bytes.len()), is_message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (Outbox, Vec<usize>) {
        let mut outbox = Outbox::new(64 << 20);
        let mut ends = Vec::new();
        outbox.word(&["SUB a 1"]);
        ends.push(outbox.waiting());
        outbox.bare(To::subject("a"), &[b"PUB ", b"x 3\r\n"]).unwrap();
        ends.push(outbox.waiting());
        outbox.word(&["PING"]);
        ends.push(outbox.waiting());
        outbox
            .message(To { subject: "b", reply: Some("c") }, |block| block.put("N", "v"), &[b"bo", b"", b"dy"])
            .unwrap();
        ends.push(outbox.waiting());
        (outbox, ends)
    }

    #[test]
    fn frames_are_those_of_the_protocol() {
        let (outbox, _) = filled();
        let text = std::str::from_utf8(outbox.rest()).unwrap();
        let message = "HPUB b c 18 22\r\nNATS/1.0\r\nN: v\r\n\r\nbody\r\n";
        assert_eq!(text, format!("SUB a 1\r\nPUB a 9\r\nPUB x 3\r\n\r\nPING\r\n{message}"));
    }

    #[test]
    fn after_a_break_only_whole_messages_are_left_that_were_not_begun() {
        let (whole, ends) = filled();
        for written in 0..=ends[3] {
            let (mut outbox, _) = filled();
            outbox.wrote(written);
            outbox.begin_again();
            let mut expected = Vec::new();
            // A frame is gone once a byte of it was written.
            if written <= ends[0] {
                expected.extend_from_slice(&whole.rest()[ends[0]..ends[1]]);
            }
            if written <= ends[2] {
                expected.extend_from_slice(&whole.rest()[ends[2]..]);
            }
            assert_eq!(outbox.rest(), expected, "{written} bytes written");
        }
    }

    #[test]
    fn written_bytes_do_not_pile_up_behind_a_backlog() {
        let (mut outbox, payload) = (Outbox::new(64 << 20), vec![b'x'; 1_000]);
        for _ in 0..10_000 {
            outbox.bare(To::subject("a"), &[&payload]).unwrap();
            outbox.wrote(1_000);
            assert!(outbox.written <= MOST_WRITTEN + 2 * payload.len());
        }
        let left = outbox.waiting();
        outbox.wrote(left);
        assert!(outbox.bytes.is_empty() && outbox.bytes.capacity() <= 2 * MOST_KEPT);
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let (mut outbox, payload) = (Outbox::new(64 << 20), vec![0; MOST_WAITING]);
        assert_eq!(outbox.bare(To::subject("a"), &[&payload]), Ok(()), "a single one may be large");
        assert_eq!(outbox.bare(To::subject("a"), &[b"1"]), Err(Refused::Full));
        assert!(!outbox.has_room());
        outbox.largest = 3;
        assert_eq!(outbox.bare(To::subject("a"), &[b"12", b"34"]), Err(Refused::TooLarge(4)));
    }

    #[test]
    fn a_subject_cannot_end_its_line() {
        let mut outbox = Outbox::new(64 << 20);
        let long = "a".repeat(LONGEST_SUBJECT + 1);
        for subject in ["", "a b", "a\r\nPUB b 0", "a\tb", "\u{7f}", &long] {
            assert_eq!(outbox.bare(To::subject(subject), &[]), Err(Refused::Subject));
            assert_eq!(outbox.bare(To { subject: "a", reply: Some(subject) }, &[]), Err(Refused::Subject));
        }
        assert_eq!(outbox.waiting(), 0);
    }
}
