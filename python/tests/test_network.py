"""What a cell can do that was granted the network, wholly or for some ports, and that it can do nothing else.

All servers here are on the machine's own interface. What closed cells may do has tests of their own.
"""

import http.server
import json
import os
import socket
import threading
import time
import unittest

import node
import test_lock

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
    try:
        reader, _ = await asyncio.open_connection("127.0.0.1", {silent.getsockname()[1]})
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


class WithoutNamespaces(Case):
    """Where the system permits no namespaces, the machine's files are there, and Landlock alone keeps them shut."""

    def test_names_are_found_and_no_other_file_is(self):
        alone = node.Zygote(before=test_lock.NO_UNSHARE, network=True)
        self.addCleanup(alone.close)
        cell = alone.cell(capabilities=["network"])
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        self.assertNotIn("namespaces", cell.hello[2]["layers"])
        self.assertEqual(cell.load(SCRIPT, "utility")[0], "loaded")
        cases = [
            "asyncio.run(stream(port, 'localhost'))",
            "os.stat('/etc/hosts').st_size > 0",
            # What opens files where Python does not announce it: no certificate is in this one, but it is read.
            "ssl.create_default_context(cafile='/etc/hosts')",
            "ssl.create_default_context(cafile='/etc/passwd')",
            "ssl.create_default_context(cafile='/proc/self/environ')",
            "ssl.create_default_context(cafile='/proc/self/maps')",
            "os.stat('/etc/passwd').st_size",
            "os.stat('/etc').st_mode",
        ]
        found = self.results(cell, *cases)
        self.assertEqual(found[:2], [True, True])
        self.assertEqual([name for name, _ in found[2:]], ["SSLError"] + ["PermissionError"] * 5, found)


if __name__ == "__main__":
    unittest.main()
