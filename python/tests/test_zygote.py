"""The zygote: that it starts, forks, reports every end, leaks nothing, and takes its cells along when it goes.

What cells do in between is tested elsewhere.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

import node
from packing import pack

ROUNDS = 1000


def descriptors(pid):
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Zygotes(unittest.TestCase):
    def setUp(self):
        self.zygote = node.Zygote()
        self.addCleanup(self.zygote.socket.close)
        self.addCleanup(self.zygote.process.wait)
        self.addCleanup(self.zygote.process.kill)

    def test_it_says_what_it_is(self):
        ready = self.zygote.ready
        self.assertEqual((ready["op"], ready["protocol"], ready["abi"]), ("ready", 2, 1))
        self.assertEqual(ready["python"], "%d.%d.%d" % sys.version_info[:3])
        self.assertGreater(ready["modules"], 200)

    def test_it_is_one_thread_without_an_environment(self):
        self.assertEqual(os.listdir(f"/proc/{self.zygote.process.pid}/task"), [str(self.zygote.process.pid)])
        with open(f"/proc/{self.zygote.process.pid}/environ", "rb") as file:
            self.assertEqual(file.read(), b"")

    def test_it_ends_with_its_standard_input_and_takes_its_cells_along(self):
        cells = [self.zygote.cell() for _ in range(3)]
        cells[0].load("def main():\n    while True: pass", "utility")
        cells[0].write("call", node.call("null"))
        self.assertEqual(self.zygote.close(), 0)
        self.assert_gone(cells)

    def test_its_cells_die_when_it_is_killed(self):
        cells = [self.zygote.cell() for _ in range(3)]
        cells[1].load("def main():\n    return 'x' * 3_000_000", "utility")
        cells[1].write("call", node.call("null"))
        self.zygote.process.kill()
        self.assert_gone(cells)

    def test_it_outlives_an_interrupt_and_ends_at_a_termination(self):
        self.zygote.process.send_signal(signal.SIGINT)
        cell = self.zygote.cell()
        os.kill(cell.pid, signal.SIGINT)
        self.assertEqual(cell.load("def main(): pass", "utility")[0], "loaded")
        self.zygote.process.terminate()
        self.assertEqual(self.zygote.process.wait(node.PATIENCE), -signal.SIGTERM)
        self.assert_gone([cell])

    def test_messages_that_no_node_sends_end_it(self):
        good = {"op": "fork", "cell": 1, "limits": {"memory": 1 << 28}}
        null = os.open("/dev/null", os.O_RDWR)
        self.addCleanup(os.close, null)
        for data, count in [
            (b"\xc1", 2), (pack({"op": "other"}), 0), (pack({**good, "limits": {}}), 2), (pack(good), 0),
            (pack(good), 1), (pack(good), 3), (pack(good)[:-1], 2), (bytes(20_000), 0), (pack([]), 2),
        ]:  # fmt: skip
            with self.subTest(data=data[:40], count=count):
                zygote = node.Zygote()
                socket.send_fds(zygote.socket, [data], [null] * count)
                self.assertEqual(zygote.process.wait(node.PATIENCE), 70)
                zygote.socket.close()

    def test_a_cell_without_a_real_page_ends_and_is_reported(self):
        ours, theirs = socket.socketpair()
        page = os.memfd_create("page")
        os.ftruncate(page, 4095)
        self.zygote.send({"op": "fork", "cell": 9, "limits": {"memory": 1 << 28}}, [theirs.fileno(), page])
        theirs.close()
        os.close(self.zygote.await_forked(9)[1])
        self.assertEqual(self.zygote.exited(9)["status"], 70)
        self.assertEqual(ours.recv(1), b"")
        ours.close()
        os.close(page)

    def test_the_descriptor_that_comes_with_a_cell_is_that_cells(self):
        cell = self.zygote.cell()
        with open(f"/proc/self/fdinfo/{cell.pidfd}") as file:
            self.assertIn(f"Pid:\t{cell.pid}\n", file.read())
        signal.pidfd_send_signal(cell.pidfd, signal.SIGKILL)
        report = cell.ended()
        self.assertEqual((report["signal"], report["status"]), (9, None))
        self.assertGreater(report["peak"], 1 << 20)

    def test_a_thousand_cells_come_and_go_without_a_trace(self):
        first = self.zygote.cell()
        first.hang_up()
        first.ended()
        before = descriptors(self.zygote.process.pid), descriptors("self"), self.memory()
        for _ in range(ROUNDS):
            cell = self.zygote.cell()
            cell.hang_up()
            cell.ended()
        after = descriptors(self.zygote.process.pid), descriptors("self"), self.memory()
        self.assertEqual(before[:2], after[:2])
        self.assertLess(after[2], before[2] + 256)
        with open(f"/proc/{self.zygote.process.pid}/task/{self.zygote.process.pid}/children") as file:
            self.assertEqual(file.read(), "")

    def test_many_cells_at_once_are_told_apart(self):
        cells = [self.zygote.cell() for _ in range(40)]
        for cell in cells:
            cell.load(f"def main(): return {cell.number}", "utility")
        for cell in cells:
            cell.write("call", node.call("null"))
        for cell in reversed(cells):
            self.assertEqual(cell.receive()[2]["value"], str(cell.number).encode())
        for cell in cells:
            cell.hang_up()
        self.assertEqual([cell.ended()["cell"] for cell in cells], [cell.number for cell in cells])

    def test_random_numbers_differ_between_cells(self):
        numbers = set()
        for _ in range(5):
            cell = self.zygote.cell()
            cell.load("import random, uuid\ndef main(): return [random.random(), uuid.uuid4()]", "utility")
            numbers.add(cell.call("null")[1]["value"])
            cell.hang_up()
            cell.ended()
        self.assertEqual(len(numbers), 5)

    def assert_gone(self, cells):
        """Waits until the processes of cells that nobody reports any more have ended."""
        for cell in cells:
            ready, _, _ = select.select([cell.pidfd], [], [], node.PATIENCE)
            self.assertTrue(ready)
            cell.abandon()

    def memory(self):
        """Resident memory of the zygote, in KiB."""
        with open(f"/proc/{self.zygote.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


class Start(unittest.TestCase):
    def test_it_starts_within_a_second(self):
        began = time.monotonic()
        zygote = node.Zygote()
        taken = time.monotonic() - began
        self.assertEqual(zygote.close(), 0)
        self.assertLess(taken, 1)

    def test_a_library_that_is_none_is_told_on_standard_error(self):
        command = [sys.executable, "-I", "-S", "-B", "-c", node.BOOT.read_text(), "/dev/null"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, env={}, cwd="/", capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"ImportError", done.stderr)


if __name__ == "__main__":
    unittest.main()
