//! What a broker says, read from bytes: the server's half of the NATS client protocol
//! (<https://docs.nats.io/reference/reference-protocols/nats-protocol>). Pure; whatever the bytes are, they end in an operation, a wait
//! for more, or [`Broken`].

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;
use serde::Deserialize;

use super::headers::Headers;

/// Longest line, in bytes. `INFO` lists the addresses of a whole cluster.
const LONGEST_LINE: usize = 128 << 10;
/// Largest message, in bytes: the most that `nats-server` lets `max_payload` be.
const LARGEST: usize = 64 << 20;
/// Messages from this size on keep the buffer that they came in; smaller ones are copied, so that one that is kept
/// does not keep more than itself.
const COPIED_BELOW: usize = 256 << 10;
/// What a broker carries that does not say, in bytes: what `nats-server` does unless told otherwise.
const USUAL_PAYLOAD: usize = 1 << 20;

/// Bytes that are not of this protocol. What follows them cannot be trusted: the connection has to be made anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker does not speak the NATS protocol: {0}")]
pub struct Broken(&'static str);

/// What a broker tells of itself. What it leaves out is as if it were empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Largest message that it takes, in bytes; see [`Info::largest`].
    max_payload: Option<i64>,
    /// Whether it only speaks TLS.
    pub tls_required: bool,
    /// What users with a key have to sign.
    pub nonce: String,
    /// `host:port` of the brokers of its cluster.
    pub connect_urls: Option<Vec<String>>,
    /// Whether it will soon end.
    pub ldm: bool,
}

impl Info {
    /// Largest message that the broker takes, headers included, in bytes.
    #[must_use]
    pub fn largest(&self) -> usize {
        let told = self.max_payload.and_then(|told| usize::try_from(told).ok());
        told.filter(|told| *told > 0).unwrap_or(USUAL_PAYLOAD)
    }
}

/// What a broker says.
#[derive(Debug)]
pub enum Operation {
    /// What it is.
    Info(Info),
    /// A message to one of our subscriptions.
    Message(Message),
    /// It asks whether we are there.
    Ping,
    /// It has read all that we said before our `PING`.
    Pong,
    /// It took what we said.
    Fine,
    /// It did not: its text.
    Refused(String),
}

/// A message of a subscription.
#[derive(Debug, Clone)]
pub struct Message {
    whole: Bytes,
    sid: u64,
    subject: (usize, usize),
    reply: Option<(usize, usize)>,
    headers: (usize, usize),
    payload: (usize, usize),
}

impl Message {
    fn part(&self, (start, end): (usize, usize)) -> &[u8] {
        self.whole.get(start..end).unwrap_or_default()
    }

    fn bytes(&self, (start, end): (usize, usize)) -> Bytes {
        self.whole.slice(start.min(self.whole.len())..end.min(self.whole.len()))
    }

    fn text(&self, range: (usize, usize)) -> &str {
        // What is no text is as good as none: nothing is subscribed to or answered there.
        std::str::from_utf8(self.part(range)).unwrap_or_default()
    }

    /// The number of its subscription.
    #[must_use]
    pub(super) const fn sid(&self) -> u64 {
        self.sid
    }

    /// Where it was sent to.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text(self.subject)
    }

    /// Where answers to it go.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.reply.map(|reply| self.text(reply))
    }

    /// Where answers to it go, to keep.
    #[must_use]
    pub fn to_reply(&self) -> Option<Bytes> {
        self.reply.map(|reply| self.bytes(reply))
    }

    /// Its headers; none if it has none.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::of(self.part(self.headers))
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.part(self.payload)
    }

    /// What it carries, to keep.
    #[must_use]
    pub fn to_payload(&self) -> Bytes {
        self.bytes(self.payload)
    }

    /// Whether it is the broker's own word that nobody listens where it was answered for.
    #[must_use]
    pub fn is_no_responders(&self) -> bool {
        self.headers().status() == Some(503)
    }
}

/// Takes the next operation from the front of `buffer`; nothing if more has to come first.
///
/// # Errors
/// The bytes are not of this protocol.
pub fn read(buffer: &mut BytesMut) -> Result<Option<Operation>, Broken> {
    let within = buffer.get(..LONGEST_LINE).unwrap_or(buffer);
    let Some(end) = memchr(b'\n', within) else {
        return if buffer.len() >= LONGEST_LINE { Err(Broken("a line without an end")) } else { Ok(None) };
    };
    let line = buffer.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or(Broken("a line that ends in another way"))?;
    let (word, rest) = match blank(line) {
        Some(blank) => line.split_at(blank),
        None => (line, &[][..]),
    };
    let operation = match word {
        b"MSG" => return Arguments::read(rest, word.len(), false)?.take(buffer, end + 1),
        b"HMSG" => return Arguments::read(rest, word.len(), true)?.take(buffer, end + 1),
        b"PING" => Operation::Ping,
        b"PONG" => Operation::Pong,
        b"+OK" => Operation::Fine,
        b"-ERR" => Operation::Refused(String::from_utf8_lossy(rest).trim().trim_matches('\'').to_owned()),
        b"INFO" => {
            Operation::Info(serde_json::from_slice(rest).map_err(|_| Broken("an INFO that is no JSON"))?)
        }
        _ => return Err(Broken("an unknown operation")),
    };
    buffer.advance(end + 1);
    Ok(Some(operation))
}

