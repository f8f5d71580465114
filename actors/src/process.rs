//! The one door to child processes that are no cells: starting them so that they cannot outlive the node, reading
//! what they write, stopping them. A child that is talked to is in `group`. Cells and their zygote have a door of their
//! own in `worker`.

pub mod group;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

/// The subcommand by which the program `callboard` becomes the child: see [`exec`].
pub const EXEC_CHILD: &str = "exec-child";

/// How long a child may take to end when it is asked to.
const STOP: Duration = Duration::from_secs(5);

/// A program to run as a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// What it is told.
    pub arguments: Vec<OsString>,
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    pid: Pid,
    readers: Vec<JoinHandle<()>>,
}

/// Runs an editor on a file in this terminal and waits for its end. `editor` may have words of its own, as in `code --wait`.
///
/// # Errors
/// It cannot be started.
pub async fn edit(editor: &str, file: &Path) -> io::Result<ExitStatus> {
    let mut words = editor.split_whitespace();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    Command::new(program).args(words).arg(file).status().await
}

impl Child {
    /// Starts `program` and gives every line that it writes to `line`. Its standard input is empty. It is in a
    /// process group of its own, so that Ctrl-C in a terminal reaches it only through the node, and on Linux it
    /// gets SIGTERM when the node dies in whatever way. The running program must be `callboard`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Program, line: impl Fn(&str) + Clone + Send + 'static) -> io::Result<Self> {
        let mut command = guarded(program, Signal::TERM);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = process.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        let mut readers = Vec::new();
        if let Some(stdout) = process.stdout.take() {
            readers.push(tokio::spawn(read_lines(stdout, line.clone())));
        }
        if let Some(stderr) = process.stderr.take() {
            readers.push(tokio::spawn(read_lines(stderr, line)));
        }
        Ok(Self { process, pid, readers })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits for its end and for the last line that it wrote. May be cancelled and called again.
    ///
    /// # Errors
    /// Its end cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait().await?;
        while let Some(reader) = self.readers.last_mut() {
            // A reader ends without a result, and a grandchild that holds the pipe must not hold us.
            let _read = tokio::time::timeout(STOP, reader).await;
            self.readers.pop();
        }
        Ok(status)
    }

    /// Asks it to end, and kills it if it has not after five seconds.
    ///
    /// # Errors
    /// It cannot be signalled or waited for.
    pub async fn stop(mut self) -> io::Result<ExitStatus> {
        if self.process.try_wait()?.is_none() {
            // Not reaped yet, so the id is still the child's.
            rustix::process::kill_process(self.pid, Signal::TERM)?;
        }
        if let Ok(status) = tokio::time::timeout(STOP, self.process.wait()).await {
            return status;
        }
        self.process.kill().await?;
        self.process.wait().await
    }
}

/// Runs `program` to its end and answers what it wrote.
///
/// # Errors
/// It cannot be started, or it runs longer than `limit` and is killed.
pub async fn output(program: &Program, limit: Duration) -> io::Result<Output> {
    let mut command = guarded(program, Signal::TERM);
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(limit, command.output()).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end in time"));
    };
    output
}

/// `program`, on Linux by way of [`exec`], to get `signal` when the node dies. `/proc/self/exe` is this program even
/// after an update has replaced its file.
fn guarded(program: &Program, signal: Signal) -> Command {
    if !cfg!(target_os = "linux") {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments);
        return command;
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg(EXEC_CHILD).arg("--parent").arg(std::process::id().to_string());
    if signal == Signal::KILL {
        command.arg("--kill");
    }
    command.arg("--");
    command.arg(&program.path).args(&program.arguments);
    command
}

/// Turns this process into `program`, bound to live no longer than `parent`, its parent: it is asked to end then, or
/// with `kill` not asked. Returns only if that fails. This is a step of its own because nothing may run between fork and exec in a large process, and because
/// the bond would otherwise need unsafe code.
#[must_use]
pub fn exec(parent: u32, kill: bool, program: &Path, arguments: &[OsString]) -> io::Error {
    #[cfg(target_os = "linux")]
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    #[cfg(not(target_os = "linux"))]
    let _cannot_be_bound = kill;
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(signal)) {
        return error.into();
    }
    // The parent may have died before the bond was made.
    let actual = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if actual != Some(parent) {
        return io::Error::other("the parent has ended");
    }
    std::process::Command::new(program).args(arguments).exec()
}

async fn read_lines(pipe: impl AsyncRead + Unpin, line: impl Fn(&str)) {
    let mut pipe = BufReader::new(pipe);
    let mut buffer = Vec::new();
    while let Ok(1..) = pipe.read_until(b'\n', &mut buffer).await {
        line(String::from_utf8_lossy(&buffer).trim_end());
        buffer.clear();
    }
}
