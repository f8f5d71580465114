"""How many system calls a warm call costs the node and the cell. They are what a call is made of, and unlike times they are
the same on a busy machine: who adds a write to the way of a call, or parts what went together, finds it here.
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "tests"))

import node
import stage
import tracer

CALLS = 150
BURST = 32
BURSTS = 20
WRITES = ["write", "writev", "pwrite64", "sendto", "sendmsg", "sendmmsg"]
READS = ["read", "readv", "pread64", "recvfrom", "recvmsg"]
# The clock is read without a call, where a machine has it so.
WAITS = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "futex", "clock_gettime", "restart_syscall"]
SIMPLE = "def render(context):\n    return {'html': context['params']['name']}\n"
CONTEXT = '{"env": {"isPreview": false}, "params": {"name": "reader"}}'


def split(counts, calls):
    """Writes, reads and others a call; waiting is not counted, since how often one wakes depends on the machine."""
    writes = sum(counts.get(name, 0) for name in WRITES)
    reads = sum(counts.get(name, 0) for name in READS)
    waits = sum(counts.get(name, 0) for name in WAITS)
    return writes / calls, reads / calls, (sum(counts.values()) - writes - reads - waits) / calls


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stage = stage.Stage()
        for _ in range(50):
            cls.stage.wire.call()
        cls.tracer = tracer.Tracer(cls.stage.node.pid)

    @classmethod
    def tearDownClass(cls):
        status = cls.stage.close()
        cls.tracer.join()
        assert status == 0, status

    def count(self, work, calls):
        counts = self.tracer.during(self.stage.node.pid, work)
        print(f"\n{calls} calls: {dict(sorted(counts.items()))}")
        return split(counts, calls)

    def test_a_call_alone_is_one_write_to_the_cell_and_one_to_the_broker(self):
        writes, reads, others = self.count(lambda: [self.stage.wire.call() for _ in range(CALLS)], CALLS)
        # A frame and a reply; now and then the runtime wakes itself.
        self.assertGreaterEqual(writes, 2)
        self.assertLess(writes, 2.75)
        # A request; an answer, and that there is no second one.
        self.assertLess(reads, 3.5)
        self.assertLess(others, 0.25)

    def test_calls_that_come_together_are_written_together(self):
        writes, reads, others = self.count(lambda: [self.stage.wire.call(BURST) for _ in range(BURSTS)], BURST * BURSTS)
        self.assertLess(writes, 0.6)
        self.assertLess(reads, 0.8)
        self.assertLess(others, 0.3)


class Cell(unittest.TestCase):
    def test_a_call_is_one_read_and_one_write(self):
        zygote = node.Zygote()
        traced = tracer.Tracer(zygote.process.pid, children=True)
        cell = zygote.cell()
        self.assertEqual(cell.load(SIMPLE)[0], "loaded")

        def work():
            for _ in range(CALLS):
                self.assertEqual(cell.call(CONTEXT, "render")[0], "return")

        work()
        counts = traced.during(cell.pid, work)
        print(f"\na cell, {CALLS} calls: {dict(sorted(counts.items()))}")
        cell.hang_up()
        cell.ended()
        zygote.close()
        traced.join()
        self.assertEqual(split(counts, CALLS), (1, 1, 0))


if __name__ == "__main__":
    unittest.main()
