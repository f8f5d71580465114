//! The seccomp policy as data: each system call that a cell may make, and each whose attempt ends it, with the reason.
//! All others answer "operation not permitted", and are noted but for those listed as refused. How this becomes a program lives in `lock::seccomp`.

use super::arguments::{ANSWERED, BLOCKING, CONNECTED, IP, SEND, SENDS, SET, TCP};
use super::seccomp::Verdict::{self, Allow, Kill, ReadOnly, Refuse, Unexecutable};

/// One system call.
pub(super) struct Entry {
    /// Its name.
    pub(super) name: &'static str,
    /// Its number on this architecture.
    pub(super) number: libc::c_long,
    /// What becomes of it.
    pub(super) verdict: Verdict,
    /// Why.
    pub(super) reason: &'static str,
}

macro_rules! policy {
    ($(#[$about:meta])* $name:ident: $($(#[$only:meta])* $verdict:ident $call:ident $reason:literal;)*) => {
        $(#[$about])*
        pub(super) const $name: &[Entry] = &[
            $($(#[$only])* Entry {
                // Past `SYS_`.
                name: stringify!($call).split_at(4).1,
                number: libc::$call,
                verdict: $verdict,
                reason: $reason,
            },)*
        ];
    };
}

policy! {
    /// Every call that is not simply refused; the most frequent ones first.
    POLICY:
    Allow SYS_read "takes frames from the pipe";
    Allow SYS_write "puts frames into the pipe";
    Allow SYS_clock_gettime "deadlines and clocks, where they need the kernel";
    Allow SYS_futex "locks inside the process";
    Allow SYS_brk "memory";
    Unexecutable SYS_mmap "memory, as long as it cannot be executed";
    Unexecutable SYS_mprotect "memory, as long as it cannot be executed";
    Allow SYS_munmap "gives memory back";
    Allow SYS_mremap "moves memory when it grows";
    Allow SYS_madvise "gives memory back";
    Allow SYS_getrandom "random numbers and seeds";
    Allow SYS_exit_group "the cell's end";
    Allow SYS_rt_sigreturn "the end of every signal handler";
    Allow SYS_restart_syscall "what the kernel continues a sleep with";
    Allow SYS_clock_nanosleep "sleep; the deadline bounds it";
    Allow SYS_nanosleep "sleep; the deadline bounds it";
    Allow SYS_clock_getres "how fine clocks are";
    Allow SYS_gettimeofday "clocks, where they need the kernel";
    #[cfg(target_arch = "x86_64")]
    Allow SYS_time "clocks, where they need the kernel";
    Allow SYS_ppoll "waits, for descriptors that are open already";
    #[cfg(target_arch = "x86_64")]
    Allow SYS_poll "waits, for descriptors that are open already";
    Allow SYS_pselect6 "waits, for descriptors that are open already";
    #[cfg(target_arch = "x86_64")]
    Allow SYS_select "waits, for descriptors that are open already";
    Allow SYS_sched_yield "gives its place away";
    Allow SYS_close "gives up what is open";
    Allow SYS_lseek "asked of standard streams; nothing open has a position";
    Allow SYS_fstat "asked of standard streams; tells nothing of other files";
    Allow SYS_getpid "a number of its own";
    Allow SYS_getppid "a number of its own";
    Allow SYS_gettid "a number of its own";
    Allow SYS_getuid "a number of its own";
    Allow SYS_geteuid "a number of its own";
    Allow SYS_getgid "a number of its own";
    Allow SYS_getegid "a number of its own";
    Allow SYS_getpgid "a number of its own";
    Allow SYS_getsid "a number of its own";
    Allow SYS_getcwd "always the root";
    Allow SYS_getrusage "what it has used itself";
    Allow SYS_times "what it has used itself";
    Allow SYS_uname "the platform module";
    Allow SYS_rt_sigaction "handlers of its own signals";
    Allow SYS_rt_sigprocmask "a mask of its own signals";
    Allow SYS_sigaltstack "a stack for handlers";

    // The C library makes these with all signals blocked, where the trap that names other refused calls would end the cell.
    Refuse SYS_clone "starts threads and processes";
    Refuse SYS_clone3 "starts threads and processes";
    #[cfg(target_arch = "x86_64")]
    Refuse SYS_fork "starts a process";
    #[cfg(target_arch = "x86_64")]
    Refuse SYS_vfork "starts a process";
    Refuse SYS_execve "starts a program";
    Refuse SYS_tgkill "sends a signal, to itself when it aborts";

    Kill SYS_ptrace "looks into other processes";
    Kill SYS_process_vm_readv "looks into other processes";
    Kill SYS_process_vm_writev "changes other processes";
    Kill SYS_bpf "programs for the kernel";
    Kill SYS_perf_event_open "a large and old surface of the kernel";
    Kill SYS_userfaultfd "makes races in the kernel easy to win";
    Kill SYS_io_uring_setup "does other calls past this policy";
    Kill SYS_io_uring_enter "does other calls past this policy";
    Kill SYS_io_uring_register "does other calls past this policy";
    Kill SYS_unshare "new namespaces reach rarely used parts of the kernel";
    Kill SYS_setns "other namespaces";
    Kill SYS_mount "another file system";
    Kill SYS_umount2 "another file system";
    Kill SYS_pivot_root "another file system";
    Kill SYS_chroot "another file system";
    Kill SYS_fsopen "another file system";
    Kill SYS_fsmount "another file system";
    Kill SYS_open_tree "another file system";
    Kill SYS_move_mount "another file system";
    Kill SYS_open_by_handle_at "files past their folders";
    Kill SYS_add_key "the kernel's key rings";
    Kill SYS_request_key "the kernel's key rings";
    Kill SYS_keyctl "the kernel's key rings";
    Kill SYS_init_module "code for the kernel";
    Kill SYS_finit_module "code for the kernel";
    Kill SYS_delete_module "code for the kernel";
    Kill SYS_kexec_load "another kernel";
    Kill SYS_reboot "ends the machine";
    Kill SYS_swapon "the machine's memory";
    Kill SYS_swapoff "the machine's memory";
    Kill SYS_acct "the machine's records";
    Kill SYS_settimeofday "the machine's clock";
    Kill SYS_clock_settime "the machine's clock";
    #[cfg(target_arch = "x86_64")]
    Kill SYS_iopl "the machine's ports";
    #[cfg(target_arch = "x86_64")]
    Kill SYS_ioperm "the machine's ports";
    #[cfg(target_arch = "x86_64")]
    Kill SYS_modify_ldt "old corners of the processor";
}

policy! {
    /// What cells have besides that were granted folders to read. Which files are open to them is Landlock's business;
    /// what Landlock does not know, such as the dates and sizes of any file by its name, stays refused.
    FILES:
    ReadOnly SYS_openat "opens a file or folder for reading";
    Allow SYS_getdents64 "lists a folder that is open";
    Allow SYS_pread64 "reads a file that is open";
    Refuse SYS_ioctl "asked of every file that is opened: whether it is a terminal";
}

policy! {
    /// What cells have besides that were granted the network, wholly or in part: they connect, and nobody connects to
    /// them. Descriptors below 5 are the pipe, the page and standard streams, on which none of this is made.
    NETWORK:
    CONNECTED SYS_connect "opens a connection; Landlock knows the ports, where only some were granted";
    SEND SYS_sendto "sends";
    SENDS SYS_sendmsg "sends";
    SEND SYS_sendmmsg "sends; the C library asks for addresses of both kinds at once";
    Allow SYS_writev "writes to what is open; the C library asks for names so, by TCP";
    CONNECTED SYS_recvfrom "receives";
    CONNECTED SYS_recvmsg "receives";
    CONNECTED SYS_shutdown "says that no more is sent";
    CONNECTED SYS_getpeername "where a connection leads";
    CONNECTED SYS_getsockname "where a connection comes from";
    SET SYS_setsockopt "sizes, times and keeping alive; not filters, which are programs for the kernel";
    ANSWERED SYS_getsockopt "how a connection came out; not who is at the other end of the pipe";
    BLOCKING SYS_ioctl "whether calls wait, and how much there is to read";
    #[cfg(target_arch = "x86_64")]
    Allow SYS_epoll_create "waits for several connections";
    Allow SYS_epoll_create1 "waits for several connections";
    Allow SYS_epoll_ctl "waits for several connections";
    #[cfg(target_arch = "x86_64")]
    Allow SYS_epoll_wait "waits for several connections";
    Allow SYS_epoll_pwait "waits for several connections";
    ReadOnly SYS_openat "reads what names and certificates are found by: the few files that Landlock lists";
}

policy! {
    /// The sockets of cells that were granted the whole network.
    ANY_PORT:
    IP SYS_socket "TCP and UDP over IP; nothing local, nothing raw";
}

policy! {
    /// The sockets of cells that were granted some ports, which the kernel can tell apart for TCP only.
    SOME_PORTS:
    TCP SYS_socket "TCP over IP";
}
