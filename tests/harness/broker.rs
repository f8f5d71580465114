//! A real nats-server on a free port, with a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::processes::Process;
use crate::{tools, wait};

/// Settings that every test broker has; the operator's own are in `nats.conf`.
const SETTINGS: &str = "max_payload: 8MB\n";

/// A running broker; ends with its owner.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    file: PathBuf,
    variables: Vec<(String, String)>,
    folder: TempDir,
    port: u16,
}

impl Broker {
    /// Starts a broker and waits until it listens.
    #[must_use]
    pub fn start() -> Self {
        Self::with(SETTINGS)
    }

    /// Starts a broker with the configuration file `path` and variables for it, but on a free port of 127.0.0.1.
    #[must_use]
    pub fn of_file(path: &Path, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("callboard-broker-").expect("a temporary folder");
        Self::run(folder, path, variables)
    }

    /// Starts a broker with these settings instead of the usual ones.
    #[must_use]
    pub fn with(settings: &str) -> Self {
        let folder = TempDir::with_prefix("callboard-broker-").expect("a temporary folder");
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, settings).expect("the broker's settings");
        Self::run(folder, &file, &[])
    }

    fn run(folder: TempDir, file: &Path, variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let child = spawn(folder.path(), file, &variables, "-1");
        let mut broker = Self { child, file: file.to_owned(), variables, folder, port: 0 };
        broker.port = broker.wait_for_port();
        broker
    }

    fn wait_for_port(&mut self) -> u16 {
        let ports = self.folder.path().join(format!("nats-server_{}.ports", self.pid()));
        wait::until("the broker to listen", Duration::from_secs(10), || {
            let ended = self.child.try_wait().expect("the broker's state");
            assert!(ended.is_none(), "nats-server ended: {}", self.log());
            port_in(&std::fs::read_to_string(&ports).ok()?)
        })
    }

    /// Ends it at once, as the kernel's memory killer would.
    pub fn kill(&mut self) {
        self.child.kill().expect("a broker that runs");
        self.child.wait().expect("the broker's end");
    }

    /// Starts it again where it was, after [`Broker::kill`].
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path(), &self.file, &self.variables, &self.port.to_string());
        assert_eq!(self.wait_for_port(), self.port, "the broker is elsewhere");
    }

    /// Its process, to be halted and resumed.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::find(self.pid()).expect("the broker's process")
    }

    /// Where it listens, `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, file: &Path, variables: &[(String, String)], port: &str) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"));
    Command::new(tools::nats_server())
        .arg("--config")
        .arg(file)
        .args(["--addr", "127.0.0.1", "--port", port])
        .arg("--ports_file_dir")
        .arg(folder)
        .envs(variables.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("the broker's log"))
        .spawn()
        .expect("nats-server starts")
}

/// The port in the file that a nats-server writes once it listens: `{"nats":["nats://127.0.0.1:4222"], …}`.
fn port_in(ports: &str) -> Option<u16> {
    let value: serde_json::Value = serde_json::from_str(ports).ok()?;
    value.pointer("/nats/0")?.as_str()?.rsplit(':').next()?.parse().ok()
}
