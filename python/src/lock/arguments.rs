//! Tests of what system calls are made with, for `lock::policy`, and how they become instructions. Only plain numbers can be
//! looked at: what lies behind a pointer, such as an address, is Landlock's business.

use std::io;

use super::seccomp::{ALLOW, IF_AT_LEAST, IF_EQUAL, LOAD, REFUSE, RETURN, TRAP, Verdict, instruction};

/// Keeps the bits of a mask.
const KEEP: u16 = 0x54;

/// The first argument's offset in `struct seccomp_data`, in bytes. Each takes 8, the lower half first.
const FIRST: u32 = 16;

/// A test of one argument; arguments are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// The argument has one of these values, of the bits of the mask.
    Is(u32, u32, &'static [u32]),
    /// The argument is no smaller than this.
    AtLeast(u32, u32),
}

/// When a call is made: when all tests of one of these lists hold.
pub(super) type Alternatives = &'static [&'static [Test]];

const ALL_BITS: u32 = u32::MAX;

/// Not the pipe, not the page, not a standard stream: a descriptor that the cell has opened itself.
const OWN: Test = Test::AtLeast(0, 5);

/// What kind of socket, without the flags that may come with it.
const KIND: u32 = !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).unsigned_abs();

const OVER_IP: Test = Test::Is(0, ALL_BITS, &[libc::AF_INET.unsigned_abs(), libc::AF_INET6.unsigned_abs()]);

const STREAM: &[Test] = &[
    OVER_IP,
    Test::Is(1, KIND, &[libc::SOCK_STREAM.unsigned_abs()]),
    Test::Is(2, ALL_BITS, &[0, libc::IPPROTO_TCP.unsigned_abs()]),
];

const DATAGRAMS: &[Test] = &[
    OVER_IP,
    Test::Is(1, KIND, &[libc::SOCK_DGRAM.unsigned_abs()]),
    Test::Is(2, ALL_BITS, &[0, libc::IPPROTO_UDP.unsigned_abs()]),
];

/// Sockets of TCP and UDP. The C library tries others, for its own purposes, and goes on without them: not noted.
pub(super) const IP: Verdict = Verdict::Only { when: &[STREAM, DATAGRAMS], noted: false };

/// Sockets of TCP.
pub(super) const TCP: Verdict = Verdict::Only { when: &[STREAM], noted: false };

/// On a socket of the cell's own.
pub(super) const CONNECTED: Verdict = Verdict::Only { when: &[&[OWN]], noted: true };

/// Data that goes along with the opening of a connection would open it past Landlock.
const NO_FAST_OPEN: u32 = libc::MSG_FASTOPEN.unsigned_abs();

/// Sending with flags in the fourth argument.
pub(super) const SEND: Verdict =
    Verdict::Only { when: &[&[OWN, Test::Is(3, NO_FAST_OPEN, &[0])]], noted: true };

/// Sending with flags in the third argument.
pub(super) const SENDS: Verdict =
    Verdict::Only { when: &[&[OWN, Test::Is(2, NO_FAST_OPEN, &[0])]], noted: true };

const OF_SOCKETS: Test = Test::Is(1, ALL_BITS, &[libc::SOL_SOCKET.unsigned_abs()]);
const OF_TCP: Test = Test::Is(1, ALL_BITS, &[libc::IPPROTO_TCP.unsigned_abs()]);
const OF_IP: Test = Test::Is(1, ALL_BITS, &[libc::IPPROTO_IP.unsigned_abs()]);
const OF_IP_6: Test = Test::Is(1, ALL_BITS, &[libc::IPPROTO_IPV6.unsigned_abs()]);

const TCP_OPTIONS: Test = Test::Is(
    2,
    ALL_BITS,
    &[
        libc::TCP_NODELAY.unsigned_abs(),
        libc::TCP_KEEPIDLE.unsigned_abs(),
        libc::TCP_KEEPINTVL.unsigned_abs(),
        libc::TCP_KEEPCNT.unsigned_abs(),
        libc::TCP_USER_TIMEOUT.unsigned_abs(),
    ],
);

