//! Prints MessagePack: every value in its shortest form, floats always in 64 bits.
//!
//! Which Python object becomes what is decided in `walk` and `convert`.

use super::BIG_INTEGER;
use super::fault::{Done, Fault};
use super::output::Output;
use super::printed::Printed;
use super::walk::Sink;

/// A [`Sink`] of MessagePack.
pub(super) struct Writer<'a> {
    output: Output<'a>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(output: Output<'a>) -> Self {
        Self { output }
    }

    /// A marker and the bytes that belong to it.
    #[inline]
    fn marked<const N: usize>(&mut self, marker: u8, bytes: [u8; N]) -> Done {
        self.output.around([marker], &bytes, [])
    }

    /// The beginning of a list or dict: `small` with up to 15 entries, else the marker for two or four bytes.
    #[inline]
    fn begin(&mut self, length: usize, small: u8, [two, four]: [u8; 2]) -> Done {
        let [a, b, c, d] = u32::try_from(length).map_err(|_| too_long())?.to_be_bytes();
        match length {
            0..=15 => self.output.array([small | d]),
            16..=0xffff => self.output.array([two, c, d]),
            _ => self.output.array([four, a, b, c, d]),
        }
    }
}

#[cold]
fn too_long() -> Fault {
    Fault::here("longer than MessagePack can say")
}

impl<'a> Sink<'a> for Writer<'a> {
    #[inline]
    fn none(&mut self) -> Done {
        self.output.array([0xc0])
    }

    #[inline]
    fn bool(&mut self, value: bool) -> Done {
        self.output.array([0xc2 | u8::from(value)])
    }

    #[inline]
    fn signed(&mut self, value: i64) -> Done {
        if let Ok(value) = u64::try_from(value) {
            return self.unsigned(value);
        }
        if value >= -0x20 {
            let [.., low] = value.to_be_bytes();
            self.output.array([low])
        } else if let Ok(value) = i8::try_from(value) {
            self.marked(0xd0, value.to_be_bytes())
        } else if let Ok(value) = i16::try_from(value) {
            self.marked(0xd1, value.to_be_bytes())
        } else if let Ok(value) = i32::try_from(value) {
            self.marked(0xd2, value.to_be_bytes())
        } else {
            self.marked(0xd3, value.to_be_bytes())
        }
    }

    #[inline]
    fn unsigned(&mut self, value: u64) -> Done {
        if value < 0x80 {
            let [.., low] = value.to_be_bytes();
            self.output.array([low])
        } else if let Ok(value) = u8::try_from(value) {
            self.marked(0xcc, value.to_be_bytes())
        } else if let Ok(value) = u16::try_from(value) {
            self.marked(0xcd, value.to_be_bytes())
        } else if let Ok(value) = u32::try_from(value) {
            self.marked(0xce, value.to_be_bytes())
        } else {
            self.marked(0xcf, value.to_be_bytes())
        }
    }

    fn big(&mut self, digits: &[u8]) -> Done {
        // The forms of fixed size would save a byte for some lengths; one rule is worth more.
        match u16::try_from(digits.len()).map(u16::to_be_bytes) {
            Ok([0, length]) => self.output.around([0xc7, length, BIG_INTEGER], digits, []),
            Ok([high, low]) => self.output.around([0xc8, high, low, BIG_INTEGER], digits, []),
            Err(_) => Err(too_long()),
        }
    }

    #[inline]
    fn float(&mut self, value: f64) -> Done {
        self.marked(0xcb, value.to_be_bytes())
    }

    #[inline]
    fn text(&mut self, utf8: &[u8]) -> Done {
        let [a, b, c, d] = u32::try_from(utf8.len()).map_err(|_| too_long())?.to_be_bytes();
        match utf8.len() {
            0..=31 => self.output.around([0xa0 | d], utf8, []),
            32..=0xff => self.output.around([0xd9, d], utf8, []),
            0x100..=0xffff => self.output.around([0xda, c, d], utf8, []),
            _ => self.output.around([0xdb, a, b, c, d], utf8, []),
        }
    }

    #[inline]
    fn begin_list(&mut self, length: usize) -> Done {
        self.begin(length, 0x90, [0xdc, 0xdd])
    }

    #[inline]
    fn item(&mut self, _first: bool) -> Done {
        Ok(())
    }

    #[inline]
    fn end_list(&mut self) -> Done {
        Ok(())
    }

    #[inline]
    fn begin_dict(&mut self, length: usize) -> Done {
        self.begin(length, 0x80, [0xde, 0xdf])
    }

    fn key(&mut self, utf8: &[u8]) -> Done {
        self.text(utf8)
    }

    #[inline]
    fn kept_key(&mut self, _first: bool, printed: &Printed) -> Done {
        self.output.part([], &printed.bytes, printed.length)
    }

    #[inline]
    fn end_dict(&mut self) -> Done {
        Ok(())
    }

    #[inline]
    fn output(&mut self) -> &mut Output<'a> {
        &mut self.output
    }
}
