"""The node's side of zygote and cells, for tests: starts a real zygote, forks real cells and speaks to them.

It knows the frames and nothing of what is right: the tests do.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from packing import pack, unpack

LIBRARY = os.environ.get("CALLBOARD_CELL")
BOOT = Path(__file__).parent.parent / "callboard" / "boot.py"

OPERATIONS = {
    "load": 1, "call": 2, "compile": 3, "answer": 4, "cancel": 5, "attempt": 6, "hello": 128, "loaded": 129,
    "return": 130, "raised": 131, "invalid": 132, "refused": 133, "skipped": 134, "compiled": 135, "ask": 136,
    "drop": 137, "attempted": 138,
}  # fmt: skip
NAMES = {number: name for name, number in OPERATIONS.items()}

# All that a zygote may find in its environment, and only where `make test-sanitizers` has put it into ours.
SANITIZER = {name: os.environ[name] for name in ("ASAN_OPTIONS", "LD_PRELOAD") if name in os.environ}

# Where the page's text about frames begins.
FRAMES = 128
# Where what was printed begins.
OUTPUT = 4096
PAGE = OUTPUT + 2 * 65536
NEVER = 2**64 - 1
MEMORY = 256 << 20
# More than any test needs; what waits this long has failed.
PATIENCE = 30


class Zygote:
    """A running zygote. What is to run `before` its boot could not run in a cell; `packages` are a folder and names."""

    def __init__(self, before="", network=False, files=False, packages=()):
        if not LIBRARY:
            raise RuntimeError("set CALLBOARD_CELL to the path of libcallboard_cell.so")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        command = [sys.executable, "-I", "-S", "-B", "-c", before + BOOT.read_text(), LIBRARY]
        command += ["network" if network else "files" if files else "closed", *packages]
        self.process = subprocess.Popen(command, stdin=theirs, env=SANITIZER, cwd="/")
        theirs.close()
        self.numbers = 0
        self.exits = {}
        self.ready = self.receive()[0]

    def receive(self):
        """The next message, and the descriptors that came with it."""
        data, descriptors, _, _ = socket.recv_fds(self.socket, 16384, 4)
        return (unpack(data) if data else None), descriptors

    def send(self, message, descriptors=()):
        """Sends a message with descriptors."""
        socket.send_fds(self.socket, [pack(message)], list(descriptors))

    def cell(self, memory=MEMORY, capabilities=()):
        """A new cell that has said hello."""
        return Cell(self, memory, capabilities)

    def await_forked(self, number):
        """Process id and pidfd of a cell that was asked for."""
        while True:
            message, descriptors = self.receive()
            if message["op"] == "forked" and message["cell"] == number:
                return message["pid"], descriptors[0]
            self.keep(message)

    def exited(self, number):
        """How a cell ended."""
        while number not in self.exits:
            self.keep(self.receive()[0])
        return self.exits.pop(number)

    def keep(self, message):
        """Keeps a report for whoever will ask for it."""
        if message is None or message["op"] != "exited":
            raise AssertionError(f"unexpected message {message}")
        self.exits[message["cell"]] = message

    def close(self):
        """Closes the control socket; the zygote's exit status."""
        self.socket.close()
        return self.process.wait(PATIENCE)


class Cell:
    """One cell, its pipe and its page."""

    def __init__(self, zygote, memory, capabilities=()):
        self.zygote = zygote
        zygote.numbers += 1
        self.number = zygote.numbers
        self.pipe, theirs = socket.socketpair()
        self.pipe.settimeout(PATIENCE)
        self.page = os.memfd_create("page")
        os.ftruncate(self.page, PAGE)
        os.lseek(self.page, FRAMES, os.SEEK_SET)
        self.withdraw_from(NEVER)
        message = {"op": "fork", "cell": self.number, "limits": {"memory": memory, "capabilities": list(capabilities)}}
        zygote.send(message, [theirs.fileno(), self.page])
        theirs.close()
        self.pid, self.pidfd = zygote.await_forked(self.number)
        self.sequence = 0
        self.buffer = b""
        self.hello = self.receive()

    def withdraw_from(self, sequence):
        """Withdraws the calls from this one on."""
        os.pwrite(self.page, struct.pack("<Q", sequence), 8)

    def cancel(self, sequence):
        """Tells the cell that a call which it has begun should end."""
        os.pwrite(self.page, struct.pack("<Q", sequence), 40)
        self.write("cancel", {}, sequence)

    @property
    def waits(self):
        """The call that waits for something to happen; zero when none does."""
        return struct.unpack("<Q", os.pread(self.page, 8, 48))[0]

    def frames(self):
        """Where the script stood when it was asked, or crashed."""
        return os.pread(self.page, OUTPUT - FRAMES, FRAMES)

    def ask_where(self):
        """Has the cell write where the script stands."""
        os.pwrite(self.page, bytes(OUTPUT - FRAMES), FRAMES)
        os.lseek(self.page, FRAMES, os.SEEK_SET)
        os.kill(self.pid, signal.SIGUSR1)

    @property
    def started(self):
        """The last call that the cell has begun."""
        return struct.unpack("<Q", os.pread(self.page, 8, 0))[0]

    def write(self, operation, body, sequence=None):
        """Sends a frame; its sequence."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        data = body if isinstance(body, bytes) else pack(body)
        self.pipe.sendall(struct.pack("<IBQ", len(data), OPERATIONS.get(operation, operation), sequence) + data)
        return sequence

    def receive(self):
        """The next frame: operation, sequence, body."""
        length, operation, sequence = struct.unpack("<IBQ", self._take(13))
        return NAMES[operation], sequence, unpack(self._take(length))

    def _take(self, size):
        while len(self.buffer) < size:
            data = self.pipe.recv(1 << 20)
            if not data:
                raise EOFError("the cell has closed its pipe")
            self.buffer += data
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def ask(self, operation, body):
        """Sends a frame and takes the answer: its operation and body."""
        sequence = self.write(operation, body)
        name, answered, reply = self.receive()
        if answered != sequence:
            raise AssertionError(f"asked {sequence}, answered {answered}")
        return name, reply

    def load(self, body, kind="macro", slug="demo", entrypoint=None, **more):
        """Loads a script."""
        entrypoint = entrypoint or {"macro": "render", "utility": "main", "transform": "transform"}[kind]
        load = {"project": "p", "slug": slug, "kind": kind, "entrypoint": entrypoint, "body": body, **more}
        return self.ask("load", load)

    def call(self, text, function="main", **more):
        """Calls with an input given as JSON."""
        return self.ask("call", call(text, function, **more))

    def hang_up(self):
        """Closes the node's side of the pipe."""
        self.pipe.close()

    def ended(self):
        """How the cell ended, once it has; nothing of it is left open here."""
        report = self.zygote.exited(self.number)
        self.abandon()
        return report

    def abandon(self):
        """Closes all that belongs to this cell."""
        self.pipe.close()
        os.close(self.page)
        os.close(self.pidfd)


def call(text, function="main", format="json", deadline=None, **more):
    """The body of a call."""
    data = text.encode() if isinstance(text, str) else text
    if deadline is None:
        deadline = time.monotonic_ns() + PATIENCE * 10**9
    return {"function": function, "format": format, "deadline": deadline, "input": data, **more}
