//! The page of memory that the cell shares with the node: what has begun, and what need not begin any more.
//! Its layout is `protocol::frame::page`; the calls themselves live in `cell`.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::frame::page;

/// The mapped page.
pub(crate) struct Page {
    started: &'static AtomicU64,
    withdrawn: &'static AtomicU64,
}

impl Page {
    /// Maps the page for the rest of this process's life.
    ///
    /// # Errors
    /// The file is no whole page, or the system refuses.
    pub(crate) fn map(file: &OwnedFd) -> io::Result<Self> {
        let start = crate::sys::share(file, page::SIZE)?;
        Ok(Self { started: word(start, page::STARTED), withdrawn: word(start, page::WITHDRAWN) })
    }

    /// Notes the call that is about to begin; whether it still may.
    ///
    /// The node writes `WITHDRAWN` and then reads `STARTED`, this side the other way round: with one order for all of
    /// it, a call that the node takes for not begun is never begun.
    pub(crate) fn begin(&self, sequence: u64) -> bool {
        self.started.store(sequence.to_le(), Ordering::SeqCst);
        sequence < u64::from_le(self.withdrawn.load(Ordering::SeqCst))
    }
}

/// The word at `offset` of the page.
fn word(start: NonNull<u8>, offset: usize) -> &'static AtomicU64 {
    const { assert!(page::STARTED + 8 <= page::SIZE && page::WITHDRAWN + 8 <= page::SIZE) }
    const { assert!(page::STARTED.is_multiple_of(8) && page::WITHDRAWN.is_multiple_of(8)) }
    // SAFETY: the mapping is never taken back, begins at a border of pages, and the offset is one of the two that are
    // checked above; other processes change the word only as a whole.
    unsafe { start.add(offset).cast().as_ref() }
}
