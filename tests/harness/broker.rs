//! A real nats-server on a free port, with a folder of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::{tools, wait};

/// Settings that every test broker has; the operator's own are in `nats.conf`.
const SETTINGS: &str = "max_payload: 8MB\n";

/// A running broker; ends with its owner.
#[derive(Debug)]
pub struct Broker {
    child: Child,
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
        let log = std::fs::File::create(folder.path().join("log")).expect("the broker's log");
        let child = Command::new(tools::nats_server())
            .arg("--config")
            .arg(file)
            .args(["--addr", "127.0.0.1", "--port", "-1"])
            .arg("--ports_file_dir")
            .arg(folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts");
        let mut broker = Self { child, folder, port: 0 };
        let ports = broker.folder.path().join(format!("nats-server_{}.ports", broker.pid()));
        broker.port = wait::until("the broker to listen", Duration::from_secs(10), || {
            let ended = broker.child.try_wait().expect("the broker's state");
            assert!(ended.is_none(), "nats-server ended: {}", broker.log());
            port_in(&std::fs::read_to_string(&ports).ok()?)
        });
        broker
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

/// The port in the file that a nats-server writes once it listens: `{"nats":["nats://127.0.0.1:4222"], …}`.
fn port_in(ports: &str) -> Option<u16> {
    let value: serde_json::Value = serde_json::from_str(ports).ok()?;
    value.pointer("/nats/0")?.as_str()?.rsplit(':').next()?.parse().ok()
}
