//! Says every two seconds that the node lives, and hears the same of others. What is known of them is in `cluster`.

use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use protocol::channels::supervisor_status::{Cell, NamedPool, Pool};
use protocol::heartbeat::{EVERY_MS, Heartbeat};

use super::Watched;

/// How often a node says that it lives.
const EVERY: Duration = Duration::from_millis(EVERY_MS);
/// Least time between two heartbeats, however many nodes come and go.
const LEAST: Duration = Duration::from_millis(100);

/// Says that the node lives, as long as it does.
pub async fn beat(watched: Weak<Watched>) {
    while let Some(watched) = watched.upgrade() {
        say(&watched);
        let soon = watched.cluster.beats();
        drop(watched);
        tokio::time::sleep(LEAST).await;
        let _told_or_time = tokio::time::timeout(EVERY - LEAST, soon.notified()).await;
    }
}

/// Makes known that the node stops, so that nobody waits for it.
pub fn leave(watched: &Watched) {
    watched.leaving.set(true);
    say(watched);
}

fn say(watched: &Watched) {
    // Old ones would all arrive together once the broker is back, and say what is no longer so.
    if !watched.bus.is_connected() {
        return;
    }
    watched.bus.tell(&format!("supervisor.heartbeat.{}", watched.bus.node), &of(watched));
}

fn of(watched: &Watched) -> Heartbeat {
    let pool = (watched.pool)();
    let pools = (watched.pools)();
    let cells = pool.iter().chain(pools.iter().map(|named| &named.pool)).flat_map(|pool| &pool.cells);
    Heartbeat {
        node: watched.bus.node.clone(),
        id: watched.bus.id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles: watched.roles.clone(),
        ready: watched.ready() && !watched.leaving.get(),
        leaving: watched.leaving.get(),
        places: pool.as_ref().map(|pool| pool.places),
        free: pool.as_ref().map(Pool::free),
        queued: pool.as_ref().map(|pool| pool.queued),
        pools: pools.iter().map(NamedPool::room).collect(),
        warm: cells.map(held).collect(),
    }
}

/// What a cell holds. Actions are no project's.
fn held(cell: &Cell) -> String {
    match cell.project.as_str() {
        "" => cell.script.clone(),
        project => format!("{project}/{}", cell.script),
    }
}

/// Hears the heartbeats of all nodes, as long as this one lives.
pub fn listen(watched: &Rc<Watched>) {
    let mut beats = watched.bus.hear("supervisor.heartbeat.*");
    let watched = Rc::downgrade(watched);
    tokio::task::spawn_local(async move {
        while let Some(message) = beats.next().await {
            let Some(watched) = watched.upgrade() else { break };
            match serde_json::from_slice::<Heartbeat>(message.payload()) {
                Ok(beat) if beat.id != watched.bus.id => watched.cluster.hear(beat),
                Ok(_) => {}
                Err(_) => tracing::debug!("a heartbeat that cannot be read"),
            }
        }
    });
}
