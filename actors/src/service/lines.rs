//! What a program writes, line by line, however much it is: long lines are cut, and one that floods is slowed down.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Most bytes of a line that are kept.
pub const LONGEST: usize = 4 * 1024;
/// Read at a time.
const CHUNK: usize = 16 * 1024;
/// How many bytes are read in a slice of time; the pipe holds the writer back beyond that.
const MOST: usize = 128 * 1024;
/// A slice of time.
const SLICE: Duration = Duration::from_millis(100);

/// Puts lines together from what comes in pieces.
#[derive(Debug, Default)]
struct Joiner {
    line: Vec<u8>,
}

impl Joiner {
    /// Hands on each line that ends in `bytes`, without its end, cut.
    fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LONGEST - self.line.len();
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if pieces.peek().is_some() {
                self.end(&mut each);
            }
        }
    }

    /// Hands on what has no end.
    fn end(&mut self, mut each: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        each(text.strip_suffix('\r').unwrap_or(&text));
        self.line.clear();
    }
}

/// Gives every line of `pipe` to `each`, until it ends.
pub async fn read(mut pipe: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let mut joiner = Joiner::default();
    let mut buffer = vec![0; CHUNK];
    let (mut slice, mut came) = (Instant::now(), 0);
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        joiner.take(buffer.get(..length).unwrap_or_default(), &mut each);
        let passed = slice.elapsed();
        if passed >= SLICE {
            (slice, came) = (Instant::now(), 0);
        }
        came += length;
        if came >= MOST {
            tokio::time::sleep(SLICE.saturating_sub(passed)).await;
        }
    }
    if !joiner.line.is_empty() {
        joiner.end(&mut each);
    }
}

/// How many lines of a program may stand in the log in a second; of more only the number does.
#[derive(Debug)]
pub struct Ration {
    second: Instant,
    shown: u32,
    left_out: u64,
}

/// Most lines in a second.
const MOST_LINES: u32 = 100;

impl Ration {
    /// Begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { second: now, shown: 0, left_out: 0 }
    }

    /// Whether one more line may stand in the log, and how many were left out since the last time that one might.
    pub fn one_more(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.shown) = (now, 0);
        }
        if self.shown >= MOST_LINES {
            self.left_out += 1;
            return None;
        }
        self.shown += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut joiner, mut lines) = (Joiner::default(), Vec::new());
        for piece in pieces {
            joiner.take(piece, |line| lines.push(line.to_owned()));
        }
        lines
    }

    #[test]
    fn lines_are_put_together_however_they_come() {
        assert_eq!(lines(&[b"a\nb", b"c\n\nd"]), ["a", "bc", ""]);
        assert_eq!(lines(&[b"pong\r\n", b"\xff\n"]), ["pong", "\u{fffd}"]);
        assert_eq!(lines(&[b"", b"no end"]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_room_than_a_long_one() {
        let (mut joiner, mut lines) = (Joiner::default(), Vec::new());
        for _ in 0..1_000 {
            joiner.take(&[b'x'; CHUNK], |line| lines.push(line.len()));
            assert!(joiner.line.capacity() <= 2 * LONGEST);
        }
        joiner.take(b"y\nz\n", |line| lines.push(line.len()));
        assert_eq!(lines, [LONGEST, 1]);
    }

    #[test]
    fn a_program_that_floods_the_log_is_cut_short_and_that_is_said() {
        let begin = Instant::now();
        let mut ration = Ration::new(begin);
        let shown = (0..1_000).filter(|_| ration.one_more(begin).is_some()).count();
        assert_eq!(shown, 100);
        assert_eq!(ration.one_more(begin + Duration::from_secs(1)), Some(900));
        assert_eq!(ration.one_more(begin + Duration::from_secs(1)), Some(0));
    }
}
