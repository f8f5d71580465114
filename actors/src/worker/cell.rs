//! One cell as the node sees it: its pipe, its page, its process, and the calls that stand in its pipe. The cell is
//! hostile: nothing it says is believed about anyone but itself. Which call goes where is the pool's business.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol::abi::LARGEST_OUTPUT;
use protocol::frame::cell::Output;
use protocol::frame::{self, HEADER, Header, Operation, page};
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::death::Exit;
use super::job::Job;
use super::script::Key;

/// Most calls that stand in one cell's pipe.
const DEEPEST: usize = 16;
/// Most bytes of input that stand in one cell's pipe, unless a single call is larger.
const MOST_BYTES: usize = 256 * 1024;

/// Bytes of its page that tell where the script stood.
const FRAMES: usize = page::STDOUT - page::FRAMES;

/// Where a cell stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was asked for.
    Starting,
    /// It has its script and compiles and imports it.
    Loading,
    /// It takes calls.
    Ready,
    /// It is no longer the pool's.
    Gone,
}

/// A call that stands in a cell's pipe.
#[derive(Debug)]
pub struct Flight {
    /// Its number; the answer bears the same.
    pub sequence: u64,
    /// The call; `None` once it was taken back, when the cell's answer no longer matters.
    pub job: Option<Job>,
    /// When it became the first in the pipe.
    pub begun: Option<Instant>,
    /// Until when a call that was answered in its stead, because it was cancelled or late, may come to its end.
    pub grace: Option<Instant>,
    /// What the call asks of the node and has no answer to yet, by the cell's numbers.
    pub asks: HashMap<u32, Pending>,
}

/// A question that is being answered. Dropping it ends that.
#[derive(Debug)]
pub struct Pending(tokio::task::AbortHandle);

