//! Layer `landlock`: the kernel's own list of what may be done with files, TCP ports and other processes. Nothing is on
//! it but what was granted: the reading of folders, connections to ports, and for these the files that names and
//! certificates are found by. Whatever seccomp lets through by mistake still finds no file.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Lock, Reached};
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
        if version >= KNOWS_PORTS {
            rules.network = LISTENING | CONNECTING;
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

/// What may be done beneath a folder that was granted: read files, list folders.
const READING: u64 = (1 << 2) | (1 << 3);

/// What may be done with a single file: read it.
const READING_A_FILE: u64 = 1 << 2;

/// What may be done with ports: listen at them, connect to them.
const LISTENING: u64 = 1;
const CONNECTING: u64 = 1 << 1;

/// The first version of Landlock that knows ports.
const KNOWS_PORTS: libc::c_long = 4;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    folder: libc::c_int,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct Port {
    allowed: u64,
    port: u64,
}

/// `struct open_how`.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens something to name it.
fn open(path: &str, flags: libc::c_int, resolve: u64) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let flags = flags | libc::O_PATH | libc::O_CLOEXEC;
    let how = How { flags: u64::from(flags.unsigned_abs()), mode: 0, resolve };
    // SAFETY: the text ends with a zero; the pointer and the size are those of `how`; both outlive the call.
    let opened = unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size_of::<How>())
    };
    let opened = check(libc::c_int::try_from(opened).map_err(io::Error::other)?)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Puts what may be done with something that was opened on the list.
fn list(ruleset: libc::c_int, opened: &OwnedFd, allowed: u64) -> io::Result<()> {
    const BENEATH: u32 = 1;
    let rule = Beneath { allowed, folder: opened.as_raw_fd() };
    // SAFETY: the pointer is to a rule of the kind that is named, which outlives the call.
    let added =
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, BENEATH, &raw const rule, 0u32) };
    if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts the reading of a folder that no link leads to on the list. One that is not there, or not for this user, stays
/// closed.
fn list_folder(ruleset: libc::c_int, folder: &str) -> io::Result<()> {
    const NO_LINKS: u64 = 0x04 | 0x02;
    match open(folder, libc::O_DIRECTORY, NO_LINKS) {
        Ok(folder) => list(ruleset, &folder, READING),
        Err(_) => Ok(()),
    }
}

/// Puts the reading of one of the system's own files on the list, wherever links lead that the system has put there.
fn list_file(ruleset: libc::c_int, path: &str) -> io::Result<()> {
    match open(path, 0, 0) {
        Ok(file) => list(ruleset, &file, READING_A_FILE),
        Err(_) => Ok(()),
    }
}

/// Puts connections to a TCP port of any host on the list.
fn list_port(ruleset: libc::c_int, port: u16) -> io::Result<()> {
    const PORT: u32 = 2;
    let rule = Port { allowed: CONNECTING, port: port.into() };
    // SAFETY: the pointer is to a rule of the kind that is named, which outlives the call.
    let added = unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, PORT, &raw const rule, 0u32) };
    if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts on the list what was granted.
fn fill(ruleset: libc::c_int, lock: &Lock, version: libc::c_long) -> io::Result<()> {
    lock.folders().try_for_each(|folder| list_folder(ruleset, folder))?;
    let Some(reached) = lock.network() else { return Ok(()) };
    lock.files.iter().try_for_each(|file| list_file(ruleset, file))?;
    match reached {
        Reached::Anything => Ok(()),
        // An older kernel would leave all ports open.
        Reached::Ports(_) if version < KNOWS_PORTS => Err(io::ErrorKind::Unsupported.into()),
        Reached::Ports(ports) => ports.iter().try_for_each(|port| list_port(ruleset, *port)),
    }
}

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    const ASK_VERSION: u32 = 1;
    // SAFETY: with no rules and this flag the call only answers a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Rules>(), 0usize, ASK_VERSION)
    };
    if version < 1 {
        return Err(io::Error::last_os_error());
    }
    let mut rules = Rules::all(version);
    if lock.network() == Some(Reached::Anything) {
        rules.network &= !CONNECTING;
    }
    // SAFETY: the pointer and the size are those of `rules`, which outlives the call.
    let ruleset = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const rules, size_of::<Rules>(), 0u32)
    };
    let ruleset = check(libc::c_int::try_from(ruleset).map_err(io::Error::other)?)?;
    let granted = fill(ruleset, lock, version);
    // SAFETY: takes two numbers.
    let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) };
    let failure = io::Error::last_os_error();
    // SAFETY: takes a number; the descriptor was made above and nobody else has it.
    check(unsafe { libc::close(ruleset) })?;
    if restricted != 0 {
        return Err(failure);
    }
    lock.listed.set(granted.is_ok());
    granted
}
