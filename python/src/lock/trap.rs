//! What becomes of a refused system call: the kernel does not make it but sends `SIGSYS`, and the handler here notes its
//! name on the page and has it answer "operation not permitted". A script that takes the handler away loses the
//! explanation, not the refusal.

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::page::Name;

/// `si_code` of a `SIGSYS` that seccomp sends.
const BY_SECCOMP: c_int = 1;

/// Where the call's number stands in a `siginfo_t` of such a signal, in bytes (`_sifields._sigsys._syscall`).
const NUMBER: usize = 24;

/// Where names are noted.
static NOTED: AtomicPtr<Name> = AtomicPtr::new(std::ptr::null_mut());

/// Has refused calls noted at `name`.
///
/// # Errors
/// What `sigaction` says.
pub(crate) fn install(name: &'static Name) -> io::Result<()> {
    NOTED.store(std::ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = refused;
    // SAFETY: all-zero bytes are a valid `sigaction`; the handler has the signature that `SA_SIGINFO` asks for, and calls
    // nothing that a handler must not.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        crate::sys::check(libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()))?;
    }
    Ok(())
}

extern "C" fn refused(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both, and they are of these types; the union's part is that of `SIGSYS` from seccomp.
    let (number, context) = unsafe {
        if (*info).si_code != BY_SECCOMP {
            return;
        }
        (info.byte_add(NUMBER).cast::<c_int>().read(), &mut *context.cast::<libc::ucontext_t>())
    };
    answer(context);
    // SAFETY: either null or a name that is never taken back.
    if let Some(name) = unsafe { NOTED.load(Ordering::Relaxed).as_ref() } {
        let call = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
        name.set(call.map_or("unknown", |call| call.name()));
    }
}

/// Has the interrupted call return `-EPERM`.
fn answer(context: &mut libc::ucontext_t) {
    #[cfg(target_arch = "x86_64")]
    if let Some(result) = context.uc_mcontext.gregs.get_mut(libc::REG_RAX.unsigned_abs() as usize) {
        *result = -i64::from(libc::EPERM);
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(result) = context.uc_mcontext.regs.first_mut() {
        *result = (-i64::from(libc::EPERM)).cast_unsigned();
    }
}