/// `<subject> <sid> [reply] [bytes of headers] <bytes>` of a message's line.
struct Arguments {
    subject: (usize, usize),
    sid: u64,
    reply: Option<(usize, usize)>,
    headers: usize,
    total: usize,
}

impl Arguments {
    /// Reads what follows the first `before` bytes of a line.
    fn read(arguments: &[u8], before: usize, with_headers: bool) -> Result<Self, Broken> {
        const SHAPE: Broken = Broken("a message's line of another shape");
        let mut parts = Parts { bytes: arguments, at: 0 };
        let subject = parts.next().ok_or(SHAPE)?;
        let number = |(start, end)| number(arguments.get(start..end)?);
        let sid = parts.next().and_then(number).ok_or(SHAPE)?;
        let mut rest = [(0, 0); 3];
        let mut count = 0;
        for part in parts {
            *rest.get_mut(count).ok_or(SHAPE)? = part;
            count += 1;
        }
        let (reply, headers, total) = match (rest, count, with_headers) {
            ([total, ..], 1, false) => (None, None, total),
            ([reply, total, _], 2, false) => (Some(reply), None, total),
            ([headers, total, _], 2, true) => (None, Some(headers), total),
            ([reply, headers, total], 3, true) => (Some(reply), Some(headers), total),
            _ => return Err(SHAPE),
        };
        let size = |part| number(part).and_then(|size| usize::try_from(size).ok()).ok_or(SHAPE);
        let (headers, total) = (headers.map_or(Ok(0), size)?, size(total)?);
        if headers > total || total > LARGEST {
            return Err(SHAPE);
        }
        // Places are counted from the start of the line, which is the start of the message's bytes.
        let place = |(start, end): (usize, usize)| (before + start, before + end);
        Ok(Self { subject: place(subject), sid, reply: reply.map(place), headers, total })
    }

    /// Takes the message whose bytes begin at `start`, once all of it is there.
    fn take(self, buffer: &mut BytesMut, start: usize) -> Result<Option<Operation>, Broken> {
        let end = start + self.total;
        let Some(after) = buffer.get(end..end + 2) else {
            buffer.reserve(end + 2 - buffer.len());
            return Ok(None);
        };
        if after != b"\r\n" {
            return Err(Broken("a message of another size than its line says"));
        }
        let whole = if end < COPIED_BELOW {
            let copied = Bytes::copy_from_slice(buffer.get(..end).unwrap_or_default());
            buffer.advance(end);
            copied
        } else {
            let whole = buffer.split_to(end).freeze();
            // What comes next does not stand in the same large buffer.
            *buffer = BytesMut::from(buffer.as_ref());
            whole
        };
        buffer.advance(2);
        let payload = start + self.headers;
        Ok(Some(Operation::Message(Message {
            whole,
            sid: self.sid,
            subject: self.subject,
            reply: self.reply,
            headers: (start, payload),
            payload: (payload, end),
        })))
    }
}

/// A number in decimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        number.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))
    };
    digits.iter().try_fold(0, add).filter(|_| !digits.is_empty())
}

/// What the broker takes as blanks between two words. Subjects may hold any other character, other white space too.
const BLANKS: [u8; 2] = [b' ', b'\t'];

/// Where the first blank is. Words are short: looking at each byte costs less than beginning to look at many.
fn blank(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| BLANKS.contains(byte))
}

