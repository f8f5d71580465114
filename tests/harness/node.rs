//! The real program as a process: started, waited for, stopped, and watched for what it leaves behind.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::processes::{self, Process};
use crate::{tools, wait};

/// Longest wait for a node to become ready; it should take a second.
const READY: Duration = Duration::from_secs(20);
/// Longest wait for a node to stop.
const STOPPED: Duration = Duration::from_secs(20);

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    scripts: Vec<(PathBuf, String)>,
    files: Vec<(PathBuf, String)>,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    configuration: String,
    roles: Option<String>,
    data: Option<Arc<TempDir>>,
    through: Vec<String>,
}

impl Options {
    /// A node as `callboard dev` starts it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the text of a file in its folder `scripts`.
    #[must_use]
    pub fn script(mut self, file: &str, text: impl Into<String>) -> Self {
        self.scripts.push((PathBuf::from(file), text.into()));
        self
    }

    /// With the text of a file beside its configuration.
    #[must_use]
    pub fn file(mut self, file: &str, text: impl Into<String>) -> Self {
        self.files.push((PathBuf::from(file), text.into()));
        self
    }

    /// With a setting, `WORKER__PLACES` for `worker.places`.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("CALLBOARD_{key}"), value.to_owned()));
        self
    }

    /// With more lines in its configuration file.
    #[must_use]
    pub fn configured(mut self, lines: &str) -> Self {
        self.configuration.push_str(lines);
        self
    }

    /// With a variable in its environment that is none of its own.
    #[must_use]
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// With more words on its command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Through another program, which these words start and which then becomes the node: its path and arguments follow them.
    #[must_use]
    pub fn through(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.through = words.into_iter().collect();
        self
    }

    /// In a data folder that another node has left.
    #[must_use]
    pub fn in_data(mut self, data: &Arc<TempDir>) -> Self {
        self.data = Some(Arc::clone(data));
        self
    }

    /// As `callboard node --roles ROLES` instead of `callboard dev`.
    #[must_use]
    pub fn roles(mut self, roles: &str) -> Self {
        self.roles = Some(roles.to_owned());
        self
    }
}

/// A running node; ends with its owner.
#[derive(Debug)]
pub struct Node {
    child: Child,
    data: Arc<TempDir>,
    url: String,
    name: String,
    stdout: Captured,
    stderr: Captured,
}

/// How a node ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
    /// From the signal to its end.
    pub took: Duration,
    /// Processes of its family that still ran seconds later.
    pub left: Vec<Process>,
}

impl Node {
    /// Starts a node on the broker at `url` and waits until it says that it is ready.
    #[must_use]
    pub fn start(url: &str, options: &Options) -> Self {
        Self::run(&["--nats", url], options)
    }

    /// Starts a node that brings its own broker, on a free port.
    #[must_use]
    pub fn with_its_own_broker(options: &Options) -> Self {
        let server = tools::nats_server().display().to_string();
        Self::run(&["--port", "0", "--nats-server", &server], options)
    }