/// Options that may be set.
pub(super) const SET: Verdict = Verdict::Only {
    when: &[
        &[
            OWN,
            OF_SOCKETS,
            Test::Is(
                2,
                ALL_BITS,
                &[
                    libc::SO_REUSEADDR.unsigned_abs(),
                    libc::SO_SNDBUF.unsigned_abs(),
                    libc::SO_RCVBUF.unsigned_abs(),
                    libc::SO_KEEPALIVE.unsigned_abs(),
                    libc::SO_LINGER.unsigned_abs(),
                    libc::SO_RCVTIMEO.unsigned_abs(),
                    libc::SO_SNDTIMEO.unsigned_abs(),
                ],
            ),
        ],
        &[OWN, OF_TCP, TCP_OPTIONS],
        // Whether errors that come back are told: the C library wants to hear when nobody serves names.
        &[OWN, OF_IP, Test::Is(2, ALL_BITS, &[libc::IP_RECVERR.unsigned_abs()])],
        &[OWN, OF_IP_6, Test::Is(2, ALL_BITS, &[libc::IPV6_RECVERR.unsigned_abs()])],
    ],
    noted: true,
};

/// Options that may be asked for.
pub(super) const ANSWERED: Verdict = Verdict::Only {
    when: &[
        &[
            OWN,
            OF_SOCKETS,
            Test::Is(
                2,
                ALL_BITS,
                &[
                    libc::SO_TYPE.unsigned_abs(),
                    libc::SO_ERROR.unsigned_abs(),
                    libc::SO_PROTOCOL.unsigned_abs(),
                    libc::SO_DOMAIN.unsigned_abs(),
                    libc::SO_SNDBUF.unsigned_abs(),
                    libc::SO_RCVBUF.unsigned_abs(),
                    libc::SO_KEEPALIVE.unsigned_abs(),
                ],
            ),
        ],
        &[OWN, OF_TCP, TCP_OPTIONS],
    ],
    noted: true,
};

/// `FIONBIO` and `FIONREAD`, which are the same everywhere that Callboard runs. Others are asked of every file that is opened.
pub(super) const BLOCKING: Verdict =
    Verdict::Only { when: &[&[OWN, Test::Is(1, ALL_BITS, &[0x5421, 0x541b])]], noted: false };

impl Test {
    /// How many instructions it takes.
    const fn length(self) -> usize {
        match self {
            Self::Is(_, _, values) => 2 + values.len(),
            Self::AtLeast(..) => 2,
        }
    }

    /// Adds instructions that go on behind themselves if the test holds, and else `otherwise` further.
    fn write(self, otherwise: usize, program: &mut Vec<libc::sock_filter>) -> io::Result<()> {
        let missed = jump(otherwise)?;
        let load = |argument| instruction(LOAD, FIRST + 8 * argument, 0, 0);
        match self {
            Self::Is(argument, mask, values) => {
                program.extend([load(argument), instruction(KEEP, mask, 0, 0)]);
                for (place, value) in values.iter().enumerate() {
                    let left = values.len() - place - 1;
                    let next = if left == 0 { missed } else { 0 };
                    program.push(instruction(IF_EQUAL, *value, jump(left)?, next));
                }
            }
            Self::AtLeast(argument, least) => {
                program.extend([load(argument), instruction(IF_AT_LEAST, least, 0, missed)]);
            }
        }
        Ok(())
    }
}

fn jump(instructions: usize) -> io::Result<u8> {
    u8::try_from(instructions).map_err(io::Error::other)
}

/// The instructions for a call that is only made when certain tests hold.
///
/// # Errors
/// There are more than jumps can lead past.
pub(super) fn tested(number: u32, when: Alternatives, noted: bool) -> io::Result<Vec<libc::sock_filter>> {
    let mut body = Vec::new();
    for tests in when {
        let mut left = tests.iter().map(|test| test.length()).sum::<usize>() + 1;
        for test in *tests {
            left -= test.length();
            test.write(left, &mut body)?;
        }
        body.push(instruction(RETURN, ALLOW, 0, 0));
    }
    body.push(instruction(RETURN, if noted { TRAP } else { REFUSE }, 0, 0));
    body.insert(0, instruction(IF_EQUAL, number, 0, jump(body.len())?));
    Ok(body)
}
