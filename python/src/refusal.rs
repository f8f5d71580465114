//! What is refused in a cell, in words that help: the exception `callboard.Refused`, and an audit hook (PEP 578) that
//! raises it where the interpreter says what it is about to do. This explains and protects nothing: `lock` does.

use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyPermissionError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple};

use crate::lock::Reached;
use crate::page::Name;

create_exception!(
    callboard,
    Refused,
    PyPermissionError,
    "Something that a cell may not do. Its text says what, and how to ask for it."
);

/// Longest path that the text of an exception shows, in characters.
const LONGEST: usize = 200;

/// What would be needed.
#[derive(Debug, Clone, Copy)]
enum Need {
    Files,
    Network,
    Ports,
    Sockets,
    Listening,
    Processes,
    Nothing,
}

impl Need {
    /// What to do instead, or how to ask for it.
    const fn advice(self) -> &'static str {
        match self {
            Self::Files => {
                "a cell has no files: pass the text in, or ask for the capability files:read:DIR, which the node's configuration must grant"
            }
            Self::Network => {
                "a cell has no network: pass the data in, call models by callboard.llm, or make it an action that asks for the capability network, which the node's configuration must grant ([[grant]] with action and capabilities)"
            }
            Self::Ports => {
                "this action was granted some TCP ports only: ask for network:PORT, which the node's configuration must grant"
            }
            Self::Sockets => "the capability network opens TCP and UDP over IP, network:PORT only TCP",
            Self::Listening => "a cell may at most open connections: no capability lets others connect to it",
            Self::Processes => {
                "a cell is one process with one thread: use asyncio to do several things at once"
            }
            Self::Nothing => "a cell may only compute: no capability allows this",
        }
    }
}

/// What an audit event would need that is refused; `None` for the others. Calls that raise no such event are refused by
/// the kernel and explained afterwards.
fn of_event(event: &str) -> Option<Need> {
    Some(match event {
        "open" | "os.chdir" | "os.chflags" | "os.chmod" | "os.chown" | "os.getxattr" | "os.link"
        | "os.listdir" | "os.listxattr" | "os.lockf" | "os.mkdir" | "os.remove" | "os.removexattr"
        | "os.rename" | "os.rmdir" | "os.scandir" | "os.setxattr" | "os.symlink" | "os.truncate"
        | "os.utime" => Need::Files,
        "socket.bind" => Need::Listening,
        "socket.__new__"
        | "socket.connect"
        | "socket.getaddrinfo"
        | "socket.gethostbyaddr"
        | "socket.gethostbyname"
        | "socket.getnameinfo" => Need::Network,
        "subprocess.Popen"
        | "os.exec"
        | "os.fork"
        | "os.forkpty"
        | "os.kill"
        | "os.killpg"
        | "os.posix_spawn"
        | "os.spawn"
        | "os.system"
        | "_thread.start_new_thread"
        | "_thread.start_joinable_thread" => Need::Processes,
        "resource.setrlimit" | "resource.prlimit" | "socket.sethostname" | "syslog.openlog"
        | "syslog.syslog" => Need::Nothing,
        _ => return None,
    })
}

/// What a refused system call would have needed.
fn of_call(call: &str) -> Need {
    match call {
        "open" | "openat" | "openat2" | "stat" | "lstat" | "newfstatat" | "statx" | "access"
        | "faccessat" | "faccessat2" | "readlink" | "readlinkat" | "getdents64" | "unlink" | "unlinkat"
        | "rename" | "renameat2" | "mkdir" | "mkdirat" | "rmdir" | "ftruncate" | "truncate" | "utimensat"
        | "statfs" => Need::Files,
        "socket" | "socketpair" | "connect" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg" => Need::Network,
        "bind" | "listen" | "accept" | "accept4" => Need::Listening,
        "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat" | "kill" | "tkill" | "tgkill" => {
            Need::Processes
        }
        _ => Need::Nothing,
    }
}

/// Something that was refused, and why a script raised.
pub(crate) struct Refusal {
    /// Its name: an audit event of the interpreter, or a system call.
    pub(crate) name: String,
    /// What to do about it.
    pub(crate) advice: &'static str,
    /// Whether the exception's own text says both.
    pub(crate) told: bool,
}

