//! Layer `session`: a session of the cell's own, so that neither the terminal's signals reach it nor its signals the
//! node's process group.

use std::io;

use super::Lock;

pub(super) fn apply(_lock: &Lock) -> io::Result<()> {
    // SAFETY: takes nothing. A process that was just forked leads no group, the one thing that would refuse it.
    crate::sys::check(unsafe { libc::setsid() })?;
    Ok(())
}
