"""An attempt without the lock: in a plain `python3 -I -S -B` of the same user, with what else a cell has, namely a pipe, a
page and a parent. What counts as success is not decided here.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PATIENCE = 20
PLANT = (Path(__file__).parent / "plant.py").read_text()

# The parent: it does nothing but answer that it lives. Pipe and page come to the numbers that they have in a cell.
PARENT = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
alive = int(sys.argv[3])
if os.fork() == 0:
    os.close(alive)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-B", "-c", sys.argv[4]])
os.close(1)
while os.read(alive, 1):
    os.write(alive, b"y")
"""

# The process of the attempt. Its secrets come by a pipe, its answer goes back by another.
CHILD = """
import json, os, sys
given = json.loads(os.read(0, 65536))
os.dup2(os.open("/dev/null", os.O_RDWR), 0)
def run(secret, given):
    exec(given["plant"], globals())
    plant(secret)
    scope = {}
    exec(given["script"], scope)
    return scope[given["name"]](given["given"])
try:
    answer = str(run(given.pop("secret"), given))
except BaseException as error:
    answer = type(error).__name__ + ": " + str(error)
print("\\n" + json.dumps(answer), flush=True)
os._exit(0)
"""


class Parent:
    """A process above the attempt's."""

    def __init__(self, secret):
        self.pipe, theirs = socket.socketpair()
        self.alive, answers = socket.socketpair()
        self.alive.settimeout(2)
        self.secret = secret
        page = os.memfd_create("page", os.MFD_ALLOW_SEALING)
        os.ftruncate(page, 4096)
        # Not where they must go in the end, which would be closed by the move.
        high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20) for descriptor in (theirs.fileno(), page, answers.fileno())]
        command = [sys.executable, "-I", "-S", "-B", "-c", PARENT, *map(str, high), CHILD]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=high, env={"SECRET": secret}, cwd="/",
            start_new_session=True,
        )  # fmt: skip
        for descriptor in [*high, page]:
            os.close(descriptor)
        theirs.close()
        answers.close()

    @property
    def pid(self):
        return self.process.pid

    def lives(self):
        """Returns if it still does anything."""
        self.alive.send(b"?")
        if self.alive.recv(1) != b"y":
            raise EOFError

    def run(self, attempt, given):
        """What an attempt answers."""
        told = {"name": attempt.name, "script": attempt.script, "given": given, "secret": self.secret, "plant": PLANT}
        self.process.stdin.write(json.dumps(told).encode())
        self.process.stdin.flush()
        alarm = signal.signal(signal.SIGALRM, lambda *_: self._end())
        signal.alarm(PATIENCE)
        try:
            lines = self.process.stdout.read().decode("utf-8", "replace").splitlines()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, alarm)
        return json.loads(lines[-1]) if lines and lines[-1].startswith('"') else "no answer"

    def _end(self):
        """Ends the session, whoever is left in it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self):
        """Ends whatever is left."""
        self._end()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.pipe.close()
        self.alive.close()
