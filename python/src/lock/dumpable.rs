//! Layer `not_dumpable`: no core file, and no other process of the same user may look into this one.

use std::io;

use super::Lock;
use crate::sys::check;

pub(super) fn apply(_lock: &Lock) -> io::Result<()> {
    // SAFETY: takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    // SAFETY: takes numbers.
    match check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) })? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
