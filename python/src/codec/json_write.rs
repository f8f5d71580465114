//! Prints JSON: compact, UTF-8 as it is, escapes only where the grammar wants them.
//!
//! Which Python object becomes what is decided in `walk` and `convert`.

use super::fault::Done;
use super::output::Output;
use super::printed::Printed;
use super::scan;
use super::walk::Sink;

/// A [`Sink`] of JSON text.
pub(super) struct Writer<'a> {
    output: Output<'a>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(output: Output<'a>) -> Self {
        Self { output }
    }

    /// A string that has something to escape, as HTML mostly has.
    #[inline(never)]
    fn escaped(&mut self, utf8: &[u8]) -> Done {
        self.output.array(*b"\"")?;
        let mut rest = utf8;
        while let Some(block) = rest.first_chunk() {
            // What of the block is to be escaped is written over by what comes next.
            let plain = scan::plain_in_block(block);
            self.output.part([], block, plain)?;
            rest = match block.get(plain) {
                Some(byte) => {
                    self.escape(*byte)?;
                    rest.get(plain + 1..)
                }
                None => rest.get(plain..),
            }
            .unwrap_or_default();
        }
        while let Some((plain, stop)) = rest.split_at_checked(scan::plain_prefix(rest)) {
            self.output.slice(plain)?;
            let Some((byte, after)) = stop.split_first() else { break };
            self.escape(*byte)?;
            rest = after;
        }
        self.output.array(*b"\"")
    }

    #[inline]
    fn escape(&mut self, byte: u8) -> Done {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        match byte {
            b'"' => self.output.array(*b"\\\""),
            b'\\' => self.output.array(*b"\\\\"),
            b'\n' => self.output.array(*b"\\n"),
            b'\r' => self.output.array(*b"\\r"),
            b'\t' => self.output.array(*b"\\t"),
            8 => self.output.array(*b"\\b"),
            12 => self.output.array(*b"\\f"),
            control => {
                let [high, low] =
                    [control >> 4, control & 15].map(|digit| HEX.get(usize::from(digit)).copied());
                self.output.array(*b"\\u00")?;
                self.output.array([high.unwrap_or(b'0'), low.unwrap_or(b'0')])
            }
        }
    }
}

impl<'a> Sink<'a> for Writer<'a> {
    #[inline]
    fn none(&mut self) -> Done {
        self.output.array(*b"null")
    }

    #[inline]
    fn bool(&mut self, value: bool) -> Done {
        if value { self.output.array(*b"true") } else { self.output.array(*b"false") }
    }

    #[inline]
    fn signed(&mut self, value: i64) -> Done {
        self.output.slice(itoa::Buffer::new().format(value).as_bytes())
    }

    #[inline]
    fn unsigned(&mut self, value: u64) -> Done {
        self.output.slice(itoa::Buffer::new().format(value).as_bytes())
    }

    fn big(&mut self, digits: &[u8]) -> Done {
        self.output.slice(digits)
    }

    #[inline]
    fn float(&mut self, value: f64) -> Done {
        self.output.slice(zmij::Buffer::new().format_finite(value).as_bytes())
    }

    #[inline]
    fn text(&mut self, utf8: &[u8]) -> Done {
        if scan::is_plain(utf8) { self.output.around(*b"\"", utf8, *b"\"") } else { self.escaped(utf8) }
    }

    #[inline]
    fn begin_list(&mut self, _length: usize) -> Done {
        self.output.array(*b"[")
    }

    #[inline]
    fn item(&mut self, first: bool) -> Done {
        if first { Ok(()) } else { self.output.array(*b",") }
    }

    #[inline]
    fn end_list(&mut self) -> Done {
        self.output.array(*b"]")
    }

    #[inline]
    fn begin_dict(&mut self, _length: usize) -> Done {
        self.output.array(*b"{")
    }

    fn key(&mut self, utf8: &[u8]) -> Done {
        self.text(utf8)?;
        self.output.array(*b":")
    }

    #[inline]
    fn kept_key(&mut self, first: bool, printed: &Printed) -> Done {
        let Printed { bytes, length } = printed;
        if first { self.output.part([], bytes, *length) } else { self.output.part(*b",", bytes, *length) }
    }

    #[inline]
    fn end_dict(&mut self) -> Done {
        self.output.array(*b"}")
    }

    #[inline]
    fn output(&mut self) -> &mut Output<'a> {
        &mut self.output
    }
}
