//! Explains how a cell ended and what to do about it.

use std::time::{Duration, Instant};

use protocol::Failure;
use protocol::failure::{Death, Phases, ProcessDown, Stage, Timeout};

use super::job::Job;
use crate::call::millis;

/// How a process ended, as its parent saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its status, if it exited.
    pub status: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The most memory it had at once, in bytes.
    pub peak: u64,
}

/// What was seen of a cell at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scene {
    /// The line of the script at which it stood.
    pub line: Option<u32>,
    /// The most memory it had at once, in bytes.
    pub peak: Option<u64>,
}

/// How long a call had waited, and run if it had begun.
#[must_use]
pub fn phases(job: &Job, begun: Option<Instant>) -> Phases {
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let waited = begun.unwrap_or_else(Instant::now).saturating_duration_since(job.queued);
    Phases { queued: ms(waited), run: begun.map(|begun| ms(begun.elapsed())), ..Phases::default() }
}

/// The failure of a call that ran past its deadline and was killed for it.
#[must_use]
pub fn deadline(job: &Job, begun: Option<Instant>, scene: Scene) -> Failure {
    let death = Death {
        phases: phases(job, begun),
        line: scene.line,
        peak_bytes: scene.peak,
        signal: Some("SIGKILL".to_owned()),
        advice:
            "it ran past its deadline and was killed: look for a loop, or give it more time with timeoutMs in the envelope"
                .to_owned(),
        ..Death::default()
    };
    let timeout_ms = millis(job.deadline.timeout);
    Failure::Timeout(Timeout { timeout_ms, stage: Stage::Running, late_ms: None, death: Some(death) })
}

/// The failure of a call whose cell died under it.
#[must_use]
pub fn process_down(job: &Job, begun: Option<Instant>, scene: Scene, exit: Option<Exit>) -> Failure {
    let death = Death {
        phases: phases(job, begun),
        line: scene.line,
        peak_bytes: exit.map(|exit| exit.peak).or(scene.peak),
        exit: exit.and_then(|exit| exit.status),
        signal: exit.and_then(|exit| exit.signal).map(signal_name),
        advice: advice(exit).to_owned(),
        ..Death::default()
    };
    Failure::ProcessDown(ProcessDown { reason: None, death: Some(death) })
}

/// The failure of a call that had begun in a cell which was killed for another call's sake.
#[must_use]
pub fn neighbour(job: &Job, begun: Option<Instant>) -> Failure {
    let death = Death {
        phases: phases(job, begun),
        signal: Some("SIGKILL".to_owned()),
        advice: "its process was killed for the sake of another call of the same script: send it again"
            .to_owned(),
        ..Death::default()
    };
    Failure::ProcessDown(ProcessDown { reason: Some("neighbour".to_owned()), death: Some(death) })
}

/// The failure of a call that no process could be had for.
#[must_use]
pub fn no_process(reason: &str) -> Failure {
    Failure::ProcessDown(ProcessDown { reason: Some(reason.to_owned()), death: None })
}

fn advice(exit: Option<Exit>) -> &'static str {
    match exit {
        Some(Exit { signal: Some(9), .. }) => {
            "it was killed from outside: by a person, or by the system when memory ran out"
        }
        Some(Exit { signal: Some(11 | 7 | 4 | 6), .. }) => {
            "the interpreter crashed: look for native code, hand-made bytecode or very deep recursion in the script"
        }
        Some(Exit { signal: Some(_), .. }) => "a signal ended it: look for who sent it",
        Some(Exit { status: Some(_), .. }) => {
            "it ended its own process: a script returns its result, it does not exit"
        }
        _ => "the connection to it broke: look at the node's log",
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
