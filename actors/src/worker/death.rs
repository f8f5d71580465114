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
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The line of the script at which it stood.
    pub line: Option<u32>,
    /// The most memory it had at once, in bytes.
    pub peak: Option<u64>,
    /// What its lock refused last to the call.
    pub refused: Option<String>,
    /// What the call had printed.
    pub output: Option<String>,
    /// Whether someone had stopped its process.
    pub stopped: bool,
    /// When it was asked for.
    pub born: Option<Instant>,
    /// How long it took to be forked and locked.
    pub started: Option<Duration>,
    /// How long it took, or had taken, to load its script.
    pub loaded: Option<Duration>,
}

impl Scene {
    /// What is known of any end: how long each phase took, and what was seen.
    fn death(&self, job: &Job, begun: Option<Instant>, advice: &str) -> Death {
        Death {
            phases: self.phases(job, begun),
            line: self.line,
            peak_bytes: self.peak,
            exit: None,
            signal: None,
            refused: self.refused.clone(),
            advice: advice.to_owned(),
        }
    }

    /// How long a call had waited in the queue, for a new cell if it had to, and run if it had begun.
    fn phases(&self, job: &Job, begun: Option<Instant>) -> Phases {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let waited = begun.unwrap_or_else(Instant::now).saturating_duration_since(job.queued);
        // A cell that was there before the call cost it nothing.
        let own = self.born.is_some_and(|born| born >= job.queued);
        let [started, loaded] = [self.started, self.loaded].map(|phase| phase.filter(|_| own));
        let queued = waited.saturating_sub(started.unwrap_or_default() + loaded.unwrap_or_default());
        Phases {
            queued: ms(queued),
            started: started.map(ms),
            loaded: loaded.map(ms),
            run: begun.map(|begun| ms(begun.elapsed())),
        }
    }
}

const KILLED: &str = "SIGKILL";

/// The failure of a call that ran past its deadline and was killed for it.
#[must_use]
pub fn deadline(job: &Job, begun: Option<Instant>, scene: &Scene) -> Failure {
    let advice = match (scene.stopped, begun) {
        (true, _) => {
            "its process was stopped (SIGSTOP) from outside and did not go on: look for who stops processes on this machine"
        }
        (false, Some(_)) => {
            "it ran past its deadline and was killed: look for a loop, or give it more time with timeoutMs in the envelope"
        }
        (false, None) => {
            "its script was still being loaded: move work from the top level into the function, or give it more time with timeoutMs in the envelope"
        }
    };
    let death = Death { signal: Some(KILLED.to_owned()), ..scene.death(job, begun, advice) };
    Failure::Timeout(Timeout {
        timeout_ms: millis(job.origin.deadline.timeout),
        stage: Stage::Running,
        late_ms: None,
        death: Some(Box::new(death)),
        output: scene.output.clone(),
    })
}

/// The failure of a call whose script did not load in time.
#[must_use]
pub fn load_timeout(job: &Job, scene: &Scene) -> Failure {
    let advice =
        "its script did not load in time and was killed: move work from the top level into the function";
    let death = Death { signal: Some(KILLED.to_owned()), ..scene.death(job, None, advice) };
    down(Some("load_timeout"), death, scene)
}

/// The failure of a call that waited for something at its deadline. It is told to end, and not waited for.
#[must_use]
pub fn waited(job: &Job, begun: Option<Instant>, scene: &Scene) -> Failure {
    let advice = "it still waited at its deadline and was cancelled: give what it waits for a time of its own, or give it more with timeoutMs in the envelope";
    Failure::Timeout(Timeout {
        timeout_ms: millis(job.origin.deadline.timeout),
        stage: Stage::Running,
        late_ms: None,
        death: Some(Box::new(scene.death(job, begun, advice))),
        output: scene.output.clone(),
    })
}

/// The failure of a call whose cell died under it.
#[must_use]
pub fn process_down(job: &Job, begun: Option<Instant>, scene: &Scene, exit: Option<Exit>) -> Failure {
    let known = scene.death(job, begun, advice(exit));
    let death = Death {
        peak_bytes: exit.map(|exit| exit.peak).or(scene.peak),
        exit: exit.and_then(|exit| exit.status),
        signal: exit.and_then(|exit| exit.signal).map(signal_name),
        refused: match exit {
            Some(Exit { signal: Some(FORBIDDEN), .. }) => Some("kill_list".to_owned()),
            _ => known.refused,
        },
        ..known
    };
    down(None, death, scene)
}

/// The failure of a call that had begun in a cell which was killed for another call's sake.
#[must_use]
pub fn neighbour(job: &Job, begun: Option<Instant>) -> Failure {
    let advice = "its process was killed for the sake of another call of the same script: send it again";
    let scene = Scene::default();
    let death = Death { signal: Some(KILLED.to_owned()), ..scene.death(job, begun, advice) };
    down(Some("neighbour"), death, &scene)
}

/// The failure of a call whose cell said what no honest cell says, and was killed for it.
#[must_use]
pub fn protocol(job: &Job, begun: Option<Instant>, scene: &Scene) -> Failure {
    let advice = "it wrote into the cell's own pipe and was killed: a script prints with print and answers with return";
    let death = Death { signal: Some(KILLED.to_owned()), ..scene.death(job, begun, advice) };
    down(Some("protocol"), death, scene)
}

fn down(reason: Option<&str>, death: Death, scene: &Scene) -> Failure {
    let reason = reason.map(str::to_owned);
    Failure::ProcessDown(ProcessDown { reason, death: Some(Box::new(death)), output: scene.output.clone() })
}

/// The failure of a call that no process could be had for.
#[must_use]
pub fn no_process(reason: &str) -> Failure {
    Failure::ProcessDown(ProcessDown { reason: Some(reason.to_owned()), ..ProcessDown::default() })
}

/// `SIGSYS`: what seccomp ends a cell with that makes a system call of the policy's kill list.
const FORBIDDEN: i32 = 31;

fn advice(exit: Option<Exit>) -> &'static str {
    match exit {
        Some(Exit { signal: Some(FORBIDDEN), .. }) => {
            "it made a system call that no script makes (docs/security.md lists them) and was ended by the kernel: treat it as an attack"
        }
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

/// What an author can do something with, without the text of an exception.
#[must_use]
pub fn explain(failure: &Failure) -> String {
    match failure {
        Failure::ActionFailed(failed) => {
            let reason = failed.reason.as_deref().unwrap_or("failed");
            failed.line.map_or_else(|| reason.to_owned(), |line| format!("{reason} at line {line}"))
        }
        Failure::InvalidResponse(invalid) => format!("{}: {}", invalid.path, invalid.problem),
        other => other.code().message().to_owned(),
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
