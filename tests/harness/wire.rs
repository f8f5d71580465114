//! The NATS protocol over a plain socket, line by line: a client that shares no code with the node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// What the broker said of itself.
    pub info: serde_json::Value,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was sent to.
    pub subject: String,
    /// Header lines, without the version line.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Wire {
    /// Connects to 127.0.0.1 and greets the broker.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        let writer = TcpStream::connect(("127.0.0.1", port)).expect("a broker");
        writer.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        writer.set_nodelay(true).expect("no delay");
        let reader = BufReader::new(writer.try_clone().expect("a second handle"));
        let mut wire = Self { reader, writer, info: serde_json::Value::Null };
        let info = wire.line();
        wire.info = serde_json::from_str(info.strip_prefix("INFO ").expect("INFO")).expect("JSON");
        wire.write(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"lang\":\"wire\",\"version\":\"0\"}\r\nPING\r\n");
        assert_eq!(wire.line(), "PONG");
        wire
    }

    /// Subscribes to `subject`.
    pub fn subscribe(&mut self, subject: &str) {
        self.write(format!("SUB {subject} 1\r\n").as_bytes());
    }

    /// Publishes a message with the reply subject `reply`; an empty one is none.
    pub fn publish(&mut self, subject: &str, reply: &str, body: &[u8]) {
        let space = if reply.is_empty() { "" } else { " " };
        let mut bytes = format!("PUB {subject}{space}{reply} {}\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
        self.write(&bytes);
    }

    /// Waits until the broker has taken all that was sent to it.
    pub fn settle(&mut self) {
        self.write(b"PING\r\n");
        while self.line() != "PONG" {}
    }

    /// The next message.
    pub fn receive(&mut self) -> Received {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            match words.first().copied() {
                Some("MSG") => return self.message(&words, 0),
                Some("HMSG") => {
                    let head = words[words.len() - 2].parse().expect("the length of the headers");
                    return self.message(&words, head);
                }
                Some("PING") => self.write(b"PONG\r\n"),
                Some("INFO") => {}
                _ => panic!("not a message: {line}"),
            }
        }
    }

    fn message(&mut self, words: &[&str], head: usize) -> Received {
        let total: usize = words[words.len() - 1].parse().expect("a length");
        let mut bytes = vec![0; total + 2];
        self.reader.read_exact(&mut bytes).expect("a body");
        assert_eq!(bytes.split_off(total), b"\r\n");
        let body = bytes.split_off(head);
        let text = String::from_utf8(bytes).expect("headers are text");
        let headers = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
        Received { subject: words[1].to_owned(), headers, body }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line of the broker");
        assert!(line.ends_with("\r\n"), "the broker hung up: {line}");
        line.truncate(line.len() - 2);
        line.trim_end().to_owned()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect("the broker reads");
    }
}
