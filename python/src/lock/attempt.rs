//! Six things that no cell may do, tried from inside of one: the proof that the lock holds on this machine, whatever its
//! layers say. Each is one system call that does nothing where it is allowed.

use std::io;

/// One thing to try.
struct Attempt {
    /// Its name in reports.
    name: &'static str,
    /// Tries it; what the system says if it refuses.
    run: fn() -> io::Result<()>,
}

const ATTEMPTS: [Attempt; protocol::frame::cell::ATTEMPTS] = [
    Attempt { name: "open_file", run: open },
    Attempt { name: "open_socket", run: socket },
    Attempt { name: "run_program", run: execute },
    Attempt { name: "signal_parent", run: signal },
    Attempt { name: "executable_memory", run: code },
    Attempt { name: "change_user", run: user },
];

/// Tries all; the names of those that were refused, and of those that were not.
pub(crate) fn all() -> (Vec<String>, Vec<String>) {
    let (refused, allowed): (Vec<_>, Vec<_>) =
        ATTEMPTS.iter().partition(|attempt| is_refused(&(attempt.run)()));
    let names = |attempts: Vec<&Attempt>| attempts.iter().map(|attempt| attempt.name.to_owned()).collect();
    (names(refused), names(allowed))
}

/// Any other error would mean that the call was made.
fn is_refused(outcome: &io::Result<()>) -> bool {
    outcome.as_ref().is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)))
}

fn outcome(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn open() -> io::Result<()> {
    // SAFETY: the text ends with a zero; the process ends soon, and what is opened with it.
    outcome(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), libc::O_RDONLY) })
}

fn socket() -> io::Result<()> {
    // SAFETY: takes numbers.
    outcome(unsafe { libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0) })
}

fn execute() -> io::Result<()> {
    let nothing = [std::ptr::null::<libc::c_char>()];
    // SAFETY: the text ends with a zero and the lists with a null; there is no such program to be run.
    outcome(unsafe {
        libc::syscall(libc::SYS_execve, c"/nonexistent".as_ptr(), nothing.as_ptr(), nothing.as_ptr())
    })
}

fn signal() -> io::Result<()> {
    // SAFETY: takes numbers; signal 0 is not sent.
    outcome(unsafe { libc::syscall(libc::SYS_kill, libc::getppid(), 0) })
}

fn code() -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at a place that the kernel chooses touches nothing of ours.
    outcome(unsafe { libc::syscall(libc::SYS_mmap, 0, 4096, access, flags, -1, 0) })
}

fn user() -> io::Result<()> {
    const SAME: libc::c_long = -1;
    // SAFETY: takes numbers; these leave everything as it is.
    outcome(unsafe { libc::syscall(libc::SYS_setresuid, SAME, SAME, SAME) })
}
