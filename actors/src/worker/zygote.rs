//! The zygote as the node sees it: a process that forks cells on request. What runs in it is in the crate `python`;
//! who needs a cell when is the pool's business.

use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use protocol::abi;
use protocol::frame;
use protocol::frame::control::{FromZygote, LARGEST, Limits, Ready, ToZygote};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Interest};
use tokio::net::UnixDatagram;

/// Loads the extension and hands over to it.
const BOOT: &str = include_str!("../../../python/callboard/boot.py");
/// Longest wait for a zygote that preloads its modules.
const START: Duration = Duration::from_secs(20);

/// Why there is no zygote.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot start {python}: {why}")]
    Spawn {
        /// The interpreter.
        python: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// It did not become ready.
    #[error("the zygote did not become ready: {0}")]
    Start(&'static str),
    /// It is of another version than the node.
    #[error("the extension module is of another version (pipe {protocol}, ABI {abi}): install both together")]
    Version {
        /// Its pipe.
        protocol: u32,
        /// Its ABI.
        abi: u32,
    },
}

/// What of the machine a zygote and its cells stay in; all else they leave for namespaces of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    Closed,
    /// The file systems: its cells were granted folders. Which, is the business of each cell's own lock.
    Files,
    /// The network: its cells were granted that, or ports of it, which again is for their own locks.
    Network,
    /// Both.
    NetworkAndFiles,
}

impl Reach {
    /// The words on the zygote's command line.
    const fn words(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Files => "files",
            Self::Network => "network",
            Self::NetworkAndFiles => "network,files",
        }
    }
}

/// What the zygote needs to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The interpreter itself, not a shim.
    pub python: PathBuf,
    /// The extension module.
    pub extension: PathBuf,
    /// What of the machine its cells stay in.
    pub reach: Reach,
    /// Whether it has the modules of TLS and HTTP in memory, for modules that import them.
    pub tls: bool,
    /// A folder of packages and those of them that are imported before the zygote is ready.
    pub packages: Option<(PathBuf, Vec<String>)>,
}

/// What the zygote reports.
#[derive(Debug)]
pub enum Event {
    /// A cell was forked.
    Forked {
        /// The node's number for it.
        cell: u64,
        /// Its process id.
        pid: i32,
        /// Its process, whatever becomes of the id.
        pidfd: OwnedFd,
    },
    /// A cell could not be forked.
    Failed {
        /// The node's number for it.
        cell: u64,
        /// What `fork` said.
        errno: i32,
    },
    /// A cell has ended.
    Exited {
        /// The node's number for it.
        cell: u64,
        /// How.
        exit: super::death::Exit,
    },
}

/// A running zygote. Dropping it closes its control socket, upon which it and its cells end.
pub struct Zygote {
    control: UnixDatagram,
    /// Its process id.
    pub pid: u32,
    /// What it is.
    pub ready: Ready,
    child: Cell<Option<tokio::process::Child>>,
}

impl Zygote {
    /// Starts a zygote and waits until it forks.
    ///
    /// # Errors
    /// It cannot be started or is not ours.
    pub async fn start(command: &Command) -> Result<Self, Error> {
        let failed = |why: std::io::Error| Error::Spawn { python: command.python.clone(), why };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|errno| failed(errno.into()))?;
        // The zygote's end blocks: it has nothing else to do.
        rustix::io::ioctl_fionbio(&theirs, false).map_err(|errno| failed(errno.into()))?;
        let packages = command.packages.iter().flat_map(|(folder, names)| {
            std::iter::once(folder.as_os_str()).chain(names.iter().map(AsRef::as_ref))
        });
        let mut child = tokio::process::Command::new(&command.python)
            .args(["-I", "-S", "-B", "-c", BOOT])
            .arg(&command.extension)
            .arg(format!("{}{}", command.reach.words(), if command.tls { ",tls" } else { "" }))
            .args(packages)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(stdout) = child.stdout.take() {
            drain(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            drain(stderr);
        }
        // Only its registration with the runtime is used; messages go by sendmsg and recvmsg, which any socket has.
        let control = UnixDatagram::from_std(std::os::unix::net::UnixDatagram::from(ours)).map_err(failed)?;
        let pid = child.id().unwrap_or(0);
        let ready = tokio::time::timeout(START, receive(&control)).await;
        let ready = match ready.map_err(|_| Error::Start("no answer; see the log"))? {
            Some((FromZygote::Ready(ready), _)) => ready,
            _ => return Err(Error::Start("it ended; see the log")),
        };
        if ready.protocol != frame::VERSION || ready.abi != abi::VERSION {
            return Err(Error::Version { protocol: ready.protocol, abi: ready.abi });
        }
        Ok(Self { control, pid, ready, child: Cell::new(Some(child)) })
    }

    /// Asks for a cell that gets `pipe` and `page`.
    ///
    /// # Errors
    /// The zygote has gone or does not keep up.
    pub fn fork(&self, cell: u64, limits: Limits, pipe: &OwnedFd, page: &OwnedFd) -> std::io::Result<()> {
        let body =
            rmp_serde::to_vec_named(&ToZygote::Fork { cell, limits }).map_err(std::io::Error::other)?;
        let descriptors = [pipe.as_fd(), page.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(self.control.as_fd(), &[IoSlice::new(&body)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next thing that the zygote reports; `None` when it has gone.
    pub async fn event(&self) -> Option<Event> {
        let (message, descriptor) = receive(&self.control).await?;
        match (message, descriptor) {
            (FromZygote::Forked { cell, pid }, Some(pidfd)) => Some(Event::Forked { cell, pid, pidfd }),
            (FromZygote::Failed { cell, errno }, _) => Some(Event::Failed { cell, errno }),
            (FromZygote::Exited { cell, status, signal, peak }, _) => {
                Some(Event::Exited { cell, exit: super::death::Exit { status, signal, peak } })
            }
            (FromZygote::Forked { .. } | FromZygote::Ready(_), _) => None,
        }
    }

    /// Ends the process if it has not ended, and waits for it.
    pub async fn reap(&self) {
        let Some(mut child) = self.child.take() else { return };
        let _gone_already = child.start_kill();
        if let Err(error) = child.wait().await {
            tracing::warn!(%error, "the zygote's end cannot be seen");
        }
    }
}

/// One message with the descriptor that came along; `None` when the zygote has gone or speaks nonsense.
async fn receive(control: &UnixDatagram) -> Option<(FromZygote, Option<OwnedFd>)> {
    let mut bytes = vec![0; LARGEST];
    let (length, descriptor) =
        control.async_io(Interest::READABLE, || receive_now(control, &mut bytes)).await.ok()?;
    let message = rmp_serde::from_slice(bytes.get(..length)?).ok()?;
    Some((message, descriptor))
}

fn receive_now(control: &UnixDatagram, bytes: &mut [u8]) -> std::io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(control.as_fd(), &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((message.bytes, descriptor))
}

/// Reads what the zygote prints, always, so that it never blocks on a full pipe. No script's text comes here: a
/// cell has `/dev/null` there.
fn drain(stream: impl AsyncRead + Unpin + 'static) {
    tokio::task::spawn_local(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            tracing::warn!(target: "zygote", "{line}");
        }
    });
}