    fn run(broker: &[&str], options: &Options) -> Self {
        let new = || Arc::new(TempDir::with_prefix("callboard-data-").expect("a temporary folder"));
        let data = options.data.clone().unwrap_or_else(new);
        for (file, text) in &options.scripts {
            let path = data.path().join("scripts").join(file);
            std::fs::create_dir_all(path.parent().expect("a file has a folder"))
                .expect("the scripts' folder");
            std::fs::write(path, text).expect("a script");
        }
        for (file, text) in &options.files {
            std::fs::write(data.path().join(file), text).expect("a file");
        }
        let mut command = program_through(&options.through);
        let configuration = data.path().join("callboard.toml");
        if !options.configuration.is_empty() {
            std::fs::write(&configuration, &options.configuration).expect("a configuration");
            command.env("CALLBOARD_CONFIG", &configuration);
        }
        match &options.roles {
            Some(roles) => command.args(["node", "--roles", roles]),
            None => command.arg("dev"),
        };
        command.args(broker).arg("--data").arg(data.path()).args(&options.arguments);
        command.envs(options.settings.iter().chain(&options.environment).map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("callboard starts");
        let stdout = Captured::of(child.stdout.take().expect("a pipe"));
        let stderr = Captured::of(child.stderr.take().expect("a pipe"));
        let mut node = Self { child, data, url: String::new(), name: String::new(), stdout, stderr };
        let line = wait::until("the line `ready`", READY, || {
            if let Some(status) = node.child.try_wait().expect("the node's state") {
                panic!("the node ended with {status}: {}", node.stderr.all());
            }
            node.stdout.text().lines().next().map(str::to_owned)
        });
        (node.url, node.name) = ready(&line).unwrap_or_else(|| panic!("not the line `ready`: {line}"));
        node
    }

    /// The broker's address, as its line `ready` has it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node's name, as its line `ready` has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder, which stays as long as somebody has this.
    #[must_use]
    pub fn keep(&self) -> Arc<TempDir> {
        Arc::clone(&self.data)
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Writes a file into its folder `scripts`, as an editor does: a new file that takes the old one's place.
    pub fn write_script(&self, file: &str, text: &str) {
        let folder = self.data.path().join("scripts");
        let draft = folder.join(format!(".{file}.draft"));
        std::fs::write(&draft, text).expect("a script");
        std::fs::rename(draft, folder.join(file)).expect("a script");
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The zygote and the cells.
    #[must_use]
    pub fn family(&self) -> Vec<Process> {
        processes::below(self.child.id())
    }

    /// The cells: the zygote's children.
    #[must_use]
    pub fn cells(&self) -> Vec<Process> {
        self.family().iter().flat_map(|process| processes::children(process.pid)).collect()
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    #[must_use]
    pub fn stop(self) -> Stopped {
        self.end(rustix::process::Signal::TERM)
    }

    /// Sends `signal` and waits for its end.
    #[must_use]
    pub fn end(self, signal: rustix::process::Signal) -> Stopped {
        let pid = rustix::process::Pid::from_child(&self.child);
        let family = self.family();
        rustix::process::kill_process(pid, signal).expect("a node that can be signalled");
        self.ended(&family)
    }

    /// Waits for its end, which something else brings about. `family` is whom it must not leave behind.
    #[must_use]
    pub fn ended(mut self, family: &[Process]) -> Stopped {
        let begin = Instant::now();
        let status =
            wait::until("the node's end", STOPPED, || self.child.try_wait().expect("the node's state"));
        let took = begin.elapsed();
        let patience = Instant::now() + Duration::from_secs(5);
        let left = wait::until("processes to end", Duration::from_secs(10), || {
            let left: Vec<Process> = family.iter().filter(|process| process.runs()).cloned().collect();
            (left.is_empty() || Instant::now() > patience).then_some(left)
        });
        for process in &left {
            process.kill();
        }
        Stopped { code: status.code(), stdout: self.stdout.all(), stderr: self.stderr.all(), took, left }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end. Zygote and cells follow it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.stderr.text();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len().saturating_sub(12);
            eprintln!("--- the end of node {}'s stderr ---\n{}\n---", self.name, lines[last..].join("\n"));
        }
    }
}

/// The program with nothing of this process's environment but what it needs to find its tools.
#[must_use]
pub fn program() -> Command {
    program_through(&[])
}

fn program_through(words: &[String]) -> Command {
    let mut command = match words {
        [] => Command::new(tools::callboard()),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(tools::callboard());
            command
        }
    };
    command.env_clear();
    for variable in ["PATH", "HOME", "RUST_LOG"] {
        if let Some(value) = std::env::var_os(variable) {
            command.env(variable, value);
        }
    }
    command.env("CALLBOARD_CELL", tools::cell());
    command
}

/// Address and name in `ready nats://HOST:PORT node=NAME`.
fn ready(line: &str) -> Option<(String, String)> {
    let (url, name) = line.strip_prefix("ready ")?.split_once(" node=")?;
    url.contains("://").then(|| (url.to_owned(), name.to_owned()))
}

/// What a process has written to a pipe, read by a thread so that the pipe never fills.
#[derive(Debug)]
pub struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Captured {
    /// Begins to read `pipe`.
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    /// What has come so far, in whole lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All there is, once the writer has ended.
    #[must_use]
    pub fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of a pipe");
        }
        self.text()
    }
}
