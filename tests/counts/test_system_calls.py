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
WRITES = ["write", "writev", "sendto", "sendmsg", "sendmmsg"]
READS = ["read", "readv", "recvfrom", "recvmsg"]
# How often one waits depends on the machine, and so does how often the pool looks at the pages of its busy cells, which it does
# by the clock. The clock itself is read without a call, where a machine has it so.
WAITS = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "futex", "clock_gettime", "restart_syscall"]
CLOCK = ["pread64", "pwrite64"]
SIMPLE = "def render(context):\n    return {'html': context['params']['name']}\n"
CONTEXT = '{"env": {"isPreview": false}, "params": {"name": "reader"}}'


def split(counts, calls):
    """Writes, reads, wake-ups and others a call."""
    writes, reads, left_out = (sum(counts.get(name, 0) for name in names) for names in (WRITES, READS, WAITS + CLOCK))
    wakes = counts.get(tracer.WAKE, 0)
    return writes / calls, reads / calls, wakes / calls, (sum(counts.values()) - writes - reads - wakes - left_out) / calls


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stage = stage.Stage()
        for _ in range(50):
            cls.stage.wire.call()
        cls.tracer = tracer.Tracer(cls.stage.node.pid)

    @classmethod
    def tearDownClass(cls):
        cls.stage.stop()
        status = cls.tracer.join()
        cls.stage.close()
        assert status == 0, status

    def count(self, work, calls):
        counts = self.tracer.during(self.stage.node.pid, work)
        print(f"\n{calls} calls: {dict(sorted(counts.items()))}")
        return split(counts, calls)

    def test_a_call_alone_is_one_write_to_the_cell_and_one_to_the_broker(self):
        writes, reads, wakes, others = self.count(lambda: [self.stage.wire.call() for _ in range(CALLS)], CALLS)
        # A frame and a reply.
        self.assertGreaterEqual(writes, 2)
        self.assertLess(writes, 2.25)
        # A request and an answer.
        self.assertLess(reads, 2.5)
        # Now and then the runtime wakes itself.
        self.assertLess(wakes, 1.25)
        self.assertLess(others, 0.25)

    def test_calls_that_come_together_are_written_together(self):
        writes, reads, wakes, others = self.count(lambda: [self.stage.wire.call(BURST) for _ in range(BURSTS)], BURST * BURSTS)
        self.assertLess(writes, 0.6)
        self.assertLess(reads, 0.8)
        self.assertLess(wakes, 0.3)
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
        zygote.socket.close()
        self.assertEqual(traced.join(), 0)
        zygote.close()
        writes, reads, wakes, others = split(counts, CALLS)
        # The read that waits for the next call may be counted with this one or the next.
        self.assertAlmostEqual(writes, 1, delta=0.02)
        self.assertAlmostEqual(reads, 1, delta=0.02)
        self.assertEqual((wakes, others), (0, 0))


if __name__ == "__main__":
    unittest.main()
