"""What cells with network have besides: an event loop that waits for connections too, and the few files of the system that
names and certificates are found by.

Runs once, in the zygote of such cells. What a cell may reach is decided by its lock and not here.
"""

import asyncio
import os
import selectors
import socket
import ssl
import sys
from asyncio import selector_events

from callboard import _loop

# The pipe to the node, in every cell.
PIPE = 3
# Largest file that is copied, in bytes.
LARGEST = 2 << 20
# Where systems keep the certificates of authorities in one file.
BUNDLES = """
/etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem
""".split()
# Names are looked up in `hosts`, then asked for. What else a system may ask could not be loaded in a cell.
ORDER = b"hosts: files dns\n"


class _Selector(selectors.PollSelector):
    """What the loop waits with: connections, and the pipe among them."""

    def __init__(self):
        super().__init__()
        self.register(PIPE, selectors.EVENT_READ)

    def select(self, timeout=None):
        """What has come within that many seconds: of connections, and of the node."""
        node = _loop.node
        heard = node.select(0)
        waits = not heard and timeout != 0
        if waits:
            node.waiting(True)
        try:
            ready = super().select(timeout if waits else 0)
        finally:
            if waits:
                node.waiting(False)
        connections = [(key, events) for key, events in ready if key.fd != PIPE]
        return connections + (heard if len(connections) == len(ready) else heard + node.select(0))


# What waits for the node alone; its place is taken by the one below.
_Base = _loop.Loop


class Loop(_Base, selector_events.BaseSelectorEventLoop):
    """An event loop that opens connections."""

    def __init__(self):
        super().__init__(_Selector())

    async def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0):
        """As every loop has it, but all waits: there is no thread to look names up in."""
        return socket.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr, flags=0):
        """As every loop has it, but all waits."""
        return socket.getnameinfo(sockaddr, flags)

    def _hang_up(self):
        if self._transports:
            for transport in list(self._transports.values()):
                transport.abort()
            # Those are told in the turn that follows.
            self.run_until_complete(asyncio.sleep(0))
            self.run_until_complete(asyncio.sleep(0))

    def _process_events(self, event_list):
        heard = [event for event in event_list if len(event) == 3]
        _Base._process_events(self, heard)
        ready = [event for event in event_list if len(event) == 2]
        selector_events.BaseSelectorEventLoop._process_events(self, ready)

    def _make_self_pipe(self):
        # Whoever calls from another thread wakes a loop by this; there is no other thread.
        self._ssock = self._csock = None

    def _close_self_pipe(self):
        pass


def _read(path):
    """What is in a file; nothing if there is none, or too much."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError:
        return b""
    return data if len(data) <= LARGEST else b""


def _authorities():
    """The certificates that this system trusts, in one text."""
    paths = ssl.get_default_verify_paths()
    for place in [paths.cafile, *BUNDLES]:
        text = _read(place) if place else b""
        if b"-----BEGIN" in text:
            return text.decode("ascii", "replace")
    texts = {}
    for name in sorted(os.listdir(paths.capath)) if paths.capath else ():
        place = os.path.realpath(os.path.join(paths.capath, name))
        texts[place] = texts.get(place) or _read(place)
    return b"\n".join(text for text in texts.values() if b"-----BEGIN" in text).decode("ascii", "replace")


def _trust(authorities):
    """Has TLS trust these where it would read the system's files."""

    def set_default_verify_paths(self):
        """Loads the certificates that this system trusts, as they were when the node started."""
        if authorities:
            self.load_verify_locations(cadata=authorities)

    ssl.SSLContext.set_default_verify_paths = set_default_verify_paths


def files():
    """The files that names are found by, and the certificates of the package `certifi` if it was imported, by their paths."""
    found = {path: _read(path) for path in ("/etc/resolv.conf", "/etc/hosts")}
    found["/etc/nsswitch.conf"] = ORDER
    certifi = sys.modules.get("certifi")
    if certifi is not None:
        path = os.path.abspath(certifi.where())
        found[path] = _read(path)
    return [(path, data) for path, data in found.items() if data]


_loop.Loop = Loop
_loop._install()
_trust(_authorities())
