//! The system calls of zygote and cell behind safe functions: processes, signals, memory and the clock here, the
//! control socket's descriptor passing in `sys::socket`. What they are called for is decided elsewhere.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::time::Duration;

use pyo3::Python;

pub(crate) mod socket;

/// Exit status of a process whose other side broke the protocol (`EX_SOFTWARE`).
pub(crate) const MALFORMED: c_int = 70;

/// Exit status of a process that the system denied what it cannot do without (`EX_OSERR`).
pub(crate) const DENIED: c_int = 71;

/// What `-1` stands for.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Calls again for as long as a signal interrupts.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Ends this process at once: no handlers of Python or of C run.
pub(crate) fn exit(status: c_int) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Forks the interpreter: the child's id in the parent, `None` in the child.
///
/// # Errors
/// What `fork` says.
pub(crate) fn fork(_py: Python<'_>) -> io::Result<Option<i32>> {
    // SAFETY: the interpreter is attached (`_py`), and the three calls are those that CPython asks for around a fork.
    // No other thread of this process holds a lock that the child could need: the zygote is single-threaded.
    unsafe {
        pyo3::ffi::PyOS_BeforeFork();
        let child = libc::fork();
        let failure = io::Error::last_os_error();
        match child {
            0 => {
                pyo3::ffi::PyOS_AfterFork_Child();
                Ok(None)
            }
            -1 => {
                pyo3::ffi::PyOS_AfterFork_Parent();
                Err(failure)
            }
            child => {
                pyo3::ffi::PyOS_AfterFork_Parent();
                Ok(Some(child))
            }
        }
    }
}

/// This process's id.
pub(crate) fn pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

/// The id of this process's parent.
pub(crate) fn parent() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getppid() }
}

/// Has the C library ask for names by TCP, for processes that have nothing else.
///
/// # Errors
/// What `setenv` says.
pub(crate) fn names_by_tcp() -> io::Result<()> {
    // SAFETY: both texts end with a zero, and this process is one thread.
    check(unsafe { libc::setenv(c"RES_OPTIONS".as_ptr(), c"use-vc".as_ptr(), 1) })?;
    Ok(())
}

/// Loads the parts of the C library that look names up, which some versions load when they are first used.
pub(crate) fn load_names() {
    for part in [c"libnss_files.so.2", c"libnss_dns.so.2", c"libresolv.so.2"] {
        // SAFETY: the text ends with a zero. These run nothing of anyone else; where there is none, it is not needed.
        let _ = unsafe { libc::dlopen(part.as_ptr(), libc::RTLD_NOW) };
    }
}

