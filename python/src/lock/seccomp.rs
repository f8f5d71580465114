//! Layer `seccomp`: the kernel asks a small program about every system call from here on. The program is made of
//! `lock::policy`; the foreign calls of 32-bit and x32 programs end the cell.

use std::io;

use super::arguments::{self, Alternatives};
use super::policy::{ANY_PORT, Entry, FILES, NETWORK, POLICY, SOME_PORTS};
use super::{Lock, Reached};
use crate::sys::check;

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made.
    Allow,
    /// It is made unless its third argument, the protection of memory, has `PROT_EXEC`.
    Unexecutable,
    /// It is made unless its third argument, the flags of opening, asks for more than reading what is there.
    ReadOnly,
    /// It is made when its arguments pass.
    Only {
        /// When they do.
        when: Alternatives,
        /// Whether it is noted when they do not.
        noted: bool,
    },
    /// It answers "operation not permitted" and is not noted.
    Refuse,
    /// The process ends.
    Kill,
}

impl Verdict {
    /// The word in lists.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Unexecutable => "unexecutable",
            Self::ReadOnly => "read_only",
            Self::Only { .. } => "only",
            Self::Refuse => "refuse",
            Self::Kill => "kill",
        }
    }
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// From here on, numbers on x86-64 are those of x32.
#[cfg(target_arch = "x86_64")]
const FOREIGN: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`, in bytes: the call's number, its architecture, its third argument's lower half.
const NUMBER: u32 = 0;
const CALLED_ON: u32 = 4;
const THIRD: u32 = 32;

pub(super) const LOAD: u16 = 0x20;
pub(super) const RETURN: u16 = 0x06;
pub(super) const IF_EQUAL: u16 = 0x15;
pub(super) const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;

/// The call is not made; `lock::trap` notes and answers it.
pub(super) const TRAP: u32 = libc::SECCOMP_RET_TRAP;

pub(super) const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

pub(super) const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();

/// An instruction; the jumps are counted from the next one.
pub(super) const fn instruction(code: u16, value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: then, jf: otherwise, k: value }
}

/// What one call is answered with, whatever its arguments.
const fn answered(number: u32, answer: u32) -> [libc::sock_filter; 2] {
    [instruction(IF_EQUAL, number, 0, 1), instruction(RETURN, answer, 0, 0)]
}

/// Flags of opening that a reader has no use for. A descriptor of `O_PATH` tells of files that cannot be read.
const MORE_THAN_READING: u32 = (libc::O_ACCMODE
    | libc::O_CREAT
    | libc::O_TRUNC
    | libc::O_APPEND
    | libc::O_PATH
    | (libc::O_TMPFILE & !libc::O_DIRECTORY))
    .unsigned_abs();

/// What a call is answered with whose third argument has one of these bits; without, it is made.
const fn unless(number: u32, bits: u32) -> [libc::sock_filter; 5] {
    [
        instruction(IF_EQUAL, number, 0, 4),
        instruction(LOAD, THIRD, 0, 0),
        instruction(IF_ANY_BIT, bits, 0, 1),
        instruction(RETURN, TRAP, 0, 0),
        instruction(RETURN, ALLOW, 0, 0),
    ]
}

/// What cells have besides by what they were granted; the first entry for a call counts.
fn granted(lock: &Lock) -> Vec<&'static [Entry]> {
    // The few files that names are found by are told from others by Landlock alone.
    let sockets: &[_] = match lock.network().filter(|_| lock.listed.get()) {
        Some(Reached::Anything) => &[ANY_PORT, NETWORK],
        Some(Reached::Ports(_)) => &[SOME_PORTS, NETWORK],
        None => &[],
    };
    let files: &[_] = if lock.reads_files() { &[FILES] } else { &[] };
    [sockets, files].concat()
}

fn program(lists: &[&[Entry]]) -> io::Result<Vec<libc::sock_filter>> {
    let mut program = vec![
        instruction(LOAD, CALLED_ON, 0, 0),
        instruction(IF_EQUAL, ARCHITECTURE, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(LOAD, NUMBER, 0, 0),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([
        instruction(IF_AT_LEAST, FOREIGN, 0, 1),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
    ]);
    for Entry { number, verdict, .. } in lists.iter().copied().flatten() {
        // The numbers of calls are small.
        let number = u32::try_from(*number).unwrap_or(u32::MAX);
        match verdict {
            Verdict::Allow => program.extend(answered(number, ALLOW)),
            Verdict::Refuse => program.extend(answered(number, REFUSE)),
            Verdict::Kill => program.extend(answered(number, libc::SECCOMP_RET_KILL_PROCESS)),
            Verdict::Unexecutable => program.extend(unless(number, libc::PROT_EXEC.unsigned_abs())),
            Verdict::Only { when, noted } => program.extend(arguments::tested(number, when, *noted)?),
            Verdict::ReadOnly => program.extend(unless(number, MORE_THAN_READING)),
        }
    }
    program.push(instruction(RETURN, TRAP, 0, 0));
    Ok(program)
}

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    let more = granted(lock);
    let mut program = program(&[&[POLICY], more.as_slice()].concat())?;
    let length = libc::c_ushort::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the pointer is to a program whose pointer and length are those of the vector; the kernel copies both.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })?;
    if !more.is_empty() {
        super::stat::answer_instead();
    }
    Ok(())
}
