//! Layer `descriptors`: nothing stays open but the pipe, the page, and `/dev/null` in the standard places; the
//! zygote's own socket, above all, does not.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::Lock;
use crate::sys::check;

/// Where the pipe is afterwards.
const PIPE: RawFd = 3;

/// Where the page is afterwards.
pub(super) const PAGE: RawFd = 4;

/// Numbers from here on are in nobody's way.
const ASIDE: RawFd = 10;

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    // Out of the way first: one of them could stand where another must go.
    let [pipe, page] = [aside(&lock.pipe)?, aside(&lock.page)?];
    for standard in 0..PIPE {
        // SAFETY: takes two numbers; what the standard places held is the zygote's and not used in the cell.
        check(unsafe { libc::dup2(lock.null.as_raw_fd(), standard) })?;
    }
    for (from, to) in [(pipe, PIPE), (page, PAGE)] {
        // SAFETY: takes two numbers; what was at the second one is not used any more.
        check(unsafe { libc::dup2(from, to) })?;
    }
    let first = PAGE.unsigned_abs() + 1;
    // SAFETY: takes numbers. What `lock` owns is closed by it too, and given up in `pipe` below.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A second number for a descriptor.
fn aside(descriptor: &OwnedFd) -> io::Result<RawFd> {
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD, ASIDE) })
}

/// The pipe in its place, once [`apply`] has moved it there.
pub(super) fn pipe(lock: Lock) -> OwnedFd {
    // Their numbers were closed; to close them again when they are dropped could hit others.
    let _ = (lock.pipe.into_raw_fd(), lock.page.into_raw_fd(), lock.null.into_raw_fd());
    // SAFETY: `apply` put the pipe there; nobody else owns that number.
    unsafe { OwnedFd::from_raw_fd(PIPE) }
}
