"""System calls made by native code, one at a time: the script that makes them, without the lock and in a cell.

Its zygote has loaded ctypes before it became one; no other has. A line of `raw.txt` says which call and with which arguments;
what these need is made first, by means that a cell does not have. What it has instead is good enough to make the call.
"""

import ctypes
import os
import select
import signal
import socket
import tempfile

KEPT = []
PAGE = 4096
given = {}

syscall = ctypes.CDLL(None, use_errno=True).syscall
syscall.restype = ctypes.c_long


def otherwise(instead):
    """What a function has made, or something instead where it could not."""

    def wrap(function):
        def made(*arguments):
            try:
                return function(*arguments)
            except Exception:
                return instead(*arguments) if callable(instead) else instead

        return made

    return wrap


def room(size):
    buffer = ctypes.create_string_buffer(size)
    KEPT.append(buffer)
    return ctypes.addressof(buffer)


def text(word):
    buffer = ctypes.create_string_buffer(word.encode())
    KEPT.append(buffer)
    return ctypes.addressof(buffer)


def words(*values):
    buffer = (ctypes.c_uint64 * len(values))(*[value & 2**64 - 1 for value in values])
    KEPT.append(buffer)
    return ctypes.addressof(buffer)


def page():
    start = room(3 * PAGE)
    return (start + PAGE) & -PAGE


def path(name):
    return text(given[name])


def unused():
    return text(f"{given['folder']}/unused-{os.getpid()}")


@otherwise(lambda: path("doomed"))
def fresh():
    return text(tempfile.mkstemp(dir=given["folder"])[1])


@otherwise(lambda: path("doomed"))
def marked():
    name = tempfile.mkstemp(dir=given["folder"])[1]
    os.setxattr(name, "user.x", b"x")
    return text(name)


@otherwise(4)
def opened(name, flags=0):
    return os.open(given[name], flags)


@otherwise(4)
def piped(content=b"", end=1):
    ends = os.pipe()
    os.write(ends[1], content)
    return ends[end]


@otherwise(4)
def watched():
    return syscall(NUMBERS["inotify_init1"], 0)


@otherwise(4)
def polled():
    KEPT.append(select.epoll())
    return KEPT[-1].fileno()


@otherwise(3)
def unbound():
    KEPT.append(socket.socket(socket.AF_UNIX))
    return KEPT[-1].fileno()


@otherwise(3)
def bound():
    KEPT.append(socket.socket(socket.AF_UNIX))
    KEPT[-1].bind("\0callboard-%d" % os.getpid())
    return KEPT[-1].fileno()


@otherwise(3)
def listening():
    bound()
    server = KEPT[-1]
    server.listen()
    KEPT.append(socket.socket(socket.AF_UNIX))
    KEPT[-1].connect(server.getsockname())
    return server.fileno()


@otherwise(3)
def paired(content=b""):
    ends = socket.socketpair()
    KEPT.append(ends)
    ends[1].send(content)
    return ends[0].fileno()


def address():
    return text("\1\0" + given["unix"])


def address_size():
    return 2 + len(given["unix"])


def message():
    return words(0, 0, words(room(4), 4), 1, 0, 0, 0, 0)


def self():
    return os.getpid()


@otherwise(1)
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return pid


@otherwise(4)
def opened_process(pid=None):
    return os.pidfd_open(pid or given["neighbour"])


@otherwise(lambda: room(8))
def neighbours_memory():
    with open(f"/proc/{given['neighbour']}/maps") as maps:
        return int(next(maps).split("-")[0], 16)


@otherwise(lambda: words(0))
def waiting():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    return words(1 << signal.SIGUSR1 - 1)


def known_key():
    syscall(NUMBERS["add_key"], text("user"), text("callboard"), room(4), 4, -2)
    return text("user")


class Segment(int):
    """A segment of shared memory, by its number."""


def segment():
    KEPT.append(Segment(syscall(NUMBERS["shmget"], 0, PAGE, 0o600)))
    return KEPT[-1]


def user():
    return os.getuid()


def group():
    return os.getgid()


def undo(name, result):
    """Takes back what would outlive this process."""
    ends = {"shmget": ("shmctl", 0, 0), "semget": ("semctl", 0, 0), "msgget": ("msgctl", 0, 0)}
    if name in ends and result >= 0:
        end, *arguments = ends[name]
        syscall(NUMBERS[end], result, *arguments)
    if name == "mq_open" and result >= 0:
        syscall(NUMBERS["mq_unlink"], text(f"callboard-{self()}"))
    for made in [it for it in KEPT if isinstance(it, Segment)]:
        syscall(NUMBERS["shmctl"], made, 0, 0)


def main(asked):
    """Makes one call; what it answered and the error."""
    global NUMBERS
    given.update(asked["given"])
    NUMBERS = asked["numbers"]
    arguments = eval(f"({asked['arguments']},)" if asked["arguments"] else "()")
    ctypes.set_errno(0)
    result = syscall(ctypes.c_long(asked["number"]), *map(ctypes.c_long, arguments))
    error = ctypes.get_errno()
    if result == 0 and asked["name"] in ("fork", "clone", "clone3"):
        os._exit(0)
    undo(asked["name"], result)
    return [result, error]
