"""What a cell can do that was granted the network, wholly or for some ports, and that it can do nothing else.

All servers here are on the machine's own interface. What closed cells may do has tests of their own.
"""

import http.server
import importlib.machinery
import json
import os
import socket
import threading
import time
import unittest
from pathlib import Path

import node

SCRIPT = """
import asyncio, errno, http.client, os, select, selectors, socket, ssl, sys, urllib.request
held = []

def main(given):
    found = []
    for case in given["cases"]:
        try:
            found.append(eval(case, globals(), {"port": given["port"], "other": given["other"], "udp": given["udp"]}))
        except Exception as error:
            found.append([type(error).__name__, getattr(error, "errno", None)])
    return found

def exchange(port, family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as connected:
        connected.settimeout(20)
        connected.connect((host, port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: connected.recv(100), b"")).endswith(b"hello")

def datagram(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        sender.sendto(b"ping", ("127.0.0.1", port))
        return sender.recv(10).decode()

def select_with(kind, port):
    with getattr(selectors, kind)() as selector, socket.create_connection(("127.0.0.1", port)) as connected:
        selector.register(connected, selectors.EVENT_WRITE)
        return [key.fileobj is connected for key, _ in selector.select(20)]

async def stream(port, host="127.0.0.1"):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    await writer.drain()
    text = await reader.read()
    writer.close()
    await writer.wait_closed()
    return text.decode().endswith("hello")

async def many(port):
    return await asyncio.gather(*[stream(port) for _ in range(20)])

async def leave_open(port):
    held.append(await asyncio.open_connection("127.0.0.1", port))

async def datagrams(port):
    loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            answer.set_result(data.decode())
    transport, _ = await loop.create_datagram_endpoint(Protocol, remote_addr=("127.0.0.1", port))
    transport.sendto(b"ping")
    return await answer

def descriptors():
    poll = select.poll()
    for number in range(256):
        poll.register(number, select.POLLOUT)
    return sum(not event & select.POLLNVAL for _, event in poll.poll())
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request with the same word."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def policy(of):
    """A part of the policy, as it is compiled into the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_callboard", node.LIBRARY)
    module = loader.create_module(importlib.machinery.ModuleSpec("_callboard", loader, origin=node.LIBRARY))
    loader.exec_module(module)
    return module.system_calls(of)


def echo(served):
    """Sends every datagram back, until the socket is closed."""
    while True:
        try:
            data, sender = served.recvfrom(100)
        except OSError:
            return
        served.sendto(data, sender)


def setUpModule():
    global zygote, servers, udp
    zygote = node.Zygote(network=True)
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    for run in [*[server.serve_forever for server in servers], lambda: echo(udp)]:
        threading.Thread(target=run, daemon=True).start()


def tearDownModule():
    zygote.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    udp.close()


class Case(unittest.TestCase):
    """A test with cells that are all gone at its end."""

    def cell(self, *capabilities):
        cell = zygote.cell(capabilities=capabilities)
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        self.assertEqual(cell.load(SCRIPT, "utility")[0], "loaded")
        return cell

    def results(self, cell, *cases):
        port, other = (server.server_address[1] for server in servers)
        given = {"cases": cases, "port": port, "other": other, "udp": udp.getsockname()[1]}
        name, answer = cell.call(json.dumps(given))
        self.assertEqual(name, "return", answer)
        return json.loads(answer["value"])

    def some(self):
        """A capability for the first server's port alone."""
        return f"network:{servers[0].server_address[1]}"


