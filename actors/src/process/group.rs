//! A child that is talked to: pipes on all three of its streams, an environment of its own, and a process group that is
//! signalled as a whole, so that what it has started goes with it. What is said over the pipes is not known here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::{Program, guarded};

/// A running child and all that it has started. Dropping it kills them.
#[derive(Debug)]
pub struct Group {
    process: tokio::process::Child,
    pid: Pid,
}

/// The node's ends of a child's pipes.
#[derive(Debug)]
pub struct Pipes {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it writes.
    pub stdout: ChildStdout,
    /// What it complains of.
    pub stderr: ChildStderr,
}

impl Group {
    /// Starts `program` in `folder` with nothing but `environment`. On Linux it is killed when the node dies in whatever
    /// way; elsewhere the end of its standard input says so. The running program must be `callboard`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: &Program,
        environment: &BTreeMap<String, String>,
        folder: &Path,
    ) -> io::Result<(Self, Pipes)> {
        let mut command = guarded(program, Signal::KILL);
        command.env_clear().envs(environment).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = process.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the child has no pipes"));
        };
        Ok((Self { process, pid }, Pipes { stdin, stdout, stderr }))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Asks it and all that it has started to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it and all that it has started at once.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let _gone_already = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Waits for its end, upon which what it has started is ended too. May be cancelled and called again.
    ///
    /// # Errors
    /// Its end cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait().await?;
        self.kill();
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that was waited for may be gone with its whole group, whose number may be another's by now.
        if self.process.id().is_some() {
            self.kill();
        }
    }
}
