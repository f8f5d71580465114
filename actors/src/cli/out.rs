//! Writing to the console: data to standard output, talk to standard error.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};

use super::Error;

/// Writes a line of data. A reader that has gone, as `head` does, is no failure.
pub(crate) fn data(line: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", line.trim_end_matches('\n')).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Console),
    }
}

/// Writes lines to standard error. If that fails there is nobody left to tell.
pub(crate) fn talk(text: &str) {
    let _written = writeln!(std::io::stderr().lock(), "{}", harmless(text.trim_end_matches('\n')));
}

/// Writes text to standard error as it comes, without ending its line.
pub(crate) fn talk_on(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _written = write!(stderr, "{}", harmless(text)).and_then(|()| stderr.flush());
}

/// Text without what a terminal would obey: scripts print and raise what they like, and a terminal that obeys them can be
/// made to show what never happened.
fn harmless(text: &str) -> Cow<'_, str> {
    let obeyed = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match obeyed(character) {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Whether a person reads the data as it comes.
pub(crate) fn is_read_by_a_person() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_does_not_speak_to_the_terminal() {
        assert_eq!(harmless("two\nlines\tand ümläuts"), "two\nlines\tand ümläuts");
        assert_eq!(harmless("a\u{1b}[2Jb\rc\u{9b}d\u{7}"), "a\\u{1b}[2Jb\\rc\\u{9b}d\\u{7}");
    }
}
