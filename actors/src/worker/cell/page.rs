//! The memory that a cell shares with the node, as the node reads and writes it: what has begun, what is taken back, where
//! the script stands, what was refused and printed. Nothing that stands there is believed about anyone but that cell.

use std::time::Instant;

use protocol::abi::LARGEST_OUTPUT;
use protocol::frame::cell::Output;
use protocol::frame::page;

use super::Cell;

/// Bytes of its page that tell where the script stood.
const FRAMES: usize = page::STDOUT - page::FRAMES;

impl Cell {
    /// Whether the cell has noted on its page that it began the call of this number.
    #[must_use]
    pub fn has_begun(&self, sequence: u64) -> bool {
        let mut bytes = [0; 8];
        let read = rustix::io::pread(&self.page, &mut bytes, page::STARTED as u64);
        read.is_ok_and(|read| read == 8) && u64::from_le_bytes(bytes) >= sequence
    }

    /// Whether the cell has noted on its page that the call of this number waits for something to happen.
    #[must_use]
    pub fn waits(&self, sequence: u64) -> bool {
        let mut bytes = [0; 8];
        let read = rustix::io::pread(&self.page, &mut bytes, page::WAITS as u64);
        read.is_ok_and(|read| read == 8) && u64::from_le_bytes(bytes) == sequence
    }

    /// Notes on the page that the call of this number should end.
    ///
    /// # Errors
    /// The page cannot be written.
    pub fn note_cancelled(&self, sequence: u64) -> std::io::Result<()> {
        rustix::io::pwrite(&self.page, &sequence.to_le_bytes(), page::CANCELLED as u64)?;
        Ok(())
    }

    /// Asks the cell to write on its page where the script stands; an honest one does at once, whatever it is in. Between
    /// two frames of the interpreter it may find none: then it is asked again.
    pub fn ask_where(&self) {
        self.state_mut().asked.get_or_insert_with(Instant::now);
        self.signal(rustix::process::Signal::USR1);
        let stopped = self.was_stopped();
        self.state_mut().stopped |= stopped;
    }

    /// Takes off its page what it wrote about a call that has ended after all.
    pub fn forget_where(&self) {
        let blank = [0; FRAMES];
        let wiped = rustix::io::pwrite(&self.page, &blank, page::FRAMES as u64);
        let rewound = rustix::fs::seek(&self.page, rustix::fs::SeekFrom::Start(page::FRAMES as u64));
        if wiped.is_err() || rewound.is_err() {
            tracing::warn!("a cell's page cannot be written");
        }
    }

    /// The line of the script's body at which it stood when it was asked, or crashed.
    #[must_use]
    pub fn line(&self, slug: &str) -> Option<u32> {
        line_in(&String::from_utf8_lossy(&self.read(page::FRAMES, FRAMES)), slug)
    }

    /// What its lock refused last to the call that runs.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let name = String::from_utf8(self.read(page::REFUSED, page::REFUSED_SIZE)).ok()?;
        let name = name.trim_end_matches('\0');
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
    }

    /// What the call that runs has printed so far.
    #[must_use]
    pub fn output(&self) -> Output {
        let text = |length: usize, place: usize| {
            let word = self.read(length, 8).try_into().map_or(0, u64::from_le_bytes);
            let kept = usize::try_from(word & !page::CUT).unwrap_or(usize::MAX).min(LARGEST_OUTPUT);
            let mut text = String::from_utf8_lossy(&self.read(place, kept)).into_owned();
            let cut = word & page::CUT != 0;
            if cut {
                text.push_str("\n[cut]\n");
            }
            (text, cut)
        };
        let (stdout, stdout_cut) = text(page::STDOUT_LENGTH, page::STDOUT);
        let (stderr, stderr_cut) = text(page::STDERR_LENGTH, page::STDERR);
        Output { stdout, stderr, truncated: stdout_cut || stderr_cut }
    }

    /// Bytes of its page; fewer where there are not so many.
    fn read(&self, place: usize, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let read = rustix::io::pread(&self.page, &mut bytes, place as u64).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    /// Whether someone has stopped its process. It goes on then, so that it can say where it stands.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        let Some(pid) = self.state().process.as_ref().map(|(pid, _)| *pid) else { return false };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which is in parentheses and may hold anything.
        let stopped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']));
        if stopped {
            self.signal(rustix::process::Signal::CONT);
        }
        stopped
    }

    /// The most memory that its process has had at once, in bytes.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        let (pid, _) = *self.state().process.as_ref()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
    }

    /// Notes on the page that calls from `sequence` on are taken back.
    ///
    /// # Errors
    /// The page cannot be written.
    pub fn withdraw_from(&self, sequence: u64) -> std::io::Result<()> {
        rustix::io::pwrite(&self.page, &sequence.to_le_bytes(), page::WITHDRAWN as u64)?;
        Ok(())
    }
}

/// The line in the innermost frame of the script `slug` that has one in what a fault handler wrote:
/// `File "slug.py", line 12 in render`, innermost frame first. After a crash the line may be `???`.
fn line_in(frames: &str, slug: &str) -> Option<u32> {
    let start = format!("File \"{slug}.py\", line ");
    frames.lines().find_map(|frame| frame.trim_start().strip_prefix(&start)?.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_line_of_the_script_itself_is_found() {
        let frames = "Current thread 0x00007f (most recent call first):\n  File \"/lib/re.py\", line 9 in match\n  File \"a.py\", line 12 in inner\n  File \"a.py\", line 3 in render\n";
        assert_eq!(line_in(frames, "a"), Some(12));
        assert_eq!(line_in(frames, "b"), None);
        assert_eq!(line_in("File \"a.py\", line ???", "a"), None);
        assert_eq!(line_in("File \"a.py\", line ??? in f\nFile \"a.py\", line 7 in g", "a"), Some(7));
    }
}
