//! What a node is told: the settings, their defaults and limits. Where they come from (file, environment, flags)
//! is in `config::load`; nothing else reads the environment.

pub mod grant;
pub mod load;

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::actions::Role;
use serde::{Deserialize, Serialize};

/// Every setting of a node. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node itself.
    pub node: Node,
    /// The broker.
    pub nats: Nats,
    /// The interpreter.
    pub python: Python,
    /// The role `worker`.
    pub worker: Worker,
    /// The role `scripts`.
    pub scripts: Scripts,
    /// Actions of one's own.
    pub actions: Actions,
    /// Who may do more than compute.
    pub grant: Vec<grant::Grant>,
    /// Time given to an action or channel by name, in ms, where it is not the default of its list.
    pub timeouts: BTreeMap<String, u64>,
    /// The console.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
    /// Programs that run with the node; only a file can name them.
    #[serde(skip)]
    pub service: Vec<Service>,
}

/// A trusted program that is started with the node, kept running and stopped with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Tells it from others.
    pub name: String,
    /// The program and its words.
    pub command: Vec<String>,
    /// All of its environment; `PATH` is that of the node unless it is named.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it runs; the folder of the file if left out.
    pub folder: PathBuf,
    /// How it says that it is ready.
    #[serde(default)]
    pub ready: Ready,
    /// How long it may take to become ready, restarts included, in ms.
    #[serde(default = "thirty_seconds")]
    pub ready_ms: u64,
    /// How often it is pinged, and how long it may take to answer, in ms.
    #[serde(default = "ten_seconds")]
    pub ping_ms: u64,
    /// How long it may take to end, in ms.
    #[serde(default = "ten_seconds")]
    pub stop_ms: u64,
}

fn ten_seconds() -> u64 {
    10_000
}

fn thirty_seconds() -> u64 {
    30_000
}

/// How a program says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ready {
    /// It answers `pong` to `ping`, as long as it lives.
    #[default]
    Ping,
    /// It writes a line `ready` once.
    Line,
    /// It does not; it is ready as soon as it is started.
    None,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Its name in replies and services: 1–64 letters, digits, `-` and `_`; the host's name and four random
    /// characters if left out.
    pub name: Option<String>,
    /// What it serves besides `supervisor`, which every node does.
    pub roles: Vec<Role>,
    /// Stands in front of every subject.
    pub prefix: String,
    /// Where files are kept; the platform's data folder if left out.
    pub data: Option<PathBuf>,
    /// Longest time that any call may be given, in ms.
    pub longest_timeout_ms: u64,
    /// Whether `timestamp` of an envelope counts as the beginning of its time; off for callers with wrong clocks.
    pub trust_timestamps: bool,
    /// Longest wait for running work at a graceful stop, in ms.
    pub drain_ms: u64,
    /// How long outcomes are kept for callers who ask again with the same id, in ms; 0 keeps none.
    pub repeats_ms: u64,
    /// How many calls of one role it has in hand at once; what comes beyond is answered `OVERLOADED`.
    pub in_flight: u64,
    /// How long a part may be down for good before the node ends itself, for a service manager to start it anew, in ms.
    pub give_up_ms: u64,
    /// Whether replies of channels may hold `debug`.
    pub development: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            name: None,
            roles: vec![Role::Worker, Role::Scripts],
            prefix: String::new(),
            data: None,
            longest_timeout_ms: 600_000,
            trust_timestamps: true,
            drain_ms: 30_000,
            repeats_ms: 120_000,
            in_flight: 4_096,
            give_up_ms: 60_000,
            development: false,
        }
    }
}

/// The broker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Where it listens, `nats://` or `tls://`; `dev` starts its own on 127.0.0.1 if left out.
    pub url: Option<String>,
    /// A `nats-server` program for `dev`; looked for on the search path if left out.
    pub server: Option<PathBuf>,
    /// The port of the broker that `dev` starts; 0 takes a free one.
    pub port: Option<u16>,
    /// Subject prefixes other than NATS's own that replies may go to, such as `my.inbox.`.
    pub inboxes: Vec<String>,
    /// A file with a user's JWT and seed.
    pub credentials: Option<PathBuf>,
    /// A file with a certificate authority's certificates for TLS.
    pub ca: Option<PathBuf>,
}

