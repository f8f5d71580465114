//! One cell as the node sees it: its pipe, its page, its process, and the calls that stand in its pipe. The cell is
//! hostile: nothing it says is believed about anyone but itself. Which call goes where is the pool's business.

mod page;

use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol::frame::{self, HEADER, Header, Operation, page as shared};
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

use super::death::Exit;
use super::job::Job;
use super::script::Key;
use crate::bus::link::{Expected, Upcoming};

/// Most calls that stand in one cell's pipe.
const DEEPEST: usize = 16;
/// Most bytes of input that stand in one cell's pipe, unless a single call is larger.
const MOST_BYTES: usize = 256 * 1024;

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
    pub asks: BTreeMap<u32, Pending>,
    /// Its answer is to come soon: those before it are short.
    _expected: Option<Expected>,
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
    /// Size of the largest call that it was given, in bytes.
    largest: usize,
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
    /// The half of its pipe that the driver reads; gone once it does.
    reader: RefCell<Option<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
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
        rustix::fs::ftruncate(&memory, shared::SIZE as u64)?;
        rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(shared::FRAMES as u64))?;
        let now = Instant::now();
        let state = State {
            phase: Phase::Starting,
            since: now,
            started: None,
            loaded: None,
            process: None,
            exit: None,
            flights: VecDeque::new(),
            largest: 0,
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
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        let cell = Self {
            id,
            key,
            born: now,
            reader: RefCell::new(Some(reader)),
            writer,
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
        let bytes =
            || state.flights.iter().filter_map(|flight| flight.job.as_ref()).map(Job::size).sum::<usize>();
        // Mostly all are so small that nobody needs to know how small.
        let fits = |depth: usize| {
            (depth + 1) * state.largest.max(size) <= MOST_BYTES || bytes() + size <= MOST_BYTES
        };
        state.phase == Phase::Ready
            && !state.withdrawn
            && !state.retires
            && (!state.alone || state.flights.is_empty())
            && state.flights.len() < depth(state.pace)
            && fits(state.flights.len())
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

    /// Puts a call into the pipe. If others stand there, which are short then, its answer is about to come.
    ///
    /// # Errors
    /// The call's frame would be too large; it is given back.
    pub fn call(&self, job: Job, upcoming: &Upcoming) -> Result<(), (Box<Job>, frame::Error)> {
        let sent = self.send(|sequence, out| job.frame(sequence, out));
        match sent {
            Ok(sequence) => {
                let mut state = self.state_mut();
                let begun = state.flights.is_empty().then(Instant::now);
                state.largest = state.largest.max(job.size());
                state.flights.push_back(Flight {
                    sequence,
                    job: Some(job),
                    begun,
                    grace: None,
                    asks: BTreeMap::new(),
                    _expected: begun.is_none().then(|| upcoming.expect()),
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
            match self.writer.try_write(&state.unsent) {
                Ok(sent) => {
                    state.unsent.drain(..sent);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // The reading side sees the end too and tells the pool.
                Err(_) => state.unsent.clear(),
            }
        }
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
        let Some(mut reader) = self.reader.take() else { return };
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        loop {
            self.flush();
            let writing = !self.state().unsent.is_empty();
            tokio::select! {
                biased;
                read = reader.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
                _ = self.writer.writable(), if writing => continue,
                () = self.wake.notified() => {
                    if self.state().phase == Phase::Gone {
                        return;
                    }
                    continue;
                }
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

    #[actix_rt::test]
    async fn the_answer_of_a_call_behind_another_is_expected_until_it_leaves_the_pipe() {
        let job = || {
            let deadline = crate::call::Deadline::within(Duration::from_secs(5));
            let trace = crate::telemetry::trace::Trace::default();
            let project = protocol::envelope::Project::new("p").unwrap();
            let request = protocol::envelope::RequestId::generate();
            Job {
                runs: crate::worker::pool::Runs::Compiler,
                work: crate::worker::job::Work::Attempt,
                origin: crate::call::Origin::new(request, protocol::Id::generate(), project, trace, deadline),
                queued: Instant::now(),
                losses: 0,
                reply: tokio::sync::oneshot::channel().0,
            }
        };
        let (upcoming, (cell, _ends)) = (Upcoming::default(), Cell::new(1, Key::COMPILER).unwrap());
        for expected in [0, 1, 2] {
            cell.call(job(), &upcoming).unwrap();
            assert_eq!(upcoming.count(), expected);
        }
        for expected in [2, 1, 0] {
            cell.state_mut().flights.pop_front();
            assert_eq!(upcoming.count(), expected);
        }
    }

    #[test]
    fn only_short_calls_stand_behind_each_other() {
        assert_eq!([depth(50.0), depth(1_000.0), depth(9_000.0), depth(f64::INFINITY)], [16, 4, 1, 1]);
    }
}
