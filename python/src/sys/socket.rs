//! Messages with descriptors over the control socket (`SCM_RIGHTS`). What the messages say lives in `protocol`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for the descriptors of one message: at most eight.
#[repr(C, align(8))]
struct Rights([u8; 64]);

impl Rights {
    const EMPTY: Self = Self([0; 64]);
}

/// Receives one message: its length, 0 at the end, and what descriptors came with it.
///
/// # Errors
/// What `recvmsg` says, or the message was larger than `buffer` or had more descriptors than anyone sends.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut rights = Rights::EMPTY;
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message = header(&mut part, &mut rights, size_of::<Rights>());
    let length = super::uninterrupted(|| {
        // SAFETY: `message` points to `part`, `buffer` and `rights`, which all outlive the call.
        let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        usize::try_from(length).map_err(|_| io::Error::last_os_error())
    })?;
    let descriptors = descriptors(&message);
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((length, descriptors))
}

/// Takes ownership of the descriptors that came with a message.
fn descriptors(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the kernel has filled in the control part of `message`; the macros stay inside it, and every descriptor
    // in it is new in this process and nobody else's.
    unsafe {
        let mut entry = libc::CMSG_FIRSTHDR(message);
        while let Some(rights) = entry.as_ref() {
            if rights.cmsg_level == libc::SOL_SOCKET && rights.cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(entry).cast::<RawFd>();
                let bytes = rights.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                for place in 0..bytes / size_of::<RawFd>() {
                    found.push(OwnedFd::from_raw_fd(data.add(place).read_unaligned()));
                }
            }
            entry = libc::CMSG_NXTHDR(message, entry);
        }
    }
    found
}

/// Sends one message, with a descriptor if there is one to send.
///
/// # Errors
/// What `sendmsg` says.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut rights = Rights::EMPTY;
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let size = size_of::<RawFd>() as u32;
    // SAFETY: computes a number.
    let space = if descriptor.is_some() { unsafe { libc::CMSG_SPACE(size) as usize } } else { 0 };
    let message = header(&mut part, &mut rights, space);
    if let Some(descriptor) = descriptor {
        // SAFETY: the control part has room for one descriptor, and the macros stay inside it.
        unsafe {
            if let Some(entry) = libc::CMSG_FIRSTHDR(&raw const message).as_mut() {
                entry.cmsg_level = libc::SOL_SOCKET;
                entry.cmsg_type = libc::SCM_RIGHTS;
                entry.cmsg_len = libc::CMSG_LEN(size) as _;
                libc::CMSG_DATA(entry).cast::<RawFd>().write_unaligned(descriptor.as_raw_fd());
            }
        }
    }
    super::uninterrupted(|| {
        // SAFETY: `message` points to `part`, `bytes` and `rights`, which all outlive the call; `bytes` is only read.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        if sent == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}

fn header(part: &mut libc::iovec, rights: &mut Rights, space: usize) -> libc::msghdr {
    // SAFETY: all-zero bytes are a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    if space > 0 {
        message.msg_control = rights.0.as_mut_ptr().cast();
        message.msg_controllen = space as _;
    }
    message
}
