//! Layer `no_root`: a cell of a node that runs as root becomes another user, and no cell has capabilities. Comes before
//! what a change of user would take back.

use std::io;

use super::Lock;
use crate::sys::check;

/// `nobody` and `nogroup`, who own nothing.
const NOBODY: libc::uid_t = 65_534;

/// Of `capget` and `capset`: 64 capabilities in two parts.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    process: libc::c_int,
}

/// Half of the capabilities.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

pub(super) fn apply(_lock: &Lock) -> io::Result<()> {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } == 0 {
        become_nobody()?;
    }
    let mut header = Header { version: VERSION, process: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: the pointers are to a header and both halves, which outlive the call.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    check(libc::c_int::try_from(set).map_err(io::Error::other)?)?;
    // SAFETY: as above; the halves are written.
    let get = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    check(libc::c_int::try_from(get).map_err(io::Error::other)?)?;
    if halves == [Half::default(); 2] { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn become_nobody() -> io::Result<()> {
    // SAFETY: an empty list, whose pointer is not read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: takes numbers.
    let changed = check(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) })
        // SAFETY: takes numbers.
        .and_then(|_| check(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }));
    match changed {
        // In a user namespace that has no such user, root is nobody outside; it still loses its capabilities.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        changed => changed.map(|_| ()),
    }
}