/// A descriptor for a child that has not been reaped.
///
/// # Errors
/// What `pidfd_open` says.
pub(crate) fn pidfd(child: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
    check(descriptor)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Kills a child that has not been reaped.
pub(crate) fn kill(child: i32) {
    // SAFETY: takes two numbers. The only error is that there is no such child.
    unsafe { libc::kill(child, libc::SIGKILL) };
}

/// How a child ended.
pub(crate) struct Ended {
    /// Its process id.
    pub(crate) pid: i32,
    /// Its exit status, if it exited.
    pub(crate) status: Option<i32>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    /// The most memory it had at once, in bytes.
    pub(crate) peak: u64,
}

/// Reaps one child that has ended, if there is one.
pub(crate) fn reap() -> Option<Ended> {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to places of the right type that outlive the call.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    (pid > 0).then(|| Ended {
        pid,
        status: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        // The kernel counts in KiB.
        peak: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    })
}

/// Leads a session of this process's own, without a terminal.
///
/// # Errors
/// This process leads a group already, or may not.
pub(crate) fn lead_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Takes the processor in long slices, this process and those forked from it: whoever wakes up meanwhile and takes shorter
/// ones comes first. A fork is work of milliseconds for which nobody's next call should wait.
pub(crate) fn take_long_slices() {
    slices(100_000_000);
}

/// Takes the processor in slices as others do.
pub(crate) fn take_usual_slices() {
    slices(0);
}

/// Asks for slices of that many ns; 0 is the system's own length. Kernels before 6.12 do not care, which is no harm.
fn slices(length: u64) {
    /// `struct sched_attr`, first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    // The nice value stays as it is.
    // SAFETY: takes two numbers.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let size = u32::try_from(size_of::<Attributes>()).unwrap_or(0);
    let wanted = Attributes { size, nice, runtime: length, ..Attributes::default() };
    // SAFETY: the pointer is to attributes of the size that they tell, which outlive the call.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0u32) };
}

/// Ignores a signal, in this process and those forked from it.
///
/// # Errors
/// What `signal` says.
pub(crate) fn ignore(signal: c_int) -> io::Result<()> {
    // SAFETY: no handler is installed, only the ignoring one.
    if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn children_set() -> libc::sigset_t {
    // SAFETY: all-zero bytes are a valid `sigset_t`, and the two calls only write to it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

/// A descriptor that can be read when children have ended; `SIGCHLD` is blocked for it.
///
/// # Errors
/// What `sigprocmask` and `signalfd` say.
pub(crate) fn children() -> io::Result<OwnedFd> {
    let set = children_set();
    // SAFETY: the set is initialised and outlives the calls; the descriptor is new and nobody else's.
    unsafe {
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let descriptor = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Takes back what [`children`] blocked; for a fork, which inherits it.
///
/// # Errors
/// What `sigprocmask` says.
pub(crate) fn unblock_children() -> io::Result<()> {
    let set = children_set();
    // SAFETY: the set is initialised and outlives the call.
    check(unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) })?;
    Ok(())
}

/// Waits until one of two descriptors can be read or has come to its end; says which.
///
/// # Errors
/// What `poll` says.
pub(crate) fn wait(first: BorrowedFd<'_>, second: BorrowedFd<'_>) -> io::Result<(bool, bool)> {
    let entry = |descriptor: BorrowedFd<'_>| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries = [entry(first), entry(second)];
    // SAFETY: the pointer and the length are those of `entries`.
    uninterrupted(|| check(unsafe { libc::poll(entries.as_mut_ptr(), 2, -1) }))?;
    let [first, second] = entries;
    Ok((first.revents != 0, second.revents != 0))
}

/// Waits until a descriptor can be read or has come to its end, at most that long; whether it can. A signal ends the
/// wait early.
///
/// # Errors
/// What `ppoll` says.
pub(crate) fn readable(descriptor: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the pointers are to one entry and to a `timespec` or null; both outlive the call.
    match check(unsafe { libc::ppoll(&raw mut entry, 1, limit, std::ptr::null()) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        ready => Ok(ready? > 0),
    }
}

/// Reads what is there, at most a buffer full; 0 at the end.
///
/// # Errors
/// What `read` says.
pub(crate) fn read(descriptor: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| {
        // SAFETY: the pointer and the length are those of `buffer`.
        let read = unsafe { libc::read(descriptor.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    })
}

/// Writes all bytes.
///
/// # Errors
/// What `write` says.
pub(crate) fn write(descriptor: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = uninterrupted(|| {
            // SAFETY: the pointer and the length are those of `bytes`.
            let written = unsafe { libc::write(descriptor.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
            usize::try_from(written).map_err(|_| io::Error::last_os_error())
        })?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// `CLOCK_MONOTONIC`, in ns.
pub(crate) fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that outlives the call; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(nanoseconds.unwrap_or(0))
}

/// Gives the system back what was freed: parsing a library leaves megabytes of holes. Only the GNU library keeps them.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: releases memory that nobody has; there is nothing to be wrong about.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How much address space this process has mapped, in bytes.
///
/// # Errors
/// `/proc/self/statm` cannot be read.
pub(crate) fn mapped() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = text.split(' ').next().and_then(|pages| pages.parse().ok());
    // SAFETY: takes a number.
    let size = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) });
    match (pages, size) {
        (Some(pages), Ok(size)) => Ok(pages.saturating_mul(size)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Maps the first `size` bytes of a file, shared and writable, for the rest of this process's life.
///
/// # Errors
/// The file is shorter, or what `mmap` says.
pub(crate) fn share(file: &OwnedFd, size: usize) -> io::Result<NonNull<u8>> {
    if std::fs::File::from(file.try_clone()?).metadata()?.len() < size as u64 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at a place that the kernel chooses touches nothing of ours.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