/// The interpreter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Python {
    /// The program, 3.10 or newer; `python3` from the search path if left out.
    pub path: Option<PathBuf>,
    /// The cell's extension module; looked for beside the program if left out.
    pub extension: Option<PathBuf>,
}

/// The role `worker`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// How many cells run at once; twice the number of cores if left out.
    pub places: Option<u32>,
    /// How many cells are kept warm.
    pub warm: u32,
    /// What a cell may map besides what the zygote has, in MiB.
    pub memory_mb: u64,
    /// Cells that are loaded ahead for each script with `fresh: true`.
    pub spares: u32,
    /// How many calls a cell serves before it is replaced.
    pub calls_per_cell: u64,
    /// How many calls may wait for a place.
    pub queue: u32,
    /// A script whose cells die this often within `circuit_window_ms` is left alone for `circuit_open_ms`; 0 never.
    pub circuit_deaths: u32,
    /// The time within which deaths count, in ms.
    pub circuit_window_ms: u64,
    /// How long such a script is left alone, in ms.
    pub circuit_open_ms: u64,
    /// How long a call that is cancelled, or waits past its deadline, has to end before its cell is killed, in ms.
    pub grace_ms: u64,
    /// Hosts that an `iframe` may point to.
    pub iframe_hosts: Vec<String>,
    /// Whether cells run that lack a layer of their lock. Only a flag can say so, and only on a loopback broker.
    #[serde(skip)]
    pub unlocked: bool,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            places: None,
            warm: 64,
            memory_mb: 512,
            spares: 4,
            calls_per_cell: 10_000,
            queue: 256,
            circuit_deaths: 5,
            circuit_window_ms: 60_000,
            circuit_open_ms: 30_000,
            grace_ms: 250,
            iframe_hosts: ["www.youtube.com", "www.youtube-nocookie.com", "player.vimeo.com"]
                .map(str::to_owned)
                .to_vec(),
            unlocked: false,
        }
    }
}

/// The role `scripts`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scripts {
    /// The folder of the files; `scripts` in the data folder if left out.
    pub folder: Option<PathBuf>,
}

/// Actions of one's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Actions {
    /// Files of modules that register actions.
    pub modules: Vec<PathBuf>,
    /// A virtual environment whose interpreter and packages their cells have.
    pub venv: Option<PathBuf>,
    /// Packages of it that are imported before any module is; what has parts in C must be.
    pub preload: Vec<String>,
}

/// The console.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter as `RUST_LOG` takes it; `RUST_LOG` itself wins.
    pub filter: Option<String>,
    /// Lines for people or for machines; for people on a terminal if left out.
    pub format: Option<LogFormat>,
}

/// How the console writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Traces, which go out by OTLP over HTTP. The names and values are those of the
/// [variables of OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Where a collector listens, `http://` or `https://`; nothing is recorded if left out.
    pub endpoint: Option<String>,
    /// Whether what is recorded goes there.
    pub exporter: Exporter,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Which calls are recorded.
    pub sampler: Sampler,
    /// The share of traces, from 0 to 1, that samplers by share record.
    pub ratio: f64,
    /// How long the collector may take for a batch, in ms.
    pub timeout_ms: u64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            endpoint: None,
            exporter: Exporter::Otlp,
            protocol: Protocol::HttpProtobuf,
            sampler: Sampler::ParentbasedAlwaysOn,
            ratio: 1.0,
            timeout_ms: 10_000,
        }
    }
}

/// What becomes of what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exporter {
    /// It goes to the endpoint.
    Otlp,
    /// Nothing is recorded.
    None,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Protocol Buffers over HTTP.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Which traces are recorded. `parentbased` ones do what the caller says, where it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "OpenTelemetry's own words")]
pub enum Sampler {
    AlwaysOn,
    AlwaysOff,
    Traceidratio,
    ParentbasedAlwaysOn,
    ParentbasedAlwaysOff,
    ParentbasedTraceidratio,
}

/// An address as it may stand in messages: user, password and token are left out.
#[must_use]
pub fn without_login(url: &str) -> String {
    match url.split_once("://").zip(url.rsplit_once('@')) {
        Some(((scheme, _), (_, host))) => format!("{scheme}://{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_who_logs_in() {
        assert_eq!(without_login("nats://me:hunter2@host:4222"), "nats://host:4222");
        assert_eq!(without_login("tls://host"), "tls://host");
    }
}
