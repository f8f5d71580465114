//! Faults on purpose: what the node does while its parts, its cells or its broker fail. Each test has a node of its own
//! and runs alone, prints what it injected and what came of it, and has a control that shows that its check can fail.
//!
//! The short form runs with all other suites; the feature `long` gives each fault more time and more rounds.

mod broker;
mod drain;
mod floods;
mod kills;
mod load;
mod panics;
#[cfg(feature = "long")]
mod power;
#[cfg(feature = "long")]
mod scripts;

use tokio::sync::{Mutex, MutexGuard};

/// One test at a time: figures and times of one would mean nothing beside another.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// A figure for the short form or for the long one.
const fn form<T: Copy>(short: T, long: T) -> T {
    if cfg!(feature = "long") { long } else { short }
}