/// What was refused where a script raised `error`.
pub(crate) fn behind(py: Python<'_>, error: &PyErr, refused: &Name) -> Option<Refusal> {
    let of_type = |told| {
        let name = refused.get()?;
        let need = of_event(&name).unwrap_or_else(|| of_call(&name));
        Some(Refusal { name, advice: need.advice(), told })
    };
    if error.is_instance_of::<Refused>(py) {
        return of_type(true);
    }
    if error.is_instance_of::<PyOSError>(py) {
        let errno = error.value(py).getattr("errno");
        return errno.is_ok_and(|errno| errno.eq(libc::EPERM).unwrap_or(false)).then(|| of_type(false))?;
    }
    // CPython has no type of its own for a thread that the system refuses, and the C library makes that call where it
    // cannot be noted.
    let text = || error.value(py).str().is_ok_and(|text| text.to_string_lossy() == "can't start new thread");
    (error.is_instance_of::<PyRuntimeError>(py) && text()).then(|| Refusal {
        name: "clone".to_owned(),
        advice: Need::Processes.advice(),
        told: false,
    })
}

/// The audit hook of a cell.
#[pyclass(frozen)]
struct Hook {
    refused: &'static Name,
    open: Open,
}

/// What is open to a cell: of that the kernel knows more.
pub(crate) struct Open {
    /// Whether files of some folders may be read.
    pub(crate) files: bool,
    /// What of the network may be reached.
    pub(crate) network: Option<Reached>,
}

impl Open {
    /// What an event would need, if it is refused here.
    fn lacks(&self, event: &str, arguments: &Bound<'_, PyTuple>) -> Option<Need> {
        let need = of_event(event)?;
        if self.files && matches!(event, "open" | "os.listdir" | "os.scandir") {
            return None;
        }
        match (need, &self.network) {
            (Need::Network, Some(reached)) if event == "socket.__new__" => {
                let [family, kind] =
                    [1, 2].map(|place| arguments.get_item(place).ok()?.extract::<i32>().ok());
                (!is_socket(reached, family?, kind?)).then_some(Need::Sockets)
            }
            (Need::Network, Some(Reached::Ports(ports))) if event == "socket.connect" => {
                let port = arguments.get_item(1).ok()?.get_item(1).ok()?.extract::<u16>().ok()?;
                (!ports.contains(&port)).then_some(Need::Ports)
            }
            (Need::Network, Some(_)) => None,
            (need, _) => Some(need),
        }
    }
}

/// Whether a socket of that family and kind can be made. What is unknown of one that exists already is -1.
fn is_socket(reached: &Reached, family: i32, kind: i32) -> bool {
    let kind = kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let kinds: &[i32] = match reached {
        Reached::Anything => &[libc::SOCK_STREAM, libc::SOCK_DGRAM],
        Reached::Ports(_) => &[libc::SOCK_STREAM],
    };
    family == -1
        || (matches!(family, libc::AF_INET | libc::AF_INET6) && (kind == -1 || kinds.contains(&kind)))
}

#[pymethods]
impl Hook {
    fn __call__(&self, event: &str, arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
        let Some(need) = self.open.lacks(event, arguments) else { return Ok(()) };
        let first = arguments.get_item(0).ok();
        if event == "open" && first.as_ref().is_some_and(|first| first.is_instance_of::<PyInt>()) {
            // A descriptor that is open already.
            return Ok(());
        }
        self.refused.set(event);
        // The representation of anything else could be the script's own code.
        let path = first.as_ref().and_then(|first| first.cast_exact::<PyString>().ok());
        let path = path.and_then(|path| path.repr().ok()).map(|path| path.to_string_lossy().into_owned());
        let what = match path {
            Some(path) if path.chars().count() <= LONGEST => format!("{event}({path})"),
            _ => event.to_owned(),
        };
        Err(Refused::new_err((libc::EPERM, format!("{what} is refused: {}", need.advice()))))
    }
}

/// Has what is refused from here on raise [`Refused`] and be noted at `refused`.
///
/// # Errors
/// Python's, for want of memory.
pub(crate) fn explain(py: Python<'_>, refused: &'static Name, open: Open) -> PyResult<()> {
    py.import("sys")?.getattr("addaudithook")?.call1((Hook { refused, open },))?;
    Ok(())
}