class Open(Case):
    def test_connections_are_opened_by_every_means_of_the_standard_library(self):
        cases = [
            "exchange(port)",
            "http.client.HTTPConnection('127.0.0.1', port).connect()",
            "urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=20).read().decode()",
            "urllib.request.urlopen(f'http://localhost:{port}/', timeout=20).read().decode()",
            "select_with('DefaultSelector', port)",
            "select_with('PollSelector', port)",
            "select_with('SelectSelector', port)",
            "asyncio.run(stream(port))",
            "asyncio.run(stream(port, 'localhost'))",
            "asyncio.run(many(port)) == [True] * 20",
        ]
        found = self.results(self.cell("network"), *cases)
        expected = [True, None, "hello", "hello", [True], [True], [True], True, True, True]
        self.assertEqual(dict(zip(cases, found)), dict(zip(cases, expected)))

    def test_datagrams_are_sent_and_received(self):
        found = self.results(self.cell("network"), "datagram(udp)", "asyncio.run(datagrams(udp))")
        self.assertEqual(found, ["ping", "ping"])

    def test_names_of_the_machine_are_looked_up_without_asking_anyone(self):
        case = "sorted({address[0] for *_, address in socket.getaddrinfo('localhost', 80, proto=socket.IPPROTO_TCP)})"
        found = self.results(self.cell("network"), case)[0]
        self.assertLessEqual(set(found), {"127.0.0.1", "::1"})
        self.assertTrue(found)

    def test_tls_trusts_what_the_system_trusts(self):
        trusted = len(__import__("ssl").create_default_context().get_ca_certs())
        found = self.results(self.cell("network"), "len(ssl.create_default_context().get_ca_certs())")[0]
        self.assertGreaterEqual(found, trusted)

    def test_a_connection_that_nobody_accepts_fails_as_everywhere(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            found = self.results(self.cell("network"), f"exchange({unused.getsockname()[1]})")
        self.assertEqual(found, [["ConnectionRefusedError", 111]])

    def test_what_a_call_leaves_open_in_the_loop_is_closed_after_it(self):
        asynchronous = SCRIPT + "\nasync def leave(given):\n    await leave_open(given)\n    return descriptors()\n"
        cell = zygote.cell(capabilities=["network"])
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        cell.load(asynchronous, "utility", entrypoint="leave")
        port = json.dumps(servers[0].server_address[1])
        counts = [json.loads(cell.call(port, entrypoint="leave")[1]["value"]) for _ in range(3)]
        self.assertEqual(counts, [6, 6, 6])

    def test_a_call_that_waits_for_a_connection_hears_that_it_is_cancelled(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            body = f"""
import asyncio
async def main():
    reader, _ = await asyncio.open_connection("127.0.0.1", {silent.getsockname()[1]})
    try:
        await reader.read(1)
    except asyncio.CancelledError:
        return "cancelled"
"""
            cell = zygote.cell(capabilities=["network"])
            self.addCleanup(cell.ended)
            self.addCleanup(cell.hang_up)
            cell.load(body, "utility")
            sequence = cell.write("call", node.call("null"))
            accepted, _ = silent.accept()
            with accepted:
                end = time.monotonic() + node.PATIENCE
                while cell.waits != sequence:
                    self.assertLess(time.monotonic(), end)
                    os.sched_yield()
                cell.cancel(sequence)
                self.assertEqual(cell.receive()[2]["value"], b'"cancelled"')


class Closed(Case):
    """What stays shut beside an open network."""

    def test_nobody_can_connect_to_a_cell(self):
        cases = [
            "socket.create_server(('127.0.0.1', 0))",
            "socket.socket().bind(('127.0.0.1', 0))",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(('127.0.0.1', 0))",
            "socket.socket().listen()",
            "asyncio.run(asyncio.start_server(print, '127.0.0.1', 0))",
        ]
        for capability in ("network", self.some()):
            found = self.results(self.cell(capability), *cases)
            self.assertLessEqual({name for name, _ in found}, {"Refused", "PermissionError"}, found)

    def test_sockets_are_of_ip_and_neither_local_nor_raw(self):
        families = "AF_UNIX AF_NETLINK AF_PACKET AF_VSOCK AF_ALG AF_BLUETOOTH AF_CAN AF_RDS AF_TIPC".split()
        families = [family for family in families if hasattr(socket, family)]
        kinds = ["SOCK_RAW", "SOCK_SEQPACKET", "SOCK_RDM"]
        cases = [f"socket.socket(socket.{family}, socket.{kind})" for family in families for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW")]
        cases += [f"socket.socket(socket.{family}, socket.{kind})" for family in ("AF_INET", "AF_INET6") for kind in kinds]
        # SCTP, ICMP, several ways at once, UDP-Lite.
        for kind, protocol in [("STREAM", 132), ("DGRAM", 1), ("STREAM", 262), ("DGRAM", 136)]:
            cases.append(f"socket.socket(socket.AF_INET, socket.SOCK_{kind}, {protocol})")
        cases.append("socket.socketpair()")
        for capability in ("network", self.some()):
            found = self.results(self.cell(capability), *cases)
            wrong = {case: answer for case, answer in zip(cases, found) if answer not in (["Refused", 1], ["PermissionError", 1])}
            self.assertEqual(wrong, {})

    def test_files_programs_and_threads_stay_refused(self):
        cases = [
            "open('/etc/hosts').read()",
            "open('/etc/passwd').read()",
            "os.listdir('/')",
            "os.open('/etc/passwd', os.O_RDONLY)",
            "os.open('/etc', os.O_RDONLY | os.O_DIRECTORY)",
            "os.open('/etc/hosts', os.O_RDWR)",
            "os.stat('/etc/passwd').st_size",
            "os.stat('/proc/self').st_mode",
            "os.fork()",
            "os.system('true')",
            "__import__('threading').Thread(target=print).start()",
            "os.memfd_create('x')",
            "ssl.create_default_context(cafile='/etc/passwd')",
        ]
        found = dict(zip(cases, self.results(self.cell("network"), *cases)))
        for case, answer in found.items():
            self.assertIn(answer[0], {"Refused", "PermissionError", "RuntimeError", "FileNotFoundError", "OSError"}, case)

    def test_the_pipe_is_no_socket_to_a_script(self):
        cases = [
            "socket.socket(fileno=3).getpeername()",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=3).getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=3).setblocking(False)",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=3).sendmsg([b'x'])",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=3).send(b'x')",
            "socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=3).shutdown(socket.SHUT_RD)",
        ]
        # A socket object that is collected closes its descriptor, which here would be the pipe.
        kept = [f"held.append({case.partition(').')[0]})) or held[-1].{case.partition(').')[2]}" for case in cases]
        found = self.results(self.cell("network"), *kept)
        self.assertLessEqual({name for name, _ in found}, {"Refused", "PermissionError"}, found)

    def test_options_that_are_programs_for_the_kernel_are_refused(self):
        cases = [
            f"socket.socket().setsockopt(socket.SOL_SOCKET, {option}, bytes(16))" for option in (26, 49, 50, 51, 52)
        ] + [
            "socket.socket().setsockopt(socket.IPPROTO_IP, 64, bytes(84))",
            "socket.socket().setsockopt(socket.IPPROTO_TCP, 31, b'tls')",
            "socket.socket().setsockopt(socket.IPPROTO_TCP, 13, b'reno')",
            "socket.socket().getsockopt(socket.IPPROTO_TCP, 35, 64)",
        ]
        found = self.results(self.cell("network"), *cases)
        self.assertEqual(found, [["PermissionError", 1]] * len(cases))

    def test_a_cell_without_the_capability_is_closed_whoever_forks_it(self):
        cell = zygote.cell()
        name, tried = cell.ask("attempt", None)
        self.assertEqual((name, tried["allowed"]), ("attempted", []))
        cell.hang_up()
        cell.ended()
        cases = ["socket.socket()", "socket.getaddrinfo('localhost', 80)", "os.stat('/etc/hosts')"]
        found = self.results(self.cell(), *cases)
        self.assertLessEqual({name for name, _ in found}, {"Refused", "PermissionError"}, found)

    def test_a_folder_that_is_granted_besides_is_all_that_is_read(self):
        found = self.results(self.cell("network", "files:read:/proc"), "open('/etc/hosts').read()[:0]", "os.listdir('/')")
        self.assertEqual(found[1][0], "PermissionError")


