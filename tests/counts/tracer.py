"""Counts the system calls of other processes by ptrace, which every kernel has and which needs nothing installed. What
the numbers should be is not decided here.
"""

import collections
import ctypes
import os
import signal
import struct
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "security"))

import numbers_of_calls

SYSCALL, INTERRUPT, SEIZE, GET_SYSCALL_INFO = 24, 0x4207, 0x4206, 0x420E
# Stops at system calls can be told from signals; children are traced from their first instruction.
TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE = 1, 2, 4, 8
AT_CALL = signal.SIGTRAP | 0x80
# Every process that this thread traces, and none that another thread has started.
WALL, WNOTHREAD = 0x40000000, 0x20000000
ENTRY = 1
# A write of one number of eight bytes: to an eventfd, by which a runtime wakes itself.
WAKE, COUNTER = "wake", 8
NAMES = {number: name for name, number in numbers_of_calls.here().items()}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, pid, address=0, data=0):
    """The system call; raises what it answers."""
    if libc.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request} of {pid}: {os.strerror(error)}")


class Tracer:
    """Traces a process from now on until it ends, and, with `children`, all that it forks."""

    def __init__(self, pid, children=False):
        self.counts = collections.defaultdict(collections.Counter)
        self.ended = {}
        self.pid, self.children = pid, children
        self.attached, self.failed = threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.attached.wait()
        if self.failed:
            raise self.failed

    def during(self, pid, work):
        """The system calls of a process while `work` is done, by name."""
        before = self.counts[pid].copy()
        work()
        after = self.counts[pid].copy()
        after.subtract(before)
        return {name: count for name, count in after.items() if count}

    def join(self):
        """Waits until all that is traced has ended; the exit status of the process. Nobody else may wait for it before:
        who does takes stops that this has to see.
        """
        self.thread.join(30)
        return os.waitstatus_to_exitcode(self.ended[self.pid])

    def _run(self):
        try:
            options = TRACESYSGOOD | (TRACEFORK | TRACEVFORK | TRACECLONE if self.children else 0)
            ptrace(SEIZE, self.pid, 0, options)
            ptrace(INTERRUPT, self.pid)
        except OSError as error:
            self.failed = error
            return
        finally:
            self.attached.set()
        while True:
            try:
                pid, status = os.waitpid(-1, WALL | WNOTHREAD)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                self._stopped(pid, status)
            else:
                self.ended[pid] = status

    def _stopped(self, pid, status):
        what, event = os.WSTOPSIG(status), status >> 16
        try:
            if what == AT_CALL:
                self._count(pid)
            # A stop that ptrace itself has made is no signal of the process.
            given = 0 if what == AT_CALL or event or what == signal.SIGTRAP else what
            ptrace(SYSCALL, pid, 0, given)
        except ProcessLookupError:
            # Killed meanwhile: its end comes next.
            pass

    def _count(self, pid):
        info = (ctypes.c_uint8 * 128)()
        size = libc.ptrace(GET_SYSCALL_INFO, pid, ctypes.c_void_p(len(info)), ctypes.cast(info, ctypes.c_void_p))
        if size > 0 and info[0] == ENTRY:
            number, *arguments = struct.unpack_from("<QQQQ", info, 24)
            name = NAMES.get(number, str(number))
            self.counts[pid][WAKE if name == "write" and arguments[2] == COUNTER else name] += 1