impl Pending {
    /// The question that `task` answers.
    #[must_use]
    pub fn new(task: &tokio::task::JoinHandle<()>) -> Self {
        Self(task.abort_handle())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What changes over a cell's life.
#[derive(Debug)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// When it got there.
    pub since: Instant,
    /// How long it took to be forked and locked.
    pub started: Option<Duration>,
    /// How long it took to load its script.
    pub loaded: Option<Duration>,
    /// Its process id and a handle that no other process can come to bear.
    pub process: Option<(i32, OwnedFd)>,
    /// How it ended, once its parent has said so.
    pub exit: Option<Exit>,
    /// The calls in its pipe, in the order of their answers.
    pub flights: VecDeque<Flight>,
    /// Bytes that the socket did not take yet.
    unsent: Vec<u8>,
    next: u64,
    /// Calls that it has answered.
    pub calls: u64,
    /// What a call takes, in µs: a moving average.
    pub pace: f64,
    /// When it last answered.
    pub used: Instant,
    /// Whether it holds one of the pool's places.
    pub holds_place: bool,
    /// Whether it lends its place to others while its call waits for the node.
    pub lent: bool,
    /// Whether no call may stand behind another in its pipe.
    pub alone: bool,
    /// Whether calls were taken back that it has not yet passed over.
    pub withdrawn: bool,
    /// Whether it serves no more calls than those in its pipe.
    pub retires: bool,
    /// When it was asked where its script stands, because it is about to be killed.
    pub asked: Option<Instant>,
    /// Whether its process was found stopped by someone.
    pub stopped: bool,
}

/// A cell.
pub struct Cell {
    /// The node's number for it.
    pub id: u64,
    /// The script that it holds; see `pool`.
    pub key: Key,
    /// When it was asked for.
    pub born: Instant,
    stream: UnixStream,
    page: OwnedFd,
    state: RefCell<State>,
    wake: Notify,
}

/// What the driver of a cell tells the pool.
pub enum Said {
    /// A frame came.
    Frame(Header, Bytes),
    /// The pipe has ended, or what came is no frame.
    End(Option<frame::Error>),
}

/// A new cell's own ends, to be handed to the zygote.
pub struct Ends {
    /// Its end of the pipe.
    pub pipe: OwnedFd,
    /// Its page.
    pub page: OwnedFd,
}

impl Cell {
    /// Makes a cell's pipe and page.
    ///
    /// # Errors
    /// The system has no descriptors or memory left.
    pub fn new(id: u64, key: Key) -> std::io::Result<(Rc<Self>, Ends)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true)?;
        let memory = rustix::fs::memfd_create("callboard-page", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, page::SIZE as u64)?;
        rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(page::FRAMES as u64))?;
        let now = Instant::now();
        let state = State {
            phase: Phase::Starting,
            since: now,
            started: None,
            loaded: None,
            process: None,
            exit: None,
            flights: VecDeque::new(),
            unsent: Vec::new(),
            next: 1,
            calls: 0,
            pace: f64::INFINITY,
            used: now,
            holds_place: false,
            lent: false,
            alone: false,
            withdrawn: false,
            retires: false,
            asked: None,
            stopped: false,
        };
        let page = memory.try_clone()?;
        let cell = Self {
            id,
            key,
            born: now,
            stream: UnixStream::from_std(ours)?,
            page,
            state: RefCell::new(state),
            wake: Notify::new(),
        };
        cell.withdraw_from(u64::MAX)?;
        Ok((Rc::new(cell), Ends { pipe: theirs, page: memory }))
    }

    /// Its state, to look at.
    pub fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    /// Its state, to change.
    pub fn state_mut(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.state_mut();
        match state.phase {
            Phase::Starting => state.started = Some(state.since.elapsed()),
            Phase::Loading => state.loaded = Some(state.since.elapsed()),
            Phase::Ready | Phase::Gone => {}
        }
        state.phase = phase;
        state.since = Instant::now();
        drop(state);
        if phase == Phase::Gone {
            self.wake.notify_one();
        }
    }

    /// Whether it could begin a call at once.
    #[must_use]
    pub fn idle(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Ready && state.flights.is_empty()
    }

    /// Whether another call of `size` bytes may stand behind those in its pipe.
    #[must_use]
    pub fn takes_another(&self, size: usize) -> bool {
        let state = self.state();
        let bytes: usize = state.flights.iter().filter_map(|flight| flight.job.as_ref()).map(Job::size).sum();
        state.phase == Phase::Ready
            && !state.withdrawn
            && !state.retires
            && (!state.alone || state.flights.is_empty())
            && state.flights.len() < depth(state.pace)
            && bytes + size <= MOST_BYTES
    }

    /// Sends a frame that is answered with the sequence it gets.
    ///
    /// # Errors
    /// The frame would be too large; nothing was sent.
    pub fn send(
        &self,
        write: impl FnOnce(u64, &mut Vec<u8>) -> Result<(), frame::Error>,
    ) -> Result<u64, frame::Error> {
        let mut state = self.state.borrow_mut();
        let sequence = state.next;
        write(sequence, &mut state.unsent)?;
        state.next += 1;
        // The driver sends it, together with what else is given to the cell in this turn of the runtime.
        self.wake.notify_one();
        Ok(sequence)
    }

    /// Sends a frame about a call that runs.
    ///
    /// # Errors
    /// The frame would be too large; nothing was sent.
    pub fn tell<T: serde::Serialize>(
        &self,
        operation: Operation,
        sequence: u64,
        body: &T,
    ) -> Result<(), frame::Error> {
        frame::write(&mut self.state.borrow_mut().unsent, operation, sequence, body)?;
        self.wake.notify_one();
        Ok(())
    }

    /// Puts a call into the pipe.
    ///
    /// # Errors
    /// The call's frame would be too large; it is given back.
    pub fn call(&self, job: Job) -> Result<(), (Box<Job>, frame::Error)> {
        let sent = self.send(|sequence, out| job.frame(sequence, out));
        match sent {
            Ok(sequence) => {
                let mut state = self.state_mut();
                let begun = state.flights.is_empty().then(Instant::now);
                state.flights.push_back(Flight {
                    sequence,
                    job: Some(job),
                    begun,
                    grace: None,
                    asks: HashMap::new(),
                });
                Ok(())
            }
            Err(error) => Err((Box::new(job), error)),
        }
    }

    /// Gives the socket what it takes.
    fn flush(&self) {
        let mut state = self.state.borrow_mut();
        while !state.unsent.is_empty() {
            match self.stream.try_write(&state.unsent) {
                Ok(sent) => {
                    state.unsent.drain(..sent);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // The reading side sees the end too and tells the pool.
                Err(_) => state.unsent.clear(),
            }
        }
    }

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

    /// Asks the cell to write on its page where the script stands; an honest one does at once, whatever it is in.
    pub fn ask_where(&self) {
        self.state_mut().asked = Some(Instant::now());
        self.signal(rustix::process::Signal::USR1);
        let stopped = self.was_stopped();
        self.state_mut().stopped = stopped;
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

    /// Ends its process at once. One that was only asked for is ended when its process is known.
    pub fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some((_, pidfd)) = &self.state().process {
            let _gone_already = rustix::process::pidfd_send_signal(pidfd.as_fd(), signal);
        }
    }

    /// Sends what is given to the cell and reads frames, until the pipe ends or the pool lets the cell go.
    pub async fn drive(&self, said: impl Fn(Said)) {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        loop {
            self.flush();
            let writing = !self.state().unsent.is_empty();
            tokio::select! {
                biased;
                ready = self.stream.readable() => {
                    if ready.is_err() {
                        break;
                    }
                }
                _ = self.stream.writable(), if writing => continue,
                () = self.wake.notified() => {
                    if self.state().phase == Phase::Gone {
                        return;
                    }
                    continue;
                }
            }
            match self.stream.try_read_buf(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            }
            if let Err(error) = frames(&mut buffer, |header, body| said(Said::Frame(header, body))) {
                said(Said::End(Some(error)));
                return;
            }
            if self.state().phase == Phase::Gone {
                return;
            }
        }
        said(Said::End(None));
    }
}

