//! What is told of the node as it runs: here the console log, in `telemetry::trace` the traces of calls, which
//! `telemetry::export` sends on.
//!
//! The console log: lines for people on a terminal, JSON lines for machines, always on standard error. What is
//! logged is the business of those who log; standard output belongs to data.

pub mod export;
pub mod trace;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

use crate::config::{Log, LogFormat};

/// What is logged if nobody says otherwise.
const DEFAULT_FILTER: &str = "info,async_nats=warn";

/// Why there is no console log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting `log.filter` or `RUST_LOG` is no filter.
    #[error("log.filter is not a filter")]
    Filter,
    /// Something else in this process logs already.
    #[error("the process has a console log already")]
    Taken(#[from] TryInitError),
}

/// Starts the console log of this process; `colour` allows colours where a terminal shows them.
///
/// # Errors
/// The filter cannot be read, or it was called before.
pub fn start(log: &Log, colour: bool) -> Result<(), Error> {
    use tracing_subscriber::util::SubscriberInitExt;

    let filter = log.filter.as_deref().unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::builder().parse(filter).map_err(|_| Error::Filter)?;
    let terminal = std::io::stderr().is_terminal();
    let format = log.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let console = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => console.with_ansi(colour && terminal).finish().try_init()?,
        LogFormat::Json => console.json().flatten_event(true).with_current_span(false).finish().try_init()?,
    }
    // A panic's own text may hold what was being worked on; its place does not.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked: this is a defect of callboard");
    }));
    Ok(())
}
