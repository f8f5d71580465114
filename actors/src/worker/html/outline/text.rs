//! The rules for text, which differ only in what it opens anew; a table also asks whether it is blank.

use super::super::tokens::is_space;
use super::{Mode, Next, Open, Outline};

/// What a run of text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ink {
    Nothing,
    Blank,
    Marks,
}

impl Outline<'_> {
    /// Text, as it is written.
    pub(crate) fn text(&mut self, text: &str) {
        let skip_line_feed = std::mem::take(&mut self.skip_line_feed);
        if self.mode == Mode::Text || self.is_foreign_text() {
            return;
        }
        let ink = ink(text, skip_line_feed);
        match self.mode {
            Mode::ColumnGroup => self.column_group_text(text),
            _ if ink == Ink::Nothing => {}
            Mode::Text => {}
            Mode::Table | Mode::TableBody | Mode::Row => self.table_text(text, ink),
            Mode::Body | Mode::Caption | Mode::Cell | Mode::Template => self.reconstruct(),
        }
    }

    /// Spaces stay in the group; the first other character ends it, also a NUL, which the table then drops.
    fn column_group_text(&mut self, text: &str) {
        let rest = text.get(blanks(text)..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        if let Next::Again(mode) = self.leave_column_group() {
            self.mode = mode;
            self.text(rest);
        }
    }

    fn table_text(&mut self, text: &str, ink: Ink) {
        if ink == Ink::Blank && self.top(Open::is_table_outer) {
            return;
        }
        self.foster(|outline| {
            outline.reconstruct();
            Next::Done
        });
        if self.top(Open::is_table_outer) {
            // The parser puts it in front of the table piece by piece.
            let pieces = text.bytes().filter(|byte| matches!(byte, b'&' | b'\n' | b'\r' | b'\0')).count();
            self.tally.fostered = self.tally.fostered.saturating_add(pieces).saturating_add(1);
        }
    }
}

fn ink(text: &str, skip_line_feed: bool) -> Ink {
    let skipped = if skip_line_feed { line_feed(text) } else { 0 };
    let mut rest = text.get(skipped..).unwrap_or_default();
    let mut ink = Ink::Nothing;
    while !rest.is_empty() {
        let length = match blanks(rest) {
            0 if rest.starts_with('\0') => 1,
            0 => return Ink::Marks,
            length => {
                ink = Ink::Blank;
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    ink
}

/// The length of the spaces that `text` begins with, however they are written.
fn blanks(text: &str) -> usize {
    let mut length = 0_usize;
    while let Some(rest) = text.get(length..) {
        let blank = match rest.bytes().next() {
            Some(b'&') => blank_reference(rest),
            Some(byte) => is_space(byte).then_some(1),
            None => None,
        };
        let Some(blank) = blank else { break };
        length = length.saturating_add(blank);
    }
    length
}

/// The length of the line feed that `text` begins with, however it is written.
fn line_feed(text: &str) -> usize {
    if text.starts_with("\r\n") {
        return 2;
    }
    match text.bytes().next() {
        Some(b'\n' | b'\r') => 1,
        Some(b'&') => {
            reference(text).filter(|(code, _, closed)| *code == 10 && *closed).map_or(0, |found| found.1)
        }
        _ => 0,
    }
}

fn blank_reference(text: &str) -> Option<usize> {
    reference(text).filter(|(code, ..)| u8::try_from(*code).is_ok_and(is_space)).map(|found| found.1)
}

/// The character reference that `text` begins with, if it may stand for a space: code point, length, whether a
/// semicolon closes it.
fn reference(text: &str) -> Option<(u32, usize, bool)> {
    for (name, code) in [("&Tab;", 9), ("&NewLine;", 10)] {
        if text.starts_with(name) {
            return Some((code, name.len(), true));
        }
    }
    let digits = text.strip_prefix("&#")?;
    let hex = digits.strip_prefix(['x', 'X']);
    let (digits, radix, start) = hex.map_or((digits, 10, 2), |digits| (digits, 16, 3));
    let length = digits.bytes().position(|byte| !char::from(byte).is_digit(radix)).unwrap_or(digits.len());
    let (digits, after) = digits.split_at_checked(length)?;
    let significant = digits.trim_start_matches('0');
    let code =
        u32::from_str_radix(if significant.is_empty() && length > 0 { "0" } else { significant }, radix);
    let closed = after.starts_with(';');
    Some((code.ok()?, length.saturating_add(start).saturating_add(usize::from(closed)), closed))
}

#[cfg(test)]
mod tests {
    use super::{Ink, ink};

    #[test]
    fn text_is_blank_however_its_spaces_are_written() {
        for (text, expect) in [
            ("", Ink::Nothing),
            ("\0", Ink::Nothing),
            (" \t\r\n\x0c", Ink::Blank),
            ("&#32;&#x20;&#10&Tab;&NewLine;&#0032;\0", Ink::Blank),
            ("x", Ink::Marks),
            (" &amp;", Ink::Marks),
            ("&nbsp;", Ink::Marks),
            ("&Tab", Ink::Marks),
            ("&#", Ink::Marks),
            ("&#;", Ink::Marks),
            ("&#99999999999;", Ink::Marks),
            ("\u{a0}", Ink::Marks),
        ] {
            assert_eq!(ink(text, false), expect, "{text:?}");
        }
    }

    #[test]
    fn one_line_feed_is_dropped_after_a_pre() {
        for text in ["\n", "\r\n", "\r", "&#10;", "&#xA;", "&NewLine;", "\n\0"] {
            assert_eq!(ink(text, true), Ink::Nothing, "{text:?}");
        }
        for text in ["\n\n", " \n", "&#10", "&Tab;"] {
            assert_eq!(ink(text, true), Ink::Blank, "{text:?}");
        }
    }
}
