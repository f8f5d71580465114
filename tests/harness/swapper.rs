//! Somebody who swaps files and folders for links while a node reads and writes them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Swaps until it is dropped.
#[derive(Debug)]
pub struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapper {
    /// Swaps the file `inside` for a link to the file `outside`, and the folder of `inside` for a link to that of `outside`, and
    /// back, as fast as it can.
    #[must_use]
    pub fn start(inside: &Path, outside: &Path) -> Self {
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (inside, outside) = (inside.to_owned(), outside.to_owned());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                swap(&inside, &outside);
                swap(inside.parent().expect("a folder"), outside.parent().expect("a folder"));
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    /// How often it has swapped both.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }
}

/// Puts a link to `outside` in the place of `inside` for a moment. A node may put something else there in between; then it stays.
fn swap(inside: &Path, outside: &Path) {
    let beside = |ending: &str| -> PathBuf {
        let name = inside.file_name().expect("a name").to_string_lossy();
        inside.with_file_name(format!(".{name}.{ending}"))
    };
    let (link, aside) = (beside("link"), beside("aside"));
    let _left_over = std::fs::remove_file(&link);
    if symlink(outside, &link).is_err() || std::fs::rename(inside, &aside).is_err() {
        return;
    }
    let _in_the_way = std::fs::rename(&link, inside);
    std::thread::yield_now();
    let is_link = std::fs::symlink_metadata(inside).is_ok_and(|found| found.is_symlink());
    if is_link {
        let _gone = std::fs::remove_file(inside);
    }
    let _in_the_way = std::fs::rename(&aside, inside);
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
