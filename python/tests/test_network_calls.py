"""The system calls of cells that were granted the network, by what they are made with, and names that are asked for.

What a script can do by them has tests of its own beside this.
"""

import importlib.machinery
import json
import os
import socket
import threading
import unittest
from pathlib import Path

import node


def policy(of):
    """A part of the policy, as it is compiled into the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    return module.system_calls(of)


# Makes calls past Python, and answers their error numbers.
RAW = """
import ctypes
call = ctypes.CDLL(None, use_errno=True).syscall
call.restype = ctypes.c_long
def main(calls):
    found = []
    for number, *arguments in calls:
        ctypes.set_errno(0)
        call(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        found.append(ctypes.get_errno())
    return found
"""
STREAM, DATAGRAMS, CLOEXEC, NONBLOCK = 1, 2, 0x80000, 0x800
# Calls by name with their arguments: those that cells with any port make, then those that none does. A descriptor that is not
# open is as good as one that is.
MADE = [
    *[("socket", family, STREAM | flags, protocol) for family in (2, 10) for flags in (0, CLOEXEC, CLOEXEC | NONBLOCK) for protocol in (0, 6)],
    ("connect", 9, 0, 0), ("sendto", 9, 0, 0, 0x4000, 0, 0), ("sendmsg", 9, 0, 0x4000), ("sendmmsg", 9, 0, 0, 0x4000),
    ("recvfrom", 9, 0, 0, 0, 0, 0), ("recvmsg", 9, 0, 0), ("shutdown", 9, 2), ("getpeername", 9, 0, 0), ("getsockname", 9, 0, 0),
    *[("setsockopt", 9, 1, option, 0, 0) for option in (2, 7, 8, 9, 13, 20, 21)], ("setsockopt", 9, 0, 11, 0, 0), ("setsockopt", 9, 41, 25, 0, 0),
    *[(name, 9, 6, option, 0, 0) for name in ("setsockopt", "getsockopt") for option in (1, 4, 5, 6, 18)],
    *[("getsockopt", 9, 1, option, 0, 0) for option in (3, 4, 7, 8, 9, 38, 39)],
    ("ioctl", 9, 0x5421, 0), ("ioctl", 9, 0x541B, 0), ("openat", -100, 0, 0), ("openat", -100, 0, CLOEXEC), ("writev", 9, 0, 0),
    ("epoll_create1", 0), ("epoll_ctl", 9, 0, 0, 0), ("epoll_pwait", 9, 0, 0, 0, 0, 0),
]  # fmt: skip
WITH_DATAGRAMS = [("socket", family, DATAGRAMS | CLOEXEC | NONBLOCK, protocol) for family in (2, 10) for protocol in (0, 17)]
NEVER = [
    *[("socket", family, kind, 0) for family in range(48) if family not in (2, 10) for kind in (1, 2, 3, 5)],
    *[("socket", family, kind, 0) for family in (2, 10) for kind in (0, 3, 4, 5, 6, 10, 1 | 1 << 30)],
    *[("socket", family, STREAM, protocol) for family in (2, 10) for protocol in (1, 17, 132, 262, 256 + 6)],
    *[("socket", family, DATAGRAMS, protocol) for family in (2, 10) for protocol in (1, 6, 33, 58, 136)],
    *[("setsockopt", 9, 1, option, 0, 0) for option in range(80) if option not in (2, 7, 8, 9, 13, 20, 21)],
    *[("setsockopt", 9, 0, option, 0, 0) for option in range(80) if option != 11],
    *[("setsockopt", 9, 41, option, 0, 0) for option in range(80) if option != 25],
    *[("setsockopt", 9, level, option, 0, 0) for level in (17, 255, 263, 270, 282, 284) for option in (1, 4, 11, 64)],
    *[(name, 9, 6, option, 0, 0) for name in ("setsockopt", "getsockopt") for option in range(50) if option not in (1, 4, 5, 6, 18)],
    *[("getsockopt", 9, 1, option, 0, 0) for option in range(85) if option not in (3, 4, 7, 8, 9, 38, 39)],
    *[("getsockopt", 9, level, option, 0, 0) for level in (0, 41, 17, 255) for option in (1, 11, 25, 64)],
    ("sendto", 9, 0, 0, 0x20000000, 0, 0), ("sendmsg", 9, 0, 0x20000000), ("sendmmsg", 9, 0, 0, 0x20004000),
    ("bind", 9, 0, 0), ("listen", 9, 1), ("accept", 9, 0, 0), ("accept4", 9, 0, 0, 0), ("socketpair", 1, 1, 0, 0), ("recvmmsg", 9, 0, 0, 0, 0),
    *[("ioctl", 9, request, 0) for request in (0x5401, 0x5412, 0x8912, 0x8913, 0x8916, 0x89F0, 0x5452)],
    *[("openat", -100, 0, flags) for flags in (1, 2, 0x40, 0x200, 0x400, 0x200000, 0x410000)],
    # What the pipe, the page and the standard streams are not for.
    *[(name, fd, 0, 0, 0, 0, 0) for fd in range(5) for name in ("connect", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "shutdown", "getpeername", "getsockname")],
    *[(name, fd, 1, 4, 0, 0) for fd in range(5) for name in ("setsockopt", "getsockopt")], *[("ioctl", fd, 0x5421, 0) for fd in range(5)],
]  # fmt: skip


class Raw(unittest.TestCase):
    """The kernel's part alone, which looks at arguments: what Python announces is not asked here."""

    @classmethod
    def setUpClass(cls):
        cls.zygote = node.Zygote(before="import ctypes\n", network=True)
        text = (Path(__file__).parents[2] / "tests/security/calls.txt").read_text()
        place = 1 if os.uname().machine == "x86_64" else 2
        lines = [line.split() for line in text.splitlines() if line and line[0] != "#"]
        cls.numbers = {line[0]: int(line[place]) for line in lines if line[place] != "-"}

    @classmethod
    def tearDownClass(cls):
        cls.zygote.close()

    def refused(self, capability, calls):
        """Those of the calls that were not made."""
        cell = self.zygote.cell(capabilities=[capability])
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        self.assertEqual(cell.load(RAW, "utility")[0], "loaded")
        name, answer = cell.call(json.dumps([[self.numbers[name], *more] for name, *more in calls]))
        self.assertEqual(name, "return", answer)
        return [call for call, error in zip(calls, json.loads(answer["value"])) if error == 1]

    def test_calls_are_made_or_not_by_what_they_are_made_with(self):
        for capability, more in (("network", WITH_DATAGRAMS), ("network:9", [])):
            self.assertEqual(self.refused(capability, MADE + more), [], capability)
            others = NEVER + [call for call in WITH_DATAGRAMS if call not in more]
            refused = self.refused(capability, others)
            self.assertEqual([call for call in others if call not in refused], [], capability)

    def test_a_cell_without_the_capability_makes_none_of_them(self):
        cell = self.zygote.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        self.assertEqual(cell.load(RAW, "utility")[0], "loaded")
        calls = MADE + WITH_DATAGRAMS
        errors = json.loads(cell.call(json.dumps([[self.numbers[name], *more] for name, *more in calls]))[1]["value"])
        self.assertEqual([call for call, error in zip(calls, errors) if error != 1], [])


# Where a server of names can be that has a port which only root may have.
NAMES = "127.53.53.53"
# Has the zygote take that for the system's server.
ELSEWHERE = f"""
import builtins, io
real = builtins.open
builtins.open = lambda path, *more, **named: (
    io.BytesIO(b"nameserver {NAMES}\\noptions timeout:5 attempts:1\\n") if path == "/etc/resolv.conf" else real(path, *more, **named))
"""


def named(question):
    """What a server of names answers: every name is this machine's, by IPv4."""
    kind = question[question.index(b"\0", 12) + 2]
    asked = question[12 : question.index(b"\0", 12) + 5]
    found = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01" if kind == 1 else b""
    return question[:2] + b"\x81\x80\0\x01" + bytes([0, bool(found)]) + bytes(4) + asked + found


@unittest.skipIf(os.geteuid(), "a server of names needs a port that only root may have")
class Asked(unittest.TestCase):
    """Names that are asked for, at a real server on this machine."""

    def test_names_are_asked_for_by_datagrams_and_where_there_are_none_by_tcp(self):
        datagrams, streams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        zygote = node.Zygote(before=ELSEWHERE, network=True)
        for closed in (zygote, datagrams, streams):
            self.addCleanup(closed.close)
        asked = []
        try:
            for served in (datagrams, streams):
                served.bind((NAMES, 53))
        except PermissionError:
            self.skipTest("this system keeps port 53 from root too")
        streams.listen()

        def answer_datagrams():
            while True:
                try:
                    question, sender = datagrams.recvfrom(512)
                except OSError:
                    return
                asked.append("datagram")
                datagrams.sendto(named(question), sender)

        def answer_streams():
            while True:
                try:
                    accepted, _ = streams.accept()
                except OSError:
                    return
                with accepted, accepted.makefile("rwb") as file:
                    while size := file.read(2):
                        asked.append("stream")
                        answer = named(file.read(int.from_bytes(size, "big")))
                        file.write(len(answer).to_bytes(2, "big") + answer)
                        file.flush()

        for run in (answer_datagrams, answer_streams):
            threading.Thread(target=run, daemon=True).start()
        body = "import socket\ndef main():\n    found = socket.getaddrinfo('callboard.test', 80)\n    return sorted({a for *_, (a, *_) in found})"
        for capability, way in (("network", "datagram"), ("network:53", "stream")):
            cell = zygote.cell(capabilities=[capability])
            self.addCleanup(cell.ended)
            self.addCleanup(cell.hang_up)
            cell.load(body, "utility")
            name, answer = cell.call("null")
            self.assertEqual((name, answer.get("value")), ("return", b'["127.0.0.1"]'), answer)
            self.assertEqual(set(asked), {way})
            asked.clear()


class Policy(unittest.TestCase):
    def test_every_entry_has_a_reason_and_calls_are_not_in_two_lists(self):
        base = {number for _, number, _, _ in policy("cells")}
        for of in ("network", "ports"):
            entries = policy(of)
            self.assertTrue(all(reason for _, _, _, reason in entries))
            self.assertEqual(len({number for _, number, _, _ in entries}), len(entries))
            self.assertEqual({number for _, number, _, _ in entries} & base, set())
            names = {name for name, _, _, _ in entries}
            self.assertEqual(names & {"bind", "listen", "accept", "accept4", "socketpair"}, set())


if __name__ == "__main__":
    unittest.main()
