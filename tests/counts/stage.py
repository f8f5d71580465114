"""A broker, a node and a connection, with nothing but the standard library: what the counts are taken of."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE = 30
SCRIPT = '''"""
---
id: "01a1fa2f-75c4-785c-a8f1-36a11d57c0aa"
slug: "simple"
title: "simple"
kind: macro
entrypoint: render
enabled: true
version: 1
---
"""
def render(context):
    return {"html": f"<p>{context['params']['name']}</p>"}
'''
REQUEST = {"script": "simple", "context": {"env": {"isPreview": False}, "params": {"name": "reader"}}, "raw": True}


class Stage:
    """A running node with a broker of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="callboard-counts-")
        scripts = Path(self.folder.name) / "scripts"
        scripts.mkdir()
        (scripts / "simple.py").write_text(SCRIPT)
        command = [os.environ["CALLBOARD_BIN"], "dev", "--port", "0", "--nats-server", os.environ["CALLBOARD_NATS_SERVER"]]
        environment = {"PATH": os.environ["PATH"], "CALLBOARD_CELL": os.environ["CALLBOARD_CELL"], "RUST_LOG": "warn"}
        self.node = subprocess.Popen(
            [*command, "--data", self.folder.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        self.port = int(re.match(r"ready nats://[^:]*:(\d+) ", self.node.stdout.readline())[1])
        self.wire = Wire(self.port)

    def stop(self):
        """Asks the node to stop; not by Popen, which would first wait for it, and take a stop that the tracer has to see."""
        os.kill(self.node.pid, signal.SIGTERM)

    def close(self):
        """Clears up behind a node that has stopped."""
        self.node.wait(PATIENCE)
        self.node.stdout.close()
        self.wire.close()
        self.folder.cleanup()


class Wire:
    """A connection to the broker that makes requests and takes replies."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.inbox = f"_INBOX.counts{time.monotonic_ns()}"
        self.socket.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true,"lang":"counts","version":"0"}\r\n'
            + f"SUB {self.inbox} 1\r\n".encode()
        )

    def call(self, count=1):
        """Makes requests, all in one write, and waits until each is answered."""
        body = json.dumps(REQUEST).encode()
        message = f"PUB macro.render {self.inbox} {len(body)}\r\n".encode() + body + b"\r\n"
        self.socket.sendall(message * count)
        for _ in range(count):
            reply = self.receive()
            if b'"ok":true' not in reply:
                raise AssertionError(reply)

    def receive(self):
        """The next message."""
        while True:
            words = self.file.readline().split()
            if words[0] in (b"MSG", b"HMSG"):
                return self.file.read(int(words[-1]) + 2)
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")

    def close(self):
        """Hangs up."""
        self.file.close()
        self.socket.close()
