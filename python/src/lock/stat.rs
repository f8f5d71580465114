//! `stat` in cells that may read folders: asked by name, the kernel would tell of any file of the machine, since Landlock
//! does not look at it. So the call stays refused, and what `lock::trap` hears of it is answered here by opening the file
//! for reading, which Landlock does look at, and asking about what was opened.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this cell may read folders.
static READS: AtomicBool = AtomicBool::new(false);

/// From here on the call is answered.
pub(super) fn answer_instead() {
    READS.store(true, Ordering::Relaxed);
}

/// The kernel's answer to a refused `newfstatat`, if it is one and this cell has one: zero, or an error's number below
/// zero. May be called from a signal handler.
pub(super) fn answer(number: c_int, context: &libc::ucontext_t) -> Option<libc::c_long> {
    if libc::c_long::from(number) != libc::SYS_newfstatat || !READS.load(Ordering::Relaxed) {
        return None;
    }
    let [folder, path, place, flags] = arguments(context)?;
    let path = path as *const c_char;
    // SAFETY: as the kernel would, this reads what the script passed as a path, one byte of it; unlike the kernel's, a
    // wrong pointer ends the cell, which is the script's own doing.
    let empty = path.is_null() || unsafe { path.read() } == 0;
    if empty {
        // SAFETY: takes what the script passed; the kernel checks the place.
        return Some(result(unsafe { libc::syscall(libc::SYS_fstat, folder, place) }));
    }
    let last = if flags & libc::c_long::from(libc::AT_SYMLINK_NOFOLLOW) != 0 { libc::O_NOFOLLOW } else { 0 };
    let how = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY | last;
    // SAFETY: takes what the script passed; the kernel checks the path.
    let opened = result(unsafe { libc::syscall(libc::SYS_openat, folder, path, how, 0) });
    if opened < 0 {
        return Some(opened);
    }
    // SAFETY: as above; the descriptor was opened here and is closed here.
    unsafe {
        let found = result(libc::syscall(libc::SYS_fstat, opened, place));
        libc::syscall(libc::SYS_close, opened);
        Some(found)
    }
}

/// What a system call answers without the C library around it.
fn result(answered: libc::c_long) -> libc::c_long {
    match answered {
        -1 => -libc::c_long::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM)),
        answered => answered,
    }
}

/// The first four arguments of the interrupted call.
#[cfg(target_arch = "x86_64")]
fn arguments(context: &libc::ucontext_t) -> Option<[libc::c_long; 4]> {
    let registers = [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10];
    let mut found = [0; 4];
    for (value, register) in found.iter_mut().zip(registers) {
        *value = *context.uc_mcontext.gregs.get(register.unsigned_abs() as usize)?;
    }
    Some(found)
}

/// The first four arguments of the interrupted call.
#[cfg(target_arch = "aarch64")]
fn arguments(context: &libc::ucontext_t) -> Option<[libc::c_long; 4]> {
    let found = context.uc_mcontext.regs.first_chunk::<4>()?;
    Some(found.map(u64::cast_signed))
}
