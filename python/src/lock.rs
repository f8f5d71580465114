//! The lock: what a forked process gives up before it sees anything of a user. One layer a file, applied in the order
//! of `LAYERS`; a layer that could not be put in force is missing from what the cell reports, and the node decides.
//!
//! Nothing here knows scripts or frames.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use protocol::capability::Capability;
use protocol::frame::control::Limits;
use pyo3::pyfunction;

mod arguments;
pub(crate) mod attempt;
mod descriptors;
mod dumpable;
mod landlock;
mod limits;
pub(crate) mod namespaces;
mod policy;
mod privileges;
mod root;
mod seccomp;
mod session;
mod stat;
pub(crate) mod trap;
mod zygote;

/// What the layers need to know.
pub(crate) struct Lock {
    /// The cell's end of its pipe.
    pub(crate) pipe: OwnedFd,
    /// The page, for what is written to it as a file.
    pub(crate) page: OwnedFd,
    /// `/dev/null`, to be the cell's standard input, output and error.
    pub(crate) null: OwnedFd,
    /// What the cell may use.
    pub(crate) limits: Limits,
    /// The address space that the zygote has mapped, in bytes.
    pub(crate) mapped: u64,
    /// Whether the zygote leads a session of its own, and this process is in it.
    pub(crate) session: bool,
    /// Whether the zygote is in namespaces of its own, and this process with it.
    pub(crate) namespaces: bool,
    /// The zygote's process id.
    pub(crate) zygote: i32,
    /// The files of the system that a cell with network reads names and certificates from.
    pub(crate) files: Vec<String>,
    /// Whether the kernel's own list of files is in force.
    pub(crate) listed: Cell<bool>,
}

/// What of the network may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    /// All of it, by TCP and UDP.
    Anything,
    /// These ports of any host, by TCP.
    Ports(Vec<u16>),
}

impl Lock {
    /// The folders whose files may be read.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        self.limits.capabilities.iter().filter_map(|capability| match capability {
            Capability::FilesRead(folder) => Some(folder.as_str()),
            Capability::Llm | Capability::Network | Capability::Ports(_) => None,
        })
    }

    /// What of the network may be reached, if any.
    pub(crate) fn network(&self) -> Option<Reached> {
        let mut reached = None;
        for capability in &self.limits.capabilities {
            match (capability, &mut reached) {
                (Capability::Network, _) => return Some(Reached::Anything),
                (Capability::Ports(more), Some(Reached::Ports(ports))) => ports.extend(more),
                (Capability::Ports(ports), _) => reached = Some(Reached::Ports(ports.clone())),
                (Capability::Llm | Capability::FilesRead(_), _) => {}
            }
        }
        reached
    }

    /// Whether calls are allowed that open files of folders: only where the kernel's list says which.
    fn reads_files(&self) -> bool {
        self.listed.get() && self.folders().next().is_some()
    }
}

/// One thing that a cell gives up.
struct Layer {
    /// Its name in a cell's report.
    name: &'static str,
    /// Puts it in force, and looks whether it is.
    apply: fn(&Lock) -> io::Result<()>,
}

/// Every layer, in the order of application.
const LAYERS: [Layer; 10] = [
    Layer { name: "session", apply: session::apply },
    Layer { name: "descriptors", apply: descriptors::apply },
    Layer { name: "no_root", apply: root::apply },
    Layer { name: "not_dumpable", apply: dumpable::apply },
    Layer { name: "dies_with_zygote", apply: zygote::apply },
    Layer { name: "namespaces", apply: namespaces::apply },
    Layer { name: "no_new_privileges", apply: privileges::apply },
    Layer { name: "landlock", apply: landlock::apply },
    Layer { name: "limits", apply: limits::apply },
    Layer { name: "seccomp", apply: seccomp::apply },
];

/// What a cell cannot run without: it puts pipe and page where they belong.
const NEEDED: &str = "descriptors";

/// Whether this build locks its cells. One that does not is for measuring what the lock costs; no node runs a script in it,
/// since its cells do not report the layers that a node requires.
pub(crate) const IN_FORCE: bool = cfg!(not(feature = "without-lock"));

/// Locks this process for good; the pipe under its new number, and the names of the layers in force.
pub(crate) fn apply(lock: Lock) -> (OwnedFd, Vec<String>) {
    let in_force = |layer: &&Layer| (IN_FORCE || layer.name == NEEDED) && (layer.apply)(&lock).is_ok();
    let name = |layer: &Layer| layer.name.to_owned();
    let (others, filter) = LAYERS.split_at(LAYERS.len() - 1);
    let mut layers: Vec<String> = others.iter().filter(in_force).map(name).collect();
    // Behind the filter of system calls there is no asking for it any more.
    crate::sys::take_usual_slices();
    layers.extend(filter.iter().filter(in_force).map(name));
    (descriptors::pipe(lock), layers)
}

/// Where the page is once the lock is in force.
pub(crate) const PAGE: std::os::fd::RawFd = descriptors::PAGE;

/// The seccomp policy, for tests and documents: name, number here, what becomes of the call, and why. `of` is `files`,
/// `network` or `ports` for what cells have besides that were granted that.
#[pyfunction]
#[pyo3(signature = (of = "cells"))]
pub(crate) fn system_calls(of: &str) -> Vec<(&'static str, i64, &'static str, &'static str)> {
    let entry = |entry: &policy::Entry| (entry.name, entry.number, entry.verdict.as_str(), entry.reason);
    let lists: &[_] = match of {
        "files" => &[policy::FILES],
        "network" => &[policy::ANY_PORT, policy::NETWORK],
        "ports" => &[policy::SOME_PORTS, policy::NETWORK],
        _ => &[policy::POLICY],
    };
    lists.iter().copied().flatten().map(entry).collect()
}
