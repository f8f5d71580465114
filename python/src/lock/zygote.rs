//! Layer `dies_with_zygote`: the kernel kills the cell when the zygote ends. Comes after any change of user, which
//! would take it back.

use std::io;

use super::Lock;
use crate::sys;

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    // SAFETY: takes numbers.
    sys::check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    if sys::parent() != lock.zygote {
        // It ended before it could be watched.
        sys::exit(0);
    }
    Ok(())
}