/// The line in the innermost frame of the script `slug` that has one in what a fault handler wrote:
/// `File "slug.py", line 12 in render`, innermost frame first. After a crash the line may be `???`.
fn line_in(frames: &str, slug: &str) -> Option<u32> {
    let start = format!("File \"{slug}.py\", line ");
    frames.lines().find_map(|frame| frame.trim_start().strip_prefix(&start)?.split(' ').next()?.parse().ok())
}

/// Hands on each whole frame at the front of `buffer`.
fn frames(buffer: &mut BytesMut, each: impl Fn(Header, Bytes)) -> Result<(), frame::Error> {
    while let Some(bytes) = buffer.first_chunk::<HEADER>() {
        let header = Header::decode(*bytes)?;
        let length = header.length as usize;
        if buffer.len() < HEADER + length {
            buffer.reserve(HEADER + length - buffer.len());
            return Ok(());
        }
        let whole = buffer.split_to(HEADER + length).freeze();
        each(header, whole.slice(HEADER..));
    }
    // Room for the next reading; a buffer without any would look like an ended pipe.
    buffer.reserve(4 * 1024);
    Ok(())
}

/// How many calls may stand in the pipe of a cell of this pace: many short ones, no second behind a long one.
fn depth(pace: f64) -> usize {
    match Duration::try_from_secs_f64(pace / 1e6) {
        Ok(pace) if pace < Duration::from_micros(500) => DEEPEST,
        Ok(pace) if pace < Duration::from_millis(2) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_in_order_however_they_are_cut() {
        let mut bytes = Vec::new();
        for sequence in 1..4 {
            frame::write(&mut bytes, Operation::Skipped, sequence, &frame::cell::Skipped { late: false })
                .unwrap();
        }
        for cut in 0..bytes.len() {
            let seen = RefCell::new(Vec::new());
            let mut buffer = BytesMut::from(&bytes[..cut]);
            frames(&mut buffer, |header, _| seen.borrow_mut().push(header.sequence)).unwrap();
            buffer.extend_from_slice(&bytes[cut..]);
            frames(&mut buffer, |header, _| seen.borrow_mut().push(header.sequence)).unwrap();
            assert_eq!(*seen.borrow(), [1, 2, 3]);
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_before_its_body_comes() {
        let mut buffer = BytesMut::from(&[0xff; HEADER][..]);
        frames(&mut buffer, |_, _| panic!("no frame is there")).unwrap_err();
    }

    #[test]
    fn the_innermost_line_of_the_script_itself_is_found() {
        let frames = "Current thread 0x00007f (most recent call first):\n  File \"/lib/re.py\", line 9 in match\n  File \"a.py\", line 12 in inner\n  File \"a.py\", line 3 in render\n";
        assert_eq!(line_in(frames, "a"), Some(12));
        assert_eq!(line_in(frames, "b"), None);
        assert_eq!(line_in("File \"a.py\", line ???", "a"), None);
        assert_eq!(line_in("File \"a.py\", line ??? in f\nFile \"a.py\", line 7 in g", "a"), Some(7));
    }

    #[test]
    fn only_short_calls_stand_behind_each_other() {
        assert_eq!([depth(50.0), depth(1_000.0), depth(9_000.0), depth(f64::INFINITY)], [16, 4, 1, 1]);
    }
}