class Ports(Case):
    """Some TCP ports and nothing else."""

    def test_only_the_ports_that_were_granted_are_reached(self):
        cases = [
            "exchange(port)",
            "asyncio.run(stream(port, 'localhost'))",
            "exchange(other)",
            "asyncio.run(stream(other))",
            "urllib.request.urlopen(f'http://127.0.0.1:{other}/', timeout=20)",
        ]
        found = self.results(self.cell(self.some()), *cases)
        self.assertEqual(found[:2], [True, True])
        self.assertEqual([name for name, _ in found[2:]], ["Refused", "Refused", "URLError"], found)

    def test_the_kernel_keeps_the_ports_whatever_python_says(self):
        # As an address, the port is read by the audit hook once and by the interpreter again.
        hidden = "socket.socket().connect(type('A', (tuple,), {'__getitem__': lambda s, i: port})(('127.0.0.1', other)))"
        found = self.results(self.cell(self.some()), hidden, "socket.socket().connect_ex(('127.0.0.1', other))")
        self.assertEqual(found[0], ["PermissionError", 13])

    def test_datagrams_and_early_data_are_no_way_around(self):
        cases = [
            "datagram(udp)",
            "asyncio.run(datagrams(udp))",
            "socket.socket().sendto(b'GET / HTTP/1.0\\r\\n\\r\\n', 0x20000000, ('127.0.0.1', other))",
            "socket.socket().sendmsg([b'GET / HTTP/1.0\\r\\n\\r\\n'], [], 0x20000000, ('127.0.0.1', other))",
            "socket.socket().setsockopt(socket.IPPROTO_TCP, 30, 1)",
        ]
        found = self.results(self.cell(self.some()), *cases)
        self.assertLessEqual({(name, number) for name, number in found}, {("Refused", 1), ("PermissionError", 1)}, found)

    def test_several_grants_come_together(self):
        both = [f"network:{server.server_address[1]}" for server in servers]
        self.assertEqual(self.results(self.cell(*both), "exchange(port)", "exchange(other)"), [True, True])
        self.assertEqual(self.results(self.cell(both[0], "network"), "exchange(other)", "datagram(udp)"), [True, "ping"])


class Names(Case):
    """What names are found by is copied into a root that has nothing else."""

    def test_the_root_holds_the_files_for_names_and_no_others(self):
        place = f"/proc/{zygote.process.pid}/root"
        if os.stat(place).st_ino == os.stat("/").st_ino and os.stat(place).st_dev == os.stat("/").st_dev:
            self.skipTest("this system does not permit namespaces")
        found = sorted(os.path.join(at, name)[len(place) :] for at, _, names in os.walk(place) for name in names)
        self.assertLessEqual(set(found), {"/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"})
        self.assertIn("/etc/nsswitch.conf", found)
        with open(f"/proc/{zygote.process.pid}/mounts") as file:
            options = [line.split()[3].split(",") for line in file]
        self.assertLessEqual({"ro", "nosuid", "nodev", "noexec"}, set(options[0]))

    def test_a_name_that_the_hosts_file_has_not_is_asked_for(self):
        # Nobody answers: that it is asked at all shows as another error than that of a closed cell.
        found = self.results(self.cell("network:9"), "socket.getaddrinfo('name.invalid', 80)")[0]
        self.assertEqual(found[0], "gaierror")


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
