//! The zygote: one thread that has the standard library in memory, never sees anything of a user, and forks cells when
//! the node asks for them. It ends with the node: its control socket is its standard input.
//!
//! What a fork does afterwards lives in `lock` and `cell`.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use protocol::frame::control::{self, FromZygote, Limits, Ready, ToZygote};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::lock::{self, Lock, namespaces};
use crate::refusal::Refused;
use crate::{cell, sys};

/// Imports what scripts are likely to use.
const PRELOAD: &CStr = text(concat!(include_str!("../callboard/preload.py"), "\0"));

/// Imports the packages that actions need.
const PACKAGES: &CStr = text(concat!(include_str!("../callboard/packages.py"), "\0"));

/// Keeps the rest of the standard library in memory.
const LIBRARY: &CStr = text(concat!(include_str!("../callboard/library.py"), "\0"));

/// The package `callboard` that scripts import: source, file and module of each part, in the order that they import
/// each other.
const CALLBOARD: [[&CStr; 3]; 5] = [
    [
        text(concat!(include_str!("../callboard/errors.py"), "\0")),
        c"callboard/errors.py",
        c"callboard.errors",
    ],
    [text(concat!(include_str!("../callboard/_loop.py"), "\0")), c"callboard/_loop.py", c"callboard._loop"],
    [text(concat!(include_str!("../callboard/llm.py"), "\0")), c"callboard/llm.py", c"callboard.llm"],
    [
        text(concat!(include_str!("../callboard/_actions.py"), "\0")),
        c"callboard/_actions.py",
        c"callboard._actions",
    ],
    [text(concat!(include_str!("../callboard/__init__.py"), "\0")), c"callboard/__init__.py", c"callboard"],
];

/// What cells have besides that may be granted the network: its file and module.
const NETWORK: [&CStr; 3] = [
    text(concat!(include_str!("../callboard/_network.py"), "\0")),
    c"callboard/_network.py",
    c"callboard._network",
];

const fn text(source: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(source.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// What keeps the zygote from its work: a system call that failed, or a message that is none.
struct Broken(i32);

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self(if error.kind() == io::ErrorKind::InvalidData { sys::MALFORMED } else { sys::DENIED })
    }
}

/// What of the machine a zygote stays in.
struct Reach {
    network: bool,
    files: bool,
    /// What cells with network find names and certificates in.
    copies: Vec<namespaces::Copied>,
}

/// Serves the control socket on standard input; does not return. `reach` says what of the machine it stays in: `network`,
/// `files`, both with a comma between, or `closed`.
///
/// # Errors
/// Python's, before the zygote is ready.
#[pyfunction]
pub(crate) fn zygote(py: Python<'_>, reach: &str) -> PyResult<()> {
    let has = |wanted| reach.split(',').any(|word| word == wanted);
    let mut reach = Reach { network: has("network"), files: has("files"), copies: Vec::new() };
    let modules = preload(py, &mut reach)?;
    match Zygote::new(&reach).and_then(|zygote| zygote.serve(py, modules)) {
        Ok(()) => sys::exit(0),
        Err(Broken(status)) => sys::exit(status),
    }
}

/// Loads the standard library, some of it as modules and the rest as code, and the package `callboard`, and moves it all
/// out of the garbage collector's sight, so that cells do not copy its pages. How many modules there are then.
fn preload(py: Python<'_>, reach: &mut Reach) -> PyResult<u32> {
    py.run(PRELOAD, Some(&PyDict::new(py)), None)?;
    if py.import("sys")?.getattr("argv")?.len()? > 3 {
        py.run(PACKAGES, Some(&PyDict::new(py)), None)?;
    }
    py.run(LIBRARY, Some(&PyDict::new(py)), None)?;
    for [source, file, name] in CALLBOARD {
        PyModule::from_code(py, source, file, name)?;
    }
    if reach.network {
        let [source, file, name] = NETWORK;
        let module = PyModule::from_code(py, source, file, name)?;
        reach.copies = module.getattr("files")?.call0()?.extract()?;
        sys::load_names();
    }
    py.import("callboard")?.setattr("Refused", py.get_type::<Refused>())?;
    let leave = wrap_pyfunction!(cell::leave, py)?;
    for module in ["os", "posix"] {
        py.import(module)?.setattr("_exit", &leave)?;
    }
    let gc = py.import("gc")?;
    gc.call_method0("collect")?;
    gc.call_method0("freeze")?;
    sys::trim();
    py.import("sys")?.getattr("modules")?.len().map(|modules| u32::try_from(modules).unwrap_or(u32::MAX))
}

