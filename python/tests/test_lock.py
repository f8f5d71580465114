"""The lock, seen from inside: what a script finds when it looks for a way out of its cell.

Each layer is tried by doing what it forbids, or by asking the kernel about the process. The system calls have tests of
their own.
"""

import json
import os
import subprocess
import sys
import unittest

import node

LAYERS = [
    "session", "descriptors", "no_root", "not_dumpable", "dies_with_zygote", "namespaces", "no_new_privileges", "landlock",
    "limits", "seccomp",
]  # fmt: skip


# What a process must be permitted for the layer `namespaces`: mount, UTS, IPC, network, and a user namespace unless it is root.
NAMESPACES = 0x6C020000 | (0x10000000 if os.geteuid() else 0)
PERMITTED = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare({NAMESPACES}) != 0)"

# A system that does not permit something: a filter that answers EPERM to one system call and lets all else pass.
FILTER = """
import ctypes, platform, struct
number = NUMBERS[platform.machine()]
program = struct.pack("<" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x50001, 6, 0, 0, 0x7FFF0000)
filter = ctypes.create_string_buffer(program)
header = struct.pack("<HxxxxxxQ", 4, ctypes.addressof(filter))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header) == 0
"""
NO_UNSHARE = FILTER.replace("NUMBERS", "{'x86_64': 272, 'aarch64': 97}")
NO_NAME = FILTER.replace("NUMBERS", "{'x86_64': 170, 'aarch64': 161}")


