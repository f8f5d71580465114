//! Any bytes as what a broker says, in pieces of any size: the pieces never matter, and what is no operation breaks.

#![no_main]

use bytes::BytesMut;
use callboard::bus::link::wire::{self, Broken, Operation};
use libfuzzer_sys::fuzz_target;

/// All operations in `bytes`, which come in pieces of `at_once`, or where they break.
fn read(bytes: &[u8], at_once: usize) -> (Vec<String>, Option<Broken>) {
    let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(at_once) {
        buffer.extend_from_slice(piece);
        loop {
            match wire::read(&mut buffer) {
                Ok(Some(Operation::Message(message))) => {
                    let headers: Vec<_> = message.headers().iter().collect();
                    let (status, kept) = (message.headers().status(), message.to_payload());
                    assert_eq!(kept, message.payload());
                    // Of what is no text nothing is handed on.
                    let to = (message.subject(), message.reply());
                    assert!(!message.subject().contains([' ', '\t', '\n']));
                    read.push(format!("{to:?} {headers:?} {status:?} {kept:?}"));
                }
                Ok(Some(other)) => read.push(format!("{other:?}")),
                Ok(None) => break,
                Err(broken) => return (read, Some(broken)),
            }
        }
    }
    (read, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((at_once, bytes)) = data.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(*at_once).max(1)), whole);
});
