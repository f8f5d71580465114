//! Layer `descriptors`: nothing stays open but the pipe and `/dev/null` in the standard places; the zygote's own
//! socket, above all, does not.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::Lock;
use crate::sys::check;

/// Where the pipe is afterwards.
const PIPE: RawFd = 3;

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    for standard in 0..PIPE {
        // SAFETY: takes two numbers; what the standard places held is the zygote's and not used in the cell.
        check(unsafe { libc::dup2(lock.null.as_raw_fd(), standard) })?;
    }
    // SAFETY: takes two numbers. Whatever number 3 is, it is the pipe already or not used any more.
    check(unsafe { libc::dup2(lock.pipe.as_raw_fd(), PIPE) })?;
    let first = PIPE.unsigned_abs() + 1;
    // SAFETY: takes numbers. `pipe` and `null` are closed by it too, and given up in `pipe` below.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The pipe in its place, once [`apply`] has moved it there.
pub(super) fn pipe(lock: Lock) -> OwnedFd {
    // Both numbers were closed; to close them again when they are dropped could hit others.
    let _ = (lock.pipe.into_raw_fd(), lock.null.into_raw_fd());
    // SAFETY: `apply` put the pipe there; nobody else owns that number.
    unsafe { OwnedFd::from_raw_fd(PIPE) }
}