struct Zygote {
    socket: OwnedFd,
    /// Can be read when children have ended.
    ended: OwnedFd,
    null: OwnedFd,
    /// The node's numbers for the cells, by process id.
    cells: HashMap<i32, u64>,
    /// Address space of a cell at its birth, in bytes.
    mapped: u64,
    /// Whether it leads a session of its own.
    session: bool,
    /// Whether it is in namespaces of its own.
    namespaces: bool,
    /// The files that cells with network may read.
    files: Vec<String>,
}

impl Zygote {
    fn new(reach: &Reach) -> Result<Self, Broken> {
        // The terminal sends Ctrl-C to every process of the node; what follows from it is the node's business.
        sys::ignore(libc::SIGINT)?;
        sys::take_long_slices();
        Ok(Self {
            socket: io::stdin().as_fd().try_clone_to_owned()?,
            ended: sys::children()?,
            null: std::fs::File::options().read(true).write(true).open("/dev/null")?.into(),
            cells: HashMap::new(),
            mapped: sys::mapped()?,
            session: sys::lead_session().is_ok(),
            // Last: there are no files afterwards.
            namespaces: lock::IN_FORCE && namespaces::enter(reach.network, reach.files, &reach.copies),
            files: reach.copies.iter().map(|(path, _)| path.clone()).collect(),
        })
    }

    /// Answers the node until it closes the socket.
    fn serve(mut self, py: Python<'_>, modules: u32) -> Result<(), Broken> {
        let ready = Ready {
            protocol: protocol::frame::VERSION,
            abi: protocol::abi::VERSION,
            python: cell::python_version(),
            modules,
        };
        self.tell(&FromZygote::Ready(ready), None)?;
        let mut buffer = vec![0; control::LARGEST];
        loop {
            let (asked, ended) = sys::wait(self.socket.as_fd(), self.ended.as_fd())?;
            if ended {
                self.reap()?;
            }
            if asked {
                let (length, descriptors) = sys::socket::receive(self.socket.as_fd(), &mut buffer)?;
                if length == 0 {
                    return Ok(());
                }
                let message = buffer.get(..length).unwrap_or_default();
                let ToZygote::Fork { cell, limits } =
                    rmp_serde::from_slice(message).map_err(|_| Broken(sys::MALFORMED))?;
                let [pipe, page] = descriptors.try_into().map_err(|_| Broken(sys::MALFORMED))?;
                self.fork(py, cell, limits, pipe, page)?;
            }
        }
    }

    /// Makes a cell and tells the node.
    fn fork(
        &mut self,
        py: Python<'_>,
        cell: u64,
        limits: Limits,
        pipe: OwnedFd,
        page: OwnedFd,
    ) -> Result<(), Broken> {
        let null = self.null.try_clone()?;
        let zygote = sys::pid();
        let child = match sys::fork(py) {
            Ok(None) => {
                let (mapped, listed) = (self.mapped, Default::default());
                let (session, namespaces) = (self.session, self.namespaces);
                let files = self.files.clone();
                let lock =
                    Lock { pipe, page, null, limits, mapped, session, namespaces, zygote, files, listed };
                cell::live(py, lock)
            }
            Ok(Some(child)) => child,
            Err(error) => return self.failed(cell, &error),
        };
        match sys::pidfd(child) {
            Ok(pidfd) => {
                self.cells.insert(child, cell);
                self.tell(&FromZygote::Forked { cell, pid: child }, Some(pidfd.as_fd()))
            }
            Err(error) => {
                // Without a descriptor nobody could end it safely. Its end goes unreported: the node never knew it.
                sys::kill(child);
                self.failed(cell, &error)
            }
        }
    }

    fn failed(&self, cell: u64, error: &io::Error) -> Result<(), Broken> {
        self.tell(&FromZygote::Failed { cell, errno: error.raw_os_error().unwrap_or(0) }, None)
    }

    /// Reaps every child that has ended and tells the node.
    fn reap(&mut self) -> Result<(), Broken> {
        // Several ends can be one signal, and one read takes it; it only fails when there is none to take.
        let _ = sys::read(self.ended.as_fd(), &mut [0; 128]);
        while let Some(ended) = sys::reap() {
            if let Some(cell) = self.cells.remove(&ended.pid) {
                let sys::Ended { status, signal, peak, .. } = ended;
                self.tell(&FromZygote::Exited { cell, status, signal, peak }, None)?;
            }
        }
        Ok(())
    }

    fn tell(&self, message: &FromZygote, descriptor: Option<BorrowedFd<'_>>) -> Result<(), Broken> {
        let bytes = rmp_serde::to_vec_named(message).map_err(|_| Broken(sys::DENIED))?;
        sys::socket::send(self.socket.as_fd(), &bytes, descriptor)?;
        Ok(())
    }
}
