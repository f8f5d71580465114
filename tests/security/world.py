"""What attempts are after: files, a process, sockets, shared memory, all of the user who runs the tests, with a secret in each.

An attempt is told where these are and never what the secret is. Whatever an attempt did to them is seen here.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

# Longest wait for an answer, in seconds.
PATIENCE = 5

# A process that holds the secret and tells it to whoever connects, as servers on a machine's own interfaces do.
NEIGHBOUR = """
import json, os, selectors, socket, sys
secret, folder = os.environ["SECRET"].encode(), sys.argv[1]
chosen, ports = selectors.DefaultSelector(), {}
abstract = "\\0callboard-" + str(os.getpid())
for name, family, kind, address in [
    ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
    ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    ("unix", socket.AF_UNIX, socket.SOCK_STREAM, folder + "/socket"),
    ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, abstract),
]:
    served = socket.socket(family, kind)
    served.bind(address)
    if kind == socket.SOCK_STREAM:
        served.listen()
    chosen.register(served, selectors.EVENT_READ)
    ports[name] = served.getsockname()
ports["abstract"] = abstract
print(json.dumps(ports), flush=True)
while True:
    for key, _ in chosen.select():
        if key.fileobj.type == socket.SOCK_DGRAM:
            key.fileobj.sendto(secret, key.fileobj.recvfrom(64)[1])
        else:
            with key.fileobj.accept()[0] as accepted:
                accepted.settimeout(1)
                accepted.sendall(b"HTTP/1.0 200 OK\\r\\nConnection: close\\r\\n\\r\\n" + secret)
                accepted.shutdown(socket.SHUT_WR)
                try:
                    # Not closed before what was sent is read: that would cut the answer off.
                    while accepted.recv(4096): pass
                except OSError: pass
"""

MODULE = "SECRET = {0!r}\ndef tell(): return SECRET\n"


class World:
    """One of these is enough for many attempts, until one has changed it."""

    def __init__(self, extension):
        self.secret = "kanary-" + secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="callboard-world-"))
        self.shared = Path("/dev/shm") / self.folder.name
        os.chmod(self.folder, 0o777)
        self._files()
        (self.folder / "extension.so").symlink_to(extension)
        command = [sys.executable, "-I", "-S", "-B", "-c", NEIGHBOUR, str(self.folder)]
        self.neighbour = subprocess.Popen(command, env={"SECRET": self.secret}, stdout=subprocess.PIPE)
        self.ports = json.loads(self.neighbour.stdout.readline())

    def _files(self):
        """Everyone may do everything with these: what stands in the way is not their modes."""
        texts = {
            "secret": self.secret,
            "doomed": "to be changed",
            "module.py": MODULE.format(self.secret),
            "settings.ini": f"[main]\nsecret = {self.secret}\n",
            "mime": f"text/{self.secret} secret\n",
            f"named {self.secret}": "",
        }
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o777)
        (self.folder / "empty").mkdir()
        (self.folder / "empty").chmod(0o777)
        (self.folder / "link").symlink_to(self.secret)
        if self.shared.parent.is_dir():
            self.shared.write_text(self.secret)
            self.shared.chmod(0o666)

    def given(self):
        """What an attempt is told."""
        names = ["secret", "doomed", "made", "link", "empty", "module.py", "settings.ini", "mime"]
        paths = {name.split(".")[0]: str(self.folder / name) for name in names}
        more = {"folder": str(self.folder), "shared": str(self.shared), "extension": str(self.folder / "extension.so")}
        return {**paths, **more, **self.ports, "neighbour": self.neighbour.pid, "node": os.getpid()}

    def observe(self, parent):
        """The state of all that attempts could change; `parent` is the process that an attempt has above it."""
        tree = {str(path): _file(path) for path in [self.folder, *self.folder.rglob("*"), self.shared]}
        return tree, _process(self.neighbour.pid), _process(parent)

    def lives(self):
        """Returns if the neighbour still does anything, and has done what was sent to it before."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.settimeout(PATIENCE)
            asked.connect(tuple(self.ports["udp"]))
            asked.send(b"?")
            asked.recv(100)

    def close(self):
        """Leaves nothing behind."""
        self.neighbour.send_signal(signal.SIGKILL)
        self.neighbour.stdout.close()
        self.neighbour.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.shared.unlink(missing_ok=True)


def _file(path):
    """What can be seen of a file."""
    try:
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else None
        more = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        return error.errno
    return found.st_mode, found.st_uid, found.st_ino, found.st_size, found.st_mtime_ns, content, more


def _process(pid):
    """What others could change of a process: whether it runs, its priority, policy, processors and limits."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        limits = Path(f"/proc/{pid}/limits").read_text()
        processors = os.sched_getaffinity(pid)
    except OSError:
        return None
    state = "runs" if fields[0] in "RSD" else fields[0]
    return state, fields[16], fields[38], processors, limits
