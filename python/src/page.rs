//! The memory that the cell shares with the node: what has begun, what need not begin any more, what was printed and what
//! was refused. Its layout is `protocol::frame::page`; the calls themselves live in `cell`.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::abi::LARGEST_OUTPUT;
use protocol::frame::page;

/// The mapped memory.
pub(crate) struct Page {
    start: NonNull<u8>,
    started: &'static AtomicU64,
    withdrawn: &'static AtomicU64,
    refused: &'static Name,
    cancelled: &'static AtomicU64,
    waits: &'static AtomicU64,
}

impl Page {
    /// Maps it for the rest of this process's life.
    ///
    /// # Errors
    /// The file is shorter, or the system refuses.
    pub(crate) fn map(file: &OwnedFd) -> io::Result<Self> {
        const { assert!(page::REFUSED_SIZE == size_of::<Name>() && page::REFUSED.is_multiple_of(8)) }
        let start = crate::sys::share(file, page::SIZE)?;
        // SAFETY: as in `word`; the place is wide enough, as is checked above.
        let refused = unsafe { start.add(page::REFUSED).cast().as_ref() };
        Ok(Self {
            start,
            started: word::<{ page::STARTED }>(start),
            withdrawn: word::<{ page::WITHDRAWN }>(start),
            refused,
            cancelled: word::<{ page::CANCELLED }>(start),
            waits: word::<{ page::WAITS }>(start),
        })
    }

    /// Whether the running call should end.
    pub(crate) fn is_cancelled(&self, sequence: u64) -> bool {
        u64::from_le(self.cancelled.load(Ordering::SeqCst)) == sequence
    }

    /// Notes that the running call waits for something to happen; zero, that it runs again.
    pub(crate) fn waits(&self, sequence: u64) {
        self.waits.store(sequence.to_le(), Ordering::SeqCst);
    }

    /// Notes the call that is about to begin; whether it still may.
    ///
    /// The node writes `WITHDRAWN` and then reads `STARTED`, this side the other way round: with one order for all of
    /// it, a call that the node takes for not begun is never begun.
    pub(crate) fn begin(&self, sequence: u64) -> bool {
        self.refused.clear();
        self.started.store(sequence.to_le(), Ordering::SeqCst);
        sequence < u64::from_le(self.withdrawn.load(Ordering::SeqCst))
    }

    /// Where what was refused is noted.
    pub(crate) const fn refused(&self) -> &'static Name {
        self.refused
    }

    /// Where standard output is kept.
    pub(crate) fn stdout(&self) -> Text {
        self.text::<{ page::STDOUT_LENGTH }, { page::STDOUT }>()
    }

    /// Where standard error is kept.
    pub(crate) fn stderr(&self) -> Text {
        self.text::<{ page::STDERR_LENGTH }, { page::STDERR }>()
    }

    fn text<const LENGTH: usize, const BYTES: usize>(&self) -> Text {
        const { assert!(BYTES + LARGEST_OUTPUT <= page::SIZE) }
        // SAFETY: the place is inside of the mapping, as is checked above.
        Text { length: word::<LENGTH>(self.start), bytes: unsafe { self.start.add(BYTES) } }
    }
}

/// The word at `OFFSET`.
fn word<const OFFSET: usize>(start: NonNull<u8>) -> &'static AtomicU64 {
    const { assert!(OFFSET + 8 <= page::FRAMES && OFFSET.is_multiple_of(8)) }
    // SAFETY: the mapping is never taken back, begins at a border of pages, and the offset is checked above; other
    // processes change the word only as a whole.
    unsafe { start.add(OFFSET).cast().as_ref() }
}

/// A short name on the page.
pub(crate) struct Name([AtomicU64; page::REFUSED_SIZE / 8]);

impl Name {
    /// Writes a name, as far as it fits. May be called from a signal handler.
    pub(crate) fn set(&self, name: &str) {
        let mut parts = name.as_bytes().chunks(8);
        for word in &self.0 {
            let mut bytes = [0; 8];
            let part = parts.next().unwrap_or_default();
            bytes.iter_mut().zip(part).for_each(|(byte, part)| *byte = *part);
            word.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
    }

    /// Forgets the name, if there is one.
    fn clear(&self) {
        if self.0.first().is_some_and(|first| first.load(Ordering::Relaxed) != 0) {
            self.set("");
        }
    }

    /// The name; `None` if there is none.
    pub(crate) fn get(&self) -> Option<String> {
        let bytes = self.0.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes());
        let name: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        String::from_utf8(name).ok().filter(|name| !name.is_empty())
    }
}

/// Text of limited length on the page. Only one thread uses it: a cell has no other.
pub(crate) struct Text {
    length: &'static AtomicU64,
    bytes: NonNull<u8>,
}

// SAFETY: the memory stays for the rest of the process's life and belongs to no thread.
unsafe impl Send for Text {}
// SAFETY: as above; a cell cannot start a second thread.
unsafe impl Sync for Text {}

impl Text {
    fn state(&self) -> (usize, bool) {
        let word = u64::from_le(self.length.load(Ordering::Acquire));
        let length = usize::try_from(word & !page::CUT).unwrap_or(usize::MAX);
        (length.min(LARGEST_OUTPUT), word & page::CUT != 0)
    }

    fn set(&self, length: usize, cut: bool) {
        let word = length as u64 | if cut { page::CUT } else { 0 };
        self.length.store(word.to_le(), Ordering::Release);
    }

    /// How many bytes still fit; nothing once something was cut.
    pub(crate) fn free(&self) -> Option<usize> {
        let (length, cut) = self.state();
        if cut { None } else { Some(LARGEST_OUTPUT - length) }
    }

    /// Keeps text that fits. `cut` says that more was written.
    pub(crate) fn push(&self, text: &str, cut: bool) {
        let (length, _) = self.state();
        let fits = text.len().min(LARGEST_OUTPUT - length);
        // SAFETY: `length + fits` is at most the size of the place, and nothing else in this process writes there.
        unsafe {
            self.bytes.add(length).copy_from_nonoverlapping(NonNull::from(text.as_bytes()).cast(), fits)
        };
        self.set(length + fits, cut);
    }

    /// The text since the last time, and whether it was cut.
    pub(crate) fn take(&self) -> (String, bool) {
        let (length, cut) = self.state();
        if length == 0 && !cut {
            return (String::new(), false);
        }
        // SAFETY: the bytes are inside of the mapping; nothing in this process writes to them meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), length) };
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.set(0, false);
        (text, cut)
    }
}