def setUpModule():
    global zygote, LAYERS
    zygote = node.Zygote()
    if subprocess.run([sys.executable, "-c", PERMITTED], check=False).returncode != 0:
        print("this system does not permit namespaces: they are not tested")
        LAYERS = [layer for layer in LAYERS if layer != "namespaces"]


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with cells that are all gone at its end."""

    def cell(self, **more):
        cell = zygote.cell(**more)
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        return cell

    def inside(self, body, **more):
        """What a utility with this body answers."""
        cell = self.cell(**more)
        text = "import os, sys\ndef main():\n" + "".join(f"    {line}\n" for line in body.split("\n"))
        self.assertEqual(cell.load(text, "utility")[0], "loaded")
        name, answer = cell.call("null")
        self.assertEqual(name, "return", answer)
        return json.loads(answer["value"])

    def status(self, cell):
        """What the kernel tells everyone about a process."""
        with open(f"/proc/{cell.pid}/status") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Layers(Case):
    def test_every_layer_is_reported_in_its_order(self):
        cell = self.cell()
        self.assertEqual(cell.hello[:2], ("hello", 0))
        self.assertEqual(cell.hello[2]["layers"], LAYERS)

    def test_a_cell_is_not_root_and_has_no_capabilities(self):
        cell = self.cell()
        status = self.status(cell)
        self.assertNotIn("0", status["Uid"].split() + status["Gid"].split())
        self.assertEqual(status["Groups"].split() if os.getuid() == 0 else [], [])
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)

    def test_the_environment_is_empty_and_the_arguments_say_nothing(self):
        environment, path, name = self.inside("return [dict(os.environ), os.getcwd(), sys.argv[0]]")
        self.assertEqual(set(environment) - {"LC_CTYPE"}, set(node.SANITIZER))
        self.assertEqual((path, name), ("/", "-c"))

    def test_only_the_pipe_the_page_and_the_null_device_are_open(self):
        body = "import select\nall = select.poll()\nfor fd in range(16):\n    all.register(fd, select.POLLOUT)\n"
        body += "return [fd for fd, event in all.poll() if not event & select.POLLNVAL]"
        self.assertEqual(self.inside(body), [0, 1, 2, 3, 4])
        standard = self.inside("return [len(os.read(0, 1)), os.write(1, b'x'), os.write(2, b'x')]")
        self.assertEqual(standard, [0, 1, 1])

    def test_the_session_is_the_zygotes_and_the_group_the_cells_own(self):
        found = self.inside("return [os.getsid(0) == os.getppid(), os.getpgid(0) == os.getpid()]")
        self.assertEqual(found, [True, True])

    def test_the_kernel_says_that_no_privileges_come_and_calls_are_filtered(self):
        status = self.status(self.cell())
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"], status["Threads"]), ("1", "2", "1"))

    def test_the_zygote_is_not_locked_with_its_cells(self):
        with open(f"/proc/{zygote.process.pid}/status") as file:
            self.assertIn("NoNewPrivs:\t0\n", file.read())
        self.assertEqual(self.cell().hello[0], "hello")

    def test_the_limits_are_in_force(self):
        with open(f"/proc/{self.cell().pid}/limits") as file:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in file}
        for kind, most in [
            ("Max core file size", 0),
            ("Max file size", 4096),
            ("Max processes", 0),
            ("Max open files", 16),
        ]:
            self.assertEqual(limits[kind], [str(most)] * 2, kind)
        soft, hard = limits["Max address space"]
        self.assertEqual(soft, hard)
        self.assertGreater(int(soft), node.MEMORY)

    def test_memory_is_counted_on_top_of_what_the_zygote_has(self):
        body = "sizes = []\nfor mib in (40, 120):\n    try:\n        sizes.append(len(bytearray(mib << 20)) >> 20)\n"
        body += "    except MemoryError:\n        sizes.append(None)\nreturn sizes"
        self.assertEqual(self.inside(body, memory=96 << 20), [40, None])
        self.assertEqual(self.inside(body, memory=256 << 20), [40, 120])

    def test_nobody_but_root_may_look_into_a_cell(self):
        cell = zygote.cell()
        self.assertEqual(os.stat(f"/proc/{cell.pid}/status").st_uid, 0)
        cell.hang_up()
        cell.ended()

    def test_no_signal_is_blocked(self):
        body = "import signal\nreturn len(signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        self.assertEqual(self.inside(body), 0)

    def test_what_no_cell_may_do_is_refused_when_a_cell_tries(self):
        cell = zygote.cell()
        name, tried = cell.ask("attempt", None)
        self.assertEqual((name, tried["allowed"], len(tried["refused"])), ("attempted", [], 6))
        cell.hang_up()
        cell.ended()

    def test_the_extension_module_cannot_be_imported(self):
        self.assertEqual(self.inside("try:\n    import _callboard\nexcept ImportError:\n    return 'none'"), "none")


def namespaces(process):
    """The namespaces that a process is in."""
    kinds = ["ipc", "mnt", "net", "user", "uts"]
    return {kind: os.readlink(f"/proc/{process}/ns/{kind}") for kind in kinds}


class Namespaces(unittest.TestCase):
    """What the zygote has left before its first fork. Cells are looked at through it: nobody may look into them."""

    def start(self, **more):
        """A zygote, one cell of it, and the namespaces that are not this process's."""
        started = node.Zygote(**more)
        self.addCleanup(started.close)
        cell = started.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        ours, theirs = namespaces("self"), namespaces(started.process.pid)
        return started, cell, {kind for kind in ours if ours[kind] != theirs[kind]}

    def setUp(self):
        if "namespaces" not in LAYERS and "without" not in self.id():
            self.skipTest("this system does not permit namespaces")

    def users(self):
        return {"user"} if os.geteuid() else set()

    def test_no_network_no_shared_memory_and_no_mount_is_the_machines(self):
        _, _, left = self.start()
        self.assertEqual(left, {"ipc", "mnt", "net", "uts"} | self.users())

    def test_the_root_is_empty_and_cannot_be_written(self):
        started, _, _ = self.start()
        self.assertEqual(os.listdir(f"/proc/{started.process.pid}/root/"), [])
        with open(f"/proc/{started.process.pid}/mounts") as file:
            mounts = [line.split() for line in file]
        self.assertEqual([(mount[1], mount[2]) for mount in mounts], [("/", "tmpfs")])
        self.assertLessEqual({"ro", "nosuid", "nodev", "noexec"}, set(mounts[0][3].split(",")))

    def test_the_network_has_nothing_in_it(self):
        started, _, _ = self.start()
        with open(f"/proc/{started.process.pid}/net/dev") as file:
            interfaces = [line.split(":")[0].strip() for line in file if ":" in line]
        self.assertLessEqual(set(interfaces), {"lo", "sit0", "tunl0", "ip6tnl0", "gre0", "gretap0", "erspan0"})
        with open(f"/proc/{started.process.pid}/net/route") as file:
            self.assertEqual(file.readlines()[1:], [])

    def test_the_machines_name_is_not_told(self):
        _, cell, _ = self.start()
        cell.load("import os\ndef main(): return os.uname().nodename", "utility")
        self.assertEqual(cell.call("null")[1]["value"], b'"cell"')

    def test_a_zygote_with_network_keeps_that_and_nothing_else(self):
        _, cell, left = self.start(network=True)
        self.assertEqual(left, {"ipc", "mnt", "uts"} | self.users())
        self.assertIn("namespaces", cell.hello[2]["layers"])

    def test_a_name_that_cannot_be_chosen_costs_nothing_else(self):
        _, cell, left = self.start(before=NO_NAME)
        self.assertEqual(left, {"ipc", "mnt", "net", "uts"} | self.users())
        self.assertIn("namespaces", cell.hello[2]["layers"])

    def test_without_the_permission_the_zygote_goes_on_and_cells_say_so(self):
        _, cell, left = self.start(before=NO_UNSHARE)
        self.assertEqual(left, set())
        self.assertEqual(cell.hello[2]["layers"], [layer for layer in LAYERS if layer != "namespaces"])
        cell.load("def main(): return 1", "utility")
        self.assertEqual(cell.call("null")[1]["value"], b"1")


