//! Layer `landlock`: the kernel's own list of what may be done with files, TCP ports and other processes, with nothing
//! on it. Whatever seccomp lets through by mistake still finds no file.

use std::io;

use super::Lock;
use crate::sys::check;

/// What the first version of Landlock knows of files: from execute (bit 0) to make a symbolic link (bit 12).
const FILES: u64 = (1 << 13) - 1;

/// `struct landlock_ruleset_attr`; older kernels take a longer one if what they do not know is zero.
#[repr(C)]
#[derive(Default)]
struct Rules {
    files: u64,
    network: u64,
    scope: u64,
}

impl Rules {
    /// Everything that this version of Landlock can forbid.
    const fn all(version: libc::c_long) -> Self {
        let mut rules = Self { files: FILES, network: 0, scope: 0 };
        if version >= 2 {
            rules.files |= 1 << 13; // move or link to another folder
        }
        if version >= 3 {
            rules.files |= 1 << 14; // truncate
        }
        if version >= 4 {
            rules.network = 0b11; // bind, connect
        }
        if version >= 5 {
            rules.files |= 1 << 15; // control devices
        }
        if version >= 6 {
            rules.scope = 0b11; // abstract sockets, signals
        }
        rules
    }
}

pub(super) fn apply(_lock: &Lock) -> io::Result<()> {
    const ASK_VERSION: u32 = 1;
    // SAFETY: with no rules and this flag the call only answers a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Rules>(), 0usize, ASK_VERSION)
    };
    if version < 1 {
        return Err(io::Error::last_os_error());
    }
    let rules = Rules::all(version);
    // SAFETY: the pointer and the size are those of `rules`, which outlives the call.
    let ruleset = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rules, size_of::<Rules>(), 0u32)
    };
    let ruleset = check(libc::c_int::try_from(ruleset).map_err(io::Error::other)?)?;
    // SAFETY: takes two numbers.
    let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) };
    let failure = io::Error::last_os_error();
    // SAFETY: takes a number; the descriptor was made above and nobody else has it.
    check(unsafe { libc::close(ruleset) })?;
    if restricted == 0 { Ok(()) } else { Err(failure) }
}
