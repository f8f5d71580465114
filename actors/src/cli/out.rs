//! Writing to the console: data to standard output, talk to standard error.

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
    let _written = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Whether a person reads the data as it comes.
pub(crate) fn is_read_by_a_person() -> bool {
    std::io::stdout().is_terminal()
}