class Forbidden(Case):
    """What scripts try first. A refused call is an error that a script can handle, not the end of its cell."""

    def refused(self, statement, setup=""):
        body = f"{setup}\ntry:\n    {statement}\nexcept PermissionError as e:\n    return ['PermissionError', e.errno]\n"
        return self.inside(body + "return 'done'")

    def test_no_file_can_be_read_written_listed_or_asked_about(self):
        for statement in [
            "open('/etc/passwd')",
            "open('/proc/self/status')",
            "open('/tmp/x', 'w')",
            "os.listdir('/')",
            "os.stat('/')",
            "os.mkdir('/tmp/x')",
            "os.remove('/tmp/x')",
            "os.readlink('/proc/self/exe')",
            "os.symlink('/', '/tmp/x')",
            "os.chdir('/tmp')",
            "os.memfd_create('x')",
        ]:
            with self.subTest(statement=statement):
                self.assertEqual(self.refused(statement), ["PermissionError", 1])

    def test_no_socket_can_be_made(self):
        for family in ["AF_INET", "AF_INET6", "AF_UNIX"]:
            answer = self.refused(f"socket.socket(socket.{family})", "import socket")
            self.assertEqual(answer, ["PermissionError", 1])

    def test_no_process_can_be_started_or_signalled(self):
        self.assertEqual(self.refused("os.fork()"), ["PermissionError", 1])
        self.assertEqual(self.refused("os.execv('/bin/sh', ['sh'])"), ["PermissionError", 1])
        self.assertEqual(self.refused("os.kill(os.getppid(), 0)"), ["PermissionError", 1])
        self.assertEqual(self.refused("subprocess.run(['true'])", "import subprocess"), ["PermissionError", 1])

    def test_no_thread_can_be_started(self):
        body = "import threading\ntry:\n    threading.Thread(target=print).start()\n"
        body += "except RuntimeError as e:\n    return str(e)"
        self.assertEqual(self.inside(body), "can't start new thread")

    def test_no_memory_can_be_made_executable(self):
        executable = "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)"
        self.assertEqual(self.refused(executable, "import mmap"), ["PermissionError", 1])
        self.assertEqual(self.refused("mmap.mmap(-1, 4096).close()", "import mmap"), "done")

    def test_no_limit_can_be_raised(self):
        body = "import resource as r\ntry:\n    r.setrlimit(r.RLIMIT_AS, (-1, -1))\n"
        body += "except PermissionError as e:\n    return e.strerror"
        self.assertIn("resource.setrlimit is refused", self.inside(body))

    def test_the_identity_cannot_be_changed(self):
        for statement in ["os.setuid(0)", "os.setgid(0)", "os.setgroups([])", "os.setsid()", "os.nice(-1)"]:
            with self.subTest(statement=statement):
                self.assertEqual(self.refused(statement), ["PermissionError", 1])


if __name__ == "__main__":
    unittest.main()
