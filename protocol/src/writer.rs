//! Writes replies and cell inputs piece by piece in either format, so that raw values go in as they came.
//! Typed values without raw parts are written by serde through [`Writer::value`].

use serde::Serialize;

use crate::format::Format;
use crate::raw::{self, Raw};

/// An output buffer that knows its format. Containers are opened with their length and closed by `end`,
/// which JSON needs and MessagePack ignores.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    out: Vec<u8>,
    /// Whether the next item in the current JSON container needs a comma before it.
    comma: bool,
}

impl Writer {
    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn new(format: Format, capacity: usize) -> Self {
        Self { format, out: Vec::with_capacity(capacity), comma: false }
    }

    /// The format that is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Opens an object of `length` entries.
    pub fn object(&mut self, length: u32) {
        self.open(b'{', 0x80, 0xde, length);
    }

    /// Opens a list of `length` items.
    pub fn list(&mut self, length: u32) {
        self.open(b'[', 0x90, 0xdc, length);
    }

    /// Closes an object.
    pub fn end_object(&mut self) {
        self.close(b'}');
    }

    /// Closes a list.
    pub fn end_list(&mut self) {
        self.close(b']');
    }

    /// Writes the key of the next value.
    pub fn key(&mut self, key: &str) {
        self.value(key);
        if self.format == Format::Json {
            self.out.push(b':');
            self.comma = false;
        }
    }

    /// Writes a value that serde can write in both formats. Values of our own types always can.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.separate();
        let written = match self.format {
            Format::Json => serde_json::to_writer(&mut self.out, value).is_ok(),
            Format::MessagePack => {
                let mut serializer = rmp_serde::Serializer::new(&mut self.out).with_struct_map();
                value.serialize(&mut serializer).is_ok()
            }
        };
        debug_assert!(written, "a type of our own that serde cannot write");
        self.comma = true;
    }

    /// Writes an integer of any size given by its decimal digits.
    pub fn integer(&mut self, digits: &str) {
        match (self.format, digits.parse::<i64>()) {
            (_, Ok(small)) => self.value(&small),
            (Format::Json, Err(_)) => {
                self.separate();
                self.out.extend_from_slice(digits.as_bytes());
                self.comma = true;
            }
            (Format::MessagePack, Err(_)) => {
                let _fits = raw::put_extension(&mut self.out, raw::BIG_INTEGER, digits.as_bytes());
            }
        }
    }

    /// Writes a value as it came. A value of the other format cannot stand here; it becomes null, and debug
    /// builds stop: every raw value of a call is in the call's format.
    pub fn raw(&mut self, value: &Raw<'_>) {
        if value.format() != self.format {
            debug_assert!(false, "a raw value in another format than its message");
            self.value(&());
            return;
        }
        self.separate();
        self.out.extend_from_slice(value.bytes());
        self.comma = true;
    }

    fn open(&mut self, bracket: u8, short: u8, long: u8, length: u32) {
        self.separate();
        match self.format {
            Format::Json => self.out.push(bracket),
            Format::MessagePack => raw::put_length(&mut self.out, short, long, length),
        }
        self.comma = false;
    }

    fn close(&mut self, bracket: u8) {
        if self.format == Format::Json {
            self.out.push(bracket);
        }
        self.comma = true;
    }

    fn separate(&mut self) {
        if self.comma && self.format == Format::Json {
            self.out.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(format: Format) -> Vec<u8> {
        let raw_bytes = match format {
            Format::Json => b"[1, 2]".to_vec(),
            Format::MessagePack => rmp_serde::to_vec(&[1, 2]).unwrap(),
        };
        let mut writer = Writer::new(format, 64);
        writer.object(4);
        writer.key("text");
        writer.value("a\"b");
        writer.key("raw");
        writer.raw(&Raw::trusted(format, &raw_bytes));
        writer.key("list");
        writer.list(2);
        writer.value(&true);
        writer.object(0);
        writer.end_object();
        writer.end_list();
        writer.key("n");
        writer.integer("-7");
        writer.end_object();
        writer.finish()
    }

    #[test]
    fn both_formats_say_the_same() {
        let json: serde_json::Value = serde_json::from_slice(&write(Format::Json)).unwrap();
        let packed: serde_json::Value = rmp_serde::from_slice(&write(Format::MessagePack)).unwrap();
        assert_eq!(json, packed);
        assert_eq!(json, serde_json::json!({"text": "a\"b", "raw": [1, 2], "list": [true, {}], "n": -7}));
    }

    #[test]
    fn an_integer_beyond_64_bits_keeps_its_digits() {
        let digits = "-123456789012345678901234567890";
        let mut writer = Writer::new(Format::Json, 0);
        writer.integer(digits);
        assert_eq!(writer.finish(), digits.as_bytes());
        let mut writer = Writer::new(Format::MessagePack, 0);
        writer.integer(digits);
        assert!(writer.finish().ends_with(digits.as_bytes()));
    }
}
