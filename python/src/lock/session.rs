//! Layer `session`: a session without a terminal, and a process group of the cell's own, so that neither the terminal's
//! signals reach it nor its signals the node's group.
//!
//! The session is the zygote's: a cell that does not lead one cannot come to have a terminal either. And where the kernel
//! shares the processor out by sessions (autogroup), a session of each cell's own would give a script that loops as
//! much of it as the whole node has.

use std::io;

use super::Lock;

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    // SAFETY: takes two numbers, both of which mean this process.
    crate::sys::check(unsafe { libc::setpgid(0, 0) })?;
    if lock.session { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}
