//! Writes replies and cell inputs piece by piece in either format, so that raw values go in as they came.
//! Typed values without raw parts are written by serde through [`Writer::value`].

use std::cell::RefCell;

use serde::Serialize;

use crate::format::Format;
use crate::raw::{BIG_INTEGER, Raw};
use crate::scan;

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

    /// A buffer in memory that was used before, whose bytes go.
    pub(crate) fn within(format: Format, mut room: Vec<u8>) -> Self {
        room.clear();
        Self { format, out: room, comma: false }
    }

    /// How many bytes were written.
    pub(crate) const fn len(&self) -> usize {
        self.out.len()
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
        self.text(key);
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

    /// Writes text.
    pub fn text(&mut self, text: &str) {
        if self.format != Format::Json || scan::plain_prefix(text.as_bytes()) < text.len() {
            return self.value(text);
        }
        self.separate();
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
        self.comma = true;
    }

    /// Writes a moment as text, RFC 3339 in UTC with milliseconds.
    pub fn timestamp(&mut self, at: jiff::Timestamp) {
        thread_local! {
            /// The text of the second that was written last, which most moments share with the one before.
            static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
        }
        if at < jiff::Timestamp::UNIX_EPOCH {
            // Its fraction counts down.
            return self.text(&format!("{at:.3}"));
        }
        let millis = at.subsec_millisecond().unsigned_abs();
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != at.as_second() {
                (*second, *text) = (at.as_second(), format!("{at:.3}"));
            }
            let digits = [millis / 100, millis / 10 % 10, millis % 10];
            text.truncate(text.len() - "000Z".len());
            text.extend(digits.into_iter().filter_map(|digit| char::from_digit(digit, 10)));
            text.push('Z');
            self.text(text);
        });
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
                let _fits = put_extension(&mut self.out, BIG_INTEGER, digits.as_bytes());
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

    /// Writes what stands before and between values, as it is in the format that is written.
    pub(crate) fn literal(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.comma = false;
    }

    fn open(&mut self, bracket: u8, short: u8, long: u8, length: u32) {
        self.separate();
        match self.format {
            Format::Json => self.out.push(bracket),
            Format::MessagePack => put_length(&mut self.out, short, long, length),
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

/// Array and map headers share one layout: a short form in the first byte, then 16 and 32 bits.
fn put_length(out: &mut Vec<u8>, short: u8, long: u8, length: u32) {
    if let (Ok(low), true) = (u8::try_from(length), length < 16) {
        out.push(short | low);
    } else if let Ok(word) = u16::try_from(length) {
        out.push(long);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(long + 1);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

pub(crate) fn put_extension(out: &mut Vec<u8>, kind: i8, data: &[u8]) -> Option<()> {
    let length = u32::try_from(data.len()).ok()?;
    out.push(0xc9);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(data);
    Some(())
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
    fn text_is_read_again_as_it_was_wherever_something_in_it_has_to_be_escaped() {
        for escaped in ['\0', '\u{1f}', '"', '\\', '\u{7f}', 'é', '\u{2028}'] {
            for place in 0..40 {
                let text: String = (0..40).map(|at| if at == place { escaped } else { 'a' }).collect();
                for format in [Format::Json, Format::MessagePack] {
                    let mut writer = Writer::new(format, 0);
                    writer.list(2);
                    writer.text(&text);
                    writer.text("");
                    writer.end_list();
                    let read: Vec<String> = crate::raw::read(format, &writer.finish(), "text").unwrap();
                    assert_eq!(read, [text.as_str(), ""]);
                }
            }
        }
    }

    #[test]
    fn a_moment_has_its_own_text_whatever_was_written_before() {
        let second = 1_000_000_000_i128;
        for nanos in [0, 1, 999_999, 1_000_000, 123_456_789, 999_999_999] {
            for at in [0, 1, 1, 1_795_000_000, 0, 253_402_207_200, -1, -62_135_596_800, 1_795_000_000] {
                let at = jiff::Timestamp::from_nanosecond(at * second + nanos).unwrap();
                let mut writer = Writer::new(Format::Json, 0);
                writer.timestamp(at);
                assert_eq!(writer.finish(), format!("\"{at:.3}\"").into_bytes());
            }
        }
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
