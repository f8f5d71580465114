//! The one way in which markdown is read, so that the search for code and the rendering agree; and the linear pass
//! that refuses what the reader would take long for. What is made of it stands in `syntax` and `page`.

use crate::worker::html::limits::{Exceeded, Limit, PAGE, within};
use pulldown_cmark::{Options, Parser};

/// For each line the reader goes through all blocks that are open; this many steps take it less than a tenth of a
/// second, and a page of 10 000 lines may still open 3 000 blocks in one of them.
const MOST_STEPS: usize = 32 * 1024 * 1024;

/// Reads markdown.
///
/// # Errors
///
/// [`Exceeded`] when the content is larger than a page may be, or so deep that it would take long.
pub(super) fn read(content: &str) -> Result<Parser<'_>, Exceeded> {
    within(Limit::Bytes, content.len(), PAGE.bytes)?;
    within(Limit::References, memchr::memchr_iter(b'&', content.as_bytes()).count(), PAGE.references)?;
    within(Limit::Steps, steps(content), MOST_STEPS)?;
    let tables = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    Ok(Parser::new_ext(content, tables | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH))
}

/// The most blocks that a line can open, times the lines.
fn steps(content: &str) -> usize {
    let lines = content.split(['\n', '\r']);
    let (count, deepest) = lines.fold((0_usize, 0_usize), |(count, deepest), line| {
        (count.saturating_add(1), deepest.max(depth(line)))
    });
    count.saturating_mul(deepest)
}

/// How many blocks can be open in a line: one for each quote or list mark that it begins with, and one for each two
/// columns of space, which may stand for the marks of the lines before.
fn depth(line: &str) -> usize {
    let (mut columns, mut marks) = (0_usize, 0_usize);
    let mut rest = line;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b' ' => {
                columns = columns.saturating_add(1);
                1
            }
            b'\t' => {
                columns = columns.saturating_add(4);
                1
            }
            _ => {
                let Some(length) = mark(rest) else { break };
                marks = marks.saturating_add(1);
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    marks.saturating_add(columns / 2)
}

/// The length of the mark that opens a block and that `text` begins with.
fn mark(text: &str) -> Option<usize> {
    if let Some(label) = text.strip_prefix("[^") {
        return label.find("]:").map(|end| end.saturating_add("[^]:".len()));
    }
    let digits = text.bytes().take(10).take_while(u8::is_ascii_digit).count();
    match text.as_bytes().get(digits) {
        Some(b'>') if digits == 0 => return Some(1),
        Some(b'-' | b'+' | b'*') if digits == 0 => {}
        Some(b'.' | b')') if digits > 0 => {}
        _ => return None,
    }
    let length = digits.saturating_add(1);
    text.as_bytes().get(length).is_none_or(|after| matches!(after, b' ' | b'\t')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::{MOST_STEPS, depth, read, steps};
    use crate::worker::html::limits::Limit;

    #[test]
    fn marks_and_indentation_count_as_blocks() {
        for (line, expect) in [
            ("text", 0),
            ("> > >x", 4),
            (">>> x", 3),
            ("- - 1. 22) + * x", 9),
            ("-x", 0),
            ("---", 0),
            ("-", 1),
            ("        x", 4),
            ("\t- x", 3),
            ("[^a]: [^b]: x", 3),
            ("1.5", 0),
            ("[a]: b", 0),
        ] {
            assert_eq!(depth(line), expect, "{line}");
        }
    }

    #[test]
    fn deep_blocks_are_refused_only_where_there_are_lines_to_go_through_them() {
        for mark in [">", "- ", "> - ", "1. ", "[^a]: "] {
            let deep = mark.repeat(10_000);
            assert!(read(&deep).is_ok());
            let long = format!("{deep}\n{}", "x\n".repeat(200_000));
            assert!(steps(&long) > MOST_STEPS);
            assert_eq!(read(&long).map(|_| ()).map_err(|exceeded| exceeded.limit), Err(Limit::Steps));
        }
        assert!(read(&format!("{}\n{}", "> ".repeat(60), "- x\n".repeat(200_000))).is_ok());
    }
}