/// Where the words of a line begin and end.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Parts<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let rest = self.bytes.get(self.at..)?;
        let start = self.at + rest.iter().position(|byte| !BLANKS.contains(byte))?;
        let rest = self.bytes.get(start..)?;
        let end = start + blank(rest).unwrap_or(rest.len());
        self.at = end;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that is said, in short.
    fn all(bytes: &[u8], at_once: usize) -> Result<Vec<String>, Broken> {
        let (mut buffer, mut said) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(at_once.max(1)) {
            buffer.extend_from_slice(piece);
            while let Some(operation) = read(&mut buffer)? {
                said.push(match operation {
                    Operation::Message(message) => format!(
                        "{} {} {:?} {:?} {}",
                        message.sid(),
                        message.subject(),
                        message.reply(),
                        message.headers().iter().collect::<Vec<_>>(),
                        String::from_utf8_lossy(&message.to_payload()),
                    ),
                    other => format!("{other:?}"),
                });
            }
        }
        Ok(said)
    }

    const SAID: &[u8] = b"INFO {\"max_payload\":1024,\"unknown\":[1]}\r\nPING\r\n+OK\r\nMSG a.b 7 5\r\nhello\r\nMSG a 8 _INBOX.1 0\r\n\r\n\
        HMSG a 9 30 34\r\nNATS/1.0 503 No\r\nName: x y\r\n\r\nbody\r\nHMSG a 9 in 12 12\r\nNATS/1.0\r\n\r\n\r\nPONG\r\n-ERR 'Stale Connection'\r\n";

    #[test]
    fn all_that_a_broker_says_is_read_however_it_is_cut() {
        let whole = all(SAID, SAID.len()).unwrap();
        assert_eq!(whole.len(), 9);
        assert_eq!(whole[3], "7 a.b None [] hello");
        assert_eq!(whole[4], "8 a Some(\"_INBOX.1\") [] ");
        assert_eq!(whole[5], "9 a None [(\"Name\", \"x y\")] body");
        assert_eq!(whole[8], "Refused(\"Stale Connection\")");
        for at_once in 1..SAID.len() {
            assert_eq!(all(SAID, at_once).unwrap(), whole);
        }
    }

    #[test]
    fn a_large_message_keeps_its_bytes() {
        let body = "x".repeat(3 * COPIED_BELOW);
        let said = format!("MSG a 1 {}\r\n{body}\r\nPING\r\n", body.len());
        assert_eq!(all(said.as_bytes(), 4_096).unwrap(), [format!("1 a None [] {body}"), "Ping".to_owned()]);
    }

    #[test]
    fn no_character_of_a_subject_moves_what_follows_it() {
        let subjects: [&[u8]; 6] =
            [b"a\x0c1", b"a\x0b1", b"a\r1", b"a\xa01", b"\xff", "a\u{2003}1".as_bytes()];
        for subject in subjects {
            let mut buffer = BytesMut::from(&b"MSG "[..]);
            buffer.extend_from_slice(subject);
            buffer.extend_from_slice(b" 7 ");
            buffer.extend_from_slice(subject);
            buffer.extend_from_slice(b" 2\r\nhi\r\nPING\r\n");
            let Ok(Some(Operation::Message(message))) = read(&mut buffer) else { panic!("{subject:?}") };
            let text = std::str::from_utf8(subject).unwrap_or_default();
            assert_eq!((message.sid(), message.subject(), message.reply()), (7, text, Some(text)));
            assert_eq!(message.payload(), b"hi");
            assert!(matches!(read(&mut buffer), Ok(Some(Operation::Ping))));
        }
    }

    #[test]
    fn what_a_broker_leaves_out_is_as_usual() {
        let info = |json: &str| serde_json::from_str::<Info>(json).unwrap();
        assert_eq!(info("{}").largest(), USUAL_PAYLOAD);
        assert_eq!(info(r#"{"max_payload":-1,"connect_urls":null}"#).largest(), USUAL_PAYLOAD);
        assert_eq!(info(r#"{"max_payload":5}"#).largest(), 5);
    }

    #[test]
    fn what_is_no_word_of_a_broker_breaks() {
        let endless = [b'x'; LONGEST_LINE];
        let broken: [&[u8]; 14] = [
            b"HELLO\r\n",
            b"PING\n",
            b"\r\n",
            b"MSG\r\n",
            b"MSG a\r\n",
            b"MSG a 1\r\n",
            b"MSG a x 1\r\n",
            b"MSG a 1 -1\r\n",
            b"MSG a 1 99999999999999999999\r\n",
            b"MSG a 1 67108865\r\n",
            b"MSG a 1 b 2 3\r\n",
            b"HMSG a 1 5 4\r\n",
            b"MSG a 1 1\r\nab\r\n",
            b"INFO {\r\n",
        ];
        for bytes in broken.into_iter().chain([&endless[..]]) {
            assert!(all(bytes, bytes.len()).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at_once in 1_usize..50) {
            let _any = all(&bytes, at_once);
        }

        #[test]
        fn no_change_of_what_is_said_makes_it_panic(at in 0..SAID.len(), byte: u8, at_once in 1_usize..400) {
            let mut bytes = SAID.to_vec();
            bytes[at] = byte;
            let _any = all(&bytes, at_once);
        }
    }
}
