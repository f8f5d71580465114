//! Processes as `/proc` shows them: who descends from whom, and who is left.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A process, known by its id and the moment of its start, since ids are used again.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name, as `ps` shows it.
    pub name: String,
    parent: u32,
    started: u64,
    zombie: bool,
    ticks: u64,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

impl Process {
    /// The process of that id, if there is one.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        // The name stands in brackets and may hold anything, brackets too.
        let (head, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            pid,
            name: head.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            zombie: fields.first() == Some(&"Z"),
            ticks: fields.get(11)?.parse().ok()?,
        })
    }

    /// Whether it still runs. One that has ended and only waits to be asked for its exit status does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.started == self.started && !now.zombie)
    }

    /// Whether it has ended and its parent has not asked for its exit status.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        self.zombie
    }

    /// How long its own code has run on a processor, when it was looked at; in hundredths of a second, mostly.
    #[must_use]
    pub fn worked(&self) -> Duration {
        Duration::from_secs(self.ticks)
            / u32::try_from(rustix::param::clock_ticks_per_second()).expect("some ticks")
    }

    /// Ends it at once, as the kernel's memory killer would. One that has ended by itself is left alone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it is; what is sent to it waits.
    pub fn halt(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop, as a service manager does, without waiting for its end.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process id");
        if self.runs() {
            // It may end between the look and the signal.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The children of `pid`, as its main thread has them; fast enough to meet a process in its first millisecond.
#[must_use]
pub fn children(pid: u32) -> Vec<Process> {
    let ids = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| Process::find(id.parse().ok()?)).collect()
}

/// All processes that descend from `pid`, without itself, whichever of its threads started them.
#[must_use]
pub fn below(pid: u32) -> Vec<Process> {
    let all: Vec<Process> = std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .collect();
    let mut family = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            family.push(process.clone());
        }
    }
    family
}
