//! Layer `limits`: what the kernel bounds by itself, memory above all.

use std::io;

use super::Lock;
use crate::sys::check;

/// Descriptors at once: the five that are open, and some for what the standard library still reads.
const DESCRIPTORS: u64 = 16;

/// The same for cells that may open connections.
const CONNECTIONS: u64 = 256;

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    let memory = lock.mapped.saturating_add(lock.limits.memory);
    let descriptors = if lock.network().is_some() { CONNECTIONS } else { DESCRIPTORS };
    for (resource, most) in [
        (libc::RLIMIT_AS, memory),
        (libc::RLIMIT_CORE, 0),
        // The page is a file too, of memory; there is no other. What the fault handler writes ends before the output.
        (libc::RLIMIT_FSIZE, protocol::frame::page::STDOUT as u64),
        (libc::RLIMIT_NOFILE, descriptors),
        (libc::RLIMIT_NPROC, 0),
    ] {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the pointer is to an `rlimit` that outlives the call.
        check(unsafe { libc::setrlimit(resource, &raw const limit) })?;
    }
    Ok(())
}
