//! A look at what a worker would have here: starts a zygote, has it fork and lock a throw-away cell, which
//! tries what no cell may do, and ends both.

use std::time::Duration;

use protocol::Failure;
use protocol::frame::cell::Attempted;

use super::ask::Asker;
use super::job::{Done, Work};
use super::pool::{Pool, Runs};
use super::{bounds, python};
use crate::call::{Deadline, Origin};
use crate::config::Config;

/// Longest wait for the zygote, and then for the cell.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The interpreter's version.
    pub python: String,
    /// The layers of the lock that are in force in a cell.
    pub layers: Vec<String>,
    /// The forbidden things that a cell tried and that were refused, by name.
    pub refused: Vec<String>,
}

/// Why there was nothing to find.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The interpreter or the extension module is missing.
    #[error(transparent)]
    Python(#[from] python::Error),
    /// The zygote did not become ready.
    #[error("the zygote did not become ready; the log lines say why")]
    Zygote,
    /// Cells can do what they must not.
    #[error("the lock does not hold here: a cell could {}", .0.join(", "))]
    Open(Vec<String>),
    /// No cell could be had.
    #[error("no cell can be used: {0}")]
    Cell(String),
}

/// Looks.
///
/// # Errors
/// What is missing.
pub async fn probe(config: &Config) -> Result<Probe, Error> {
    let command = python::command(&config.python).await?;
    let pool = Pool::new(bounds(&config.worker), command, Asker::Nobody);
    let found = try_cell(&pool).await;
    pool.stop().await;
    found
}

async fn try_cell(pool: &Pool) -> Result<Probe, Error> {
    tokio::time::timeout(PATIENCE, pool.ready()).await.map_err(|_| Error::Zygote)?;
    let refused = check(pool).await?;
    let status = pool.status();
    Ok(Probe { python: status.python.unwrap_or_default(), layers: status.layers, refused })
}

/// Has a cell forked and locked, and has it try what no cell may do; what was refused, by name.
///
/// # Errors
/// No cell could be had, or it could do something of that and must not.
pub async fn check(pool: &Pool) -> Result<Vec<String>, Error> {
    let why = |failure: Failure| Error::Cell(failure.reason().unwrap_or(failure.code().as_str()).to_owned());
    let deadline = Deadline::within(PATIENCE);
    let done = pool.run(Runs::Compiler, Work::Attempt, Origin::own(deadline)).await.map_err(why)?;
    let Done::Attempted(attempted) = done else { return Err(Error::Cell("protocol".to_owned())) };
    pool.note_attempts(attempted.clone());
    match attempted {
        Attempted { allowed, .. } if !allowed.is_empty() && !pool.runs_unlocked() => {
            Err(Error::Open(allowed))
        }
        Attempted { refused, .. } => Ok(refused),
    }
}
