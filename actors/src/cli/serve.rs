//! `callboard dev` and `callboard node`: a node, with a broker of its own where none is named, from its start to its
//! graceful stop. What a node is made of is the business of `node`.

use std::path::PathBuf;
use std::time::Duration;

use callboard::broker::Broker;
use callboard::config::Config;
use callboard::data;
use callboard::node::{self, Stopped};
use callboard::telemetry;
use clap::Args;
use protocol::actions::Role;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::flags::{self, OfNode};
use super::{Error, error, out};

/// How long a node whose broker has died may take to stop: nobody can be answered any more.
const WITHOUT_BROKER: Duration = Duration::from_secs(5);

/// Everything on this machine.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where scripts and other files are kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep nothing: a data folder that is removed at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// The port of its own broker, on 127.0.0.1; 0 takes a free one. 4222 if left out.
    #[arg(long)]
    port: Option<u16>,
    /// A broker that runs already, instead of its own.
    #[arg(long, value_name = "URL", conflicts_with = "port")]
    nats: Option<String>,
    /// The nats-server program for its own broker; looked for on the search path if left out.
    #[arg(long, value_name = "PATH")]
    nats_server: Option<PathBuf>,
    #[command(flatten)]
    of_node: OfNode,
}

/// A node on a broker that runs already.
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// What it serves: worker, scripts.
    #[arg(long, value_delimiter = ',')]
    roles: Option<Vec<String>>,
    /// The broker's address; else NATS_URL.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Where scripts and other files are kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    of_node: OfNode,
}

impl Dev {
    /// Runs until it is told to stop.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let temporary = if self.ephemeral { Some(temporary_folder()?) } else { None };
        let ephemeral =
            flags::path("node.data", "--ephemeral", temporary.as_ref().map(tempfile::TempDir::path))?;
        let given = [
            flags::path("node.data", "--data", self.data.as_deref())?.or(ephemeral),
            flags::flag("nats.port", "--port", &self.port),
            flags::flag("nats.url", "--nats", &self.nats),
            flags::path("nats.server", "--nats-server", self.nats_server.as_deref())?,
        ];
        let loaded = self.of_node.load(given.into_iter().flatten().collect())?;
        telemetry::start(&loaded.config.log, loaded.colour)?;
        serve(loaded.config).await
    }
}

impl Node {
    /// Runs until it is told to stop.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let given = [
            flags::flag("node.roles", "--roles", &self.roles),
            flags::flag("nats.url", "--nats", &self.nats),
            flags::path("node.data", "--data", self.data.as_deref())?,
        ];
        let loaded = self.of_node.load(given.into_iter().flatten().collect())?;
        if loaded.config.nats.url.is_none() {
            return Err(Error::Usage(
                "name the broker with --nats or NATS_URL, or start one with callboard dev",
            ));
        }
        telemetry::start(&loaded.config.log, loaded.colour)?;
        serve(loaded.config).await
    }
}

/// A folder that is removed when it is dropped.
pub(crate) fn temporary_folder() -> Result<tempfile::TempDir, Error> {
    let made = tempfile::Builder::new().prefix("callboard-").tempdir();
    made.map_err(|source| Error::System { what: "a temporary folder cannot be made", source })
}

async fn serve(config: Config) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    if config.worker.unlocked {
        tracing::warn!("scripts may run unlocked: they can do whatever this user can");
    }
    let mut running = tokio::select! {
        running = Running::start(config) => running?,
        _ = signals.next() => return Ok(0),
    };
    out::data(&format!(
        "ready {} node={}",
        callboard::config::without_login(running.node.url()),
        running.node.name()
    ))?;
    let status = tokio::select! {
        _ = signals.next() => 0,
        status = running.ended() => status,
    };
    // A second signal means that the person does not want to wait for what runs.
    tokio::select! {
        () = running.stop() => Ok(status),
        status = signals.next() => Ok(status),
    }
}

/// A node, and the broker if it is its own.
pub(crate) struct Running {
    /// Held until all else has ended.
    data: Option<data::Folder>,
    broker: Option<Broker>,
    /// The node.
    pub(crate) node: node::Node,
    broker_has_ended: bool,
}

impl Running {
    /// Starts a broker, unless one is named, and a node on it.
    pub(crate) async fn start(mut config: Config) -> Result<Self, Error> {
        // A node that only runs scripts keeps nothing there.
        let keeps = config.nats.url.is_none() || config.node.roles.contains(&Role::Scripts);
        let data = config.node.data.as_deref().filter(|_| keeps).map(data::Folder::hold).transpose()?;
        let broker = match &config.nats.url {
            Some(_) => None,
            None => Some(Broker::start(&config).await?),
        };
        if let Some(broker) = &broker {
            config.nats.url = Some(broker.url().to_owned());
        }
        let node = node::Node::start(config).await?;
        Ok(Self { data, broker, node, broker_has_ended: false })
    }

    /// Resolves with an exit status when it cannot or need not go on.
    async fn ended(&mut self) -> u8 {
        let broker = async {
            match &mut self.broker {
                Some(broker) => broker.ended().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            stopped = self.node.stopped() => Some(stopped),
            () = broker => None,
        };
        match ended {
            Some(Stopped::PartFailed) => error::SOFTWARE,
            Some(Stopped::Drained) => 0,
            None => {
                self.broker_has_ended = true;
                error::UNREACHABLE
            }
        }
    }

    /// Finishes what runs, then stops node and broker.
    pub(crate) async fn stop(self) {
        if self.broker_has_ended {
            let _in_time = tokio::time::timeout(WITHOUT_BROKER, self.node.stop()).await;
            return;
        }
        self.node.stop().await;
        // Its connection goes with it, and does not see the broker go.
        drop(self.node);
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        drop(self.data);
    }
}

/// Ctrl-C and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to hear them.
    pub(crate) fn listen() -> Result<Self, Error> {
        let listen =
            |kind| signal(kind).map_err(|source| Error::System { what: "signals cannot be heard", source });
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one, and answers the exit status of a process that it ends.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}
