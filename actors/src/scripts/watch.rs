//! Notices edits in the folder while the node runs. What has changed is found by reading, never from the event:
//! editors save in too many ways, and events get lost.

use std::path::Path;
use std::rc::Weak;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::State;
use super::folder::write::DRAFT;

/// How long the folder must be quiet before it is read: saving is several events.
const QUIET: Duration = Duration::from_millis(25);
/// Longest wait for quiet, for folders that are never quiet.
const PATIENCE: usize = 8;

/// When files are written that were changed a moment ago.
const LATER: Duration = Duration::from_millis(super::folder::FRESH.as_millis() as u64 + 500);

/// A watcher and what it notices.
pub struct Edits {
    /// Stops watching when dropped.
    _watcher: RecommendedWatcher,
    noticed: mpsc::Receiver<()>,
}

/// Begins to watch.
///
/// # Errors
/// What the system says.
pub fn watch(root: &Path) -> Result<Edits, String> {
    // One place: it only matters whether something happened since the last look.
    let (sender, noticed) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| matters(&event)) {
            let _already_noticed = sender.try_send(());
        }
    })
    .map_err(|why| why.to_string())?;
    watcher.watch(root, RecursiveMode::Recursive).map_err(|why| why.to_string())?;
    Ok(Edits { _watcher: watcher, noticed })
}

/// Whether an event can be an edit. Our own drafts are none.
fn matters(event: &notify::Event) -> bool {
    let is_draft = |path: &std::path::PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(DRAFT))
    };
    !event.kind.is_access() && (event.paths.is_empty() || !event.paths.iter().all(is_draft))
}

/// Compares the folder after each burst of edits, as long as the role lives.
pub async fn follow(state: &Weak<State>, edits: &mut Edits) {
    let mut postponed = state.upgrade().is_some_and(|state| state.library.has_postponed());
    loop {
        let noticed = edits.noticed.recv();
        // Nothing was noticed in that time: then it is time for what was put off.
        let next = if postponed {
            tokio::time::timeout(LATER, noticed).await.unwrap_or(Some(()))
        } else {
            noticed.await
        };
        if next.is_none() {
            return;
        }
        for _ in 0..PATIENCE {
            if tokio::time::timeout(QUIET, edits.noticed.recv()).await.is_err() {
                break;
            }
        }
        let Some(state) = state.upgrade() else { return };
        if let Err(error) = state.scan().await {
            tracing::error!(%error, "files and scripts could not be compared");
        }
        postponed = state.library.has_postponed();
    }
}
