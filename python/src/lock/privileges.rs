//! Layer `no_new_privileges`: no program that this process could start gives it rights that it has not.

use std::io;

use super::Lock;
use crate::sys::check;

pub(super) fn apply(_lock: &Lock) -> io::Result<()> {
    // SAFETY: takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: takes numbers.
    match check(unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) })? {
        1 => Ok(()),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
