//! What a process holds of the machine, as `/proc` shows it: to see whether it grows.

use std::fmt;

use crate::processes;

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Open descriptors.
    pub descriptors: usize,
    /// Memory that is its own or shared, in KiB.
    pub resident: u64,
    /// Processes below it.
    pub family: usize,
}

impl Figures {
    /// What the process of that id holds.
    ///
    /// # Panics
    /// There is none, or it is another user's.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of ours").count();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let resident = line.trim().trim_end_matches("kB").trim().parse().expect("a figure");
        Self { descriptors, resident, family: processes::below(pid).len() }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, resident, family } = self;
        write!(f, "{descriptors} descriptors, {} MiB, {family} processes", resident / 1_024)
    }
}
