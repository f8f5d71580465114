//! Headers of messages: looked through where they stand, and written straight to where they go
//! ([ADR-4](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-4.md)).

/// How each block of headers begins.
const VERSION: &str = "NATS/1.0";

/// What a value that is no text is read as: no value that anybody accepts.
const NO_TEXT: &str = "\u{fffd}";

/// The headers of a message, unread.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// The headers in `block`; none if it is empty.
    #[must_use]
    pub(super) const fn of(block: &'a [u8]) -> Self {
        Self(block)
    }

    fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b'\n')
    }

    /// The status of the first line, if it has one.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        let line = std::str::from_utf8(self.lines().next()?).ok()?.strip_prefix(VERSION)?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Names and values in their order. Lines that are neither are left out; a value that is no text is one that nobody
    /// accepts, so that it is not taken for one that is missing.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let value = std::str::from_utf8(value.get(1..)?).unwrap_or(NO_TEXT);
            Some((std::str::from_utf8(name).ok()?, value.trim()))
        })
    }

    /// The first value under `name`, in any spelling of case.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Headers of a message that is being written.
#[derive(Debug)]
pub struct Block<'a>(&'a mut Vec<u8>);

impl<'a> Block<'a> {
    /// Begins a block in `bytes`, which are empty.
    pub(super) fn begin(bytes: &'a mut Vec<u8>) -> Self {
        bytes.extend_from_slice(VERSION.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        Self(bytes)
    }

    /// Adds a header. One whose text would end its line is left out: it could be read as another header.
    pub fn put(&mut self, name: &str, value: &str) {
        // No early end: so the compiler looks at many bytes at once.
        if value.bytes().fold(false, |found, byte| found | byte.is_ascii_control()) {
            return;
        }
        self.0.reserve(name.len() + value.len() + 4);
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds headers that were written before.
    pub fn append(&mut self, lines: &Lines) {
        self.0.extend_from_slice(&lines.0);
    }

    pub(super) fn end(self) {
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Headers that many messages bear.
#[derive(Debug)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Names and values, written as [`Block::put`] does.
    #[must_use]
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut lines = Self(Vec::new());
        let mut block = Block(&mut lines.0);
        headers.into_iter().for_each(|(name, value)| block.put(name, value));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_under_any_spelling_of_its_name() {
        let mut bytes = Vec::new();
        let mut block = Block::begin(&mut bytes);
        block.put("Content-Type", "application/json");
        block.put("Split", "a\r\nEvil: b");
        block.put("Content-Type", "second");
        block.end();
        let headers = Headers::of(&bytes);
        assert_eq!(headers.get("content-type"), Some("application/json"));
        assert_eq!((headers.get("Split"), headers.get("Evil"), headers.status()), (None, None, None));
        assert_eq!(headers.iter().count(), 2);
    }

    #[test]
    fn a_value_that_is_no_text_hides_no_other_and_is_not_missing() {
        let headers = Headers::of(b"NATS/1.0\r\nA: b\xe9\r\nB: c\r\n\xff: d\r\n\r\n");
        assert_eq!(
            (headers.get("A"), headers.get("b"), headers.iter().count()),
            (Some(NO_TEXT), Some("c"), 2)
        );
    }

    #[test]
    fn a_status_is_a_number_behind_the_version() {
        for (block, status) in [
            (&b"NATS/1.0 503\r\n\r\n"[..], Some(503)),
            (b"NATS/1.0 503 No Responders\r\n\r\n", Some(503)),
            (b"NATS/1.0\r\nA: 503\r\n\r\n", None),
            (b"NATS/1.0 x\r\n\r\n", None),
            (b"HTTP/1.1 503\r\n\r\n", None),
            (b"\xff", None),
            (b"", None),
        ] {
            assert_eq!(Headers::of(block).status(), status);
        }
    }
}
