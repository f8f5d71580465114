"""The pipe: answers in order, calls that need not begin, frames that no node sends, and how fast it all goes wrong.

What calls mean is tested elsewhere.
"""

import json
import os
import struct
import time
import unittest

import node
from packing import pack

ECHO = "def main(x):\n    return x"


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with cells that are all gone at its end."""

    def cell(self, body=None):
        cell = zygote.cell()
        self.addCleanup(cell.ended)
        self.addCleanup(cell.hang_up)
        if body:
            self.assertEqual(cell.load(body, "utility")[0], "loaded")
        return cell


class Order(Case):
    def test_sixteen_calls_in_the_pipe_are_answered_in_order(self):
        cell = self.cell(ECHO)
        for _ in range(20):
            asked = [(cell.write("call", node.call(str(n))), n) for n in range(16)]
            answers = [cell.receive() for _ in asked]
            self.assertEqual([(sequence, json.loads(body["value"])) for _, sequence, body in answers], asked)

    def test_frames_are_found_however_the_bytes_are_cut(self):
        cell = self.cell(ECHO)
        body = pack(node.call('"text"'))
        frames = b"".join(struct.pack("<IBQ", len(body), 2, 100 + n) + body for n in range(3))
        for size in [1, 7, 12, 13, 14, 100, len(frames)]:
            for start in range(0, len(frames), size):
                cell.pipe.sendall(frames[start : start + size])
            self.assertEqual([cell.receive()[1] for _ in range(3)], [100, 101, 102])

    def test_large_and_small_frames_take_turns(self):
        cell = self.cell("def main(x):\n    return len(x)")
        sizes = [1, 3 << 20, 5, 300_000, 200_000, 1 << 20, 2]
        for size in sizes:
            self.assertEqual(cell.call('"' + "x" * size + '"')[1]["value"], str(size).encode())

    def test_an_answer_bears_the_sequence_of_its_question(self):
        cell = self.cell(ECHO)
        for sequence in [0, 5, 2**63, node.NEVER - 1]:
            cell.write("call", node.call("1"), sequence)
            self.assertEqual(cell.receive()[1], sequence)
            self.assertEqual(cell.started, sequence)


class Skipping(Case):
    def test_a_call_past_its_deadline_is_not_begun(self):
        cell = self.cell("n = []\ndef main(x):\n    n.append(x)\n    return n")
        answer = cell.call("1", deadline=time.monotonic_ns() - 1)
        self.assertEqual(answer, ("skipped", {"late": True}))
        self.assertEqual(cell.call("2")[1]["value"], b"[2]")

    def test_withdrawn_calls_are_not_begun_and_earlier_ones_are(self):
        cell = self.cell(ECHO)
        cell.withdraw_from(103)
        for sequence in range(101, 105):
            cell.write("call", node.call("1"), sequence)
        answers = [cell.receive() for _ in range(4)]
        self.assertEqual([name for name, _, _ in answers], ["return", "return", "skipped", "skipped"])
        self.assertEqual(answers[3], ("skipped", 104, {"late": False}))
        cell.withdraw_from(node.NEVER)
        self.assertEqual(cell.call("1")[0], "return")

    def test_a_withdrawal_while_a_call_runs_holds_for_those_behind_it(self):
        cell = self.cell("import time\ndef main(end):\n    while time.monotonic_ns() < end: pass")
        cell.write("call", node.call(str(time.monotonic_ns() + 300_000_000)), 201)
        cell.write("call", node.call("0"), 202)
        while cell.started != 201:
            os.sched_yield()
        cell.withdraw_from(202)
        self.assertEqual([cell.receive()[0] for _ in range(2)], ["return", "skipped"])

    def test_the_page_tells_what_runs_before_it_ends(self):
        cell = zygote.cell()
        self.assertEqual(cell.load("def main(x):\n    while True: pass", "utility")[0], "loaded")
        cell.write("call", node.call("1"), 77)
        while cell.started != 77:
            os.sched_yield()
        os.kill(cell.pid, 9)
        report = cell.ended()
        self.assertEqual(report["signal"], 9)


class Hostile(unittest.TestCase):
    """The cell does not guess what a broken frame means: it ends."""

    def status_after(self, data, script=None):
        cell = zygote.cell()
        if script:
            self.assertEqual(cell.load(script, "utility")[0], "loaded")
        cell.pipe.sendall(data)
        report = cell.ended()
        self.assertIsNone(report["signal"])
        return report["status"]

    def frame(self, operation, body, length=None):
        data = body if isinstance(body, bytes) else pack(body)
        return struct.pack("<IBQ", len(data) if length is None else length, operation, 1) + data

    def test_headers_that_no_node_sends_end_the_cell(self):
        for data in [
            self.frame(2, b"", (4 << 20) + 1),
            self.frame(2, b"", 2**32 - 1),
            self.frame(0, {}),
            self.frame(77, {}),
            self.frame(136, {}),
            self.frame(255, {}),
            self.frame(128, {}),
            self.frame(130, {}),
        ]:
            with self.subTest(data=data[:13]):
                self.assertEqual(self.status_after(data, ECHO), 70)

    def test_bodies_that_no_node_sends_end_the_cell(self):
        good = node.call("1")
        for data in [
            self.frame(2, b""),
            self.frame(2, b"\xc1"),
            self.frame(2, pack(good) + b"\xc0"),
            self.frame(2, pack(good)[:-1]),
            self.frame(2, {**good, "more": 1}),
            self.frame(2, {**good, "function": "other"}),
            self.frame(2, {**good, "format": "xml"}),
            self.frame(2, {**good, "deadline": "soon"}),
            self.frame(2, {**good, "function": "render"}),
            self.frame(2, {**good, "function": "renderMany"}),
            self.frame(2, [1, 2, 3]),
            self.frame(3, {"text": ""}),
            self.frame(2, b"\x91" * 5000),
        ]:
            with self.subTest(data=data[13:60]):
                self.assertEqual(self.status_after(data, ECHO), 70)

    def test_frames_at_the_wrong_time_end_the_cell(self):
        load = {"project": "p", "slug": "s", "kind": "utility", "entrypoint": "main", "body": ECHO}
        self.assertEqual(self.status_after(self.frame(2, node.call("1"))), 70)
        self.assertEqual(self.status_after(self.frame(1, load), ECHO), 70)
        self.assertEqual(self.status_after(self.frame(1, {**load, "kind": "other"})), 70)
        self.assertEqual(self.status_after(self.frame(1, {**load, "body": 5})), 70)

    def test_the_end_of_the_pipe_ends_the_cell(self):
        for data in [b"", self.frame(2, node.call("1"))[:5], self.frame(2, node.call("1"))[:-1]]:
            with self.subTest(length=len(data)):
                cell = zygote.cell()
                self.assertEqual(cell.load(ECHO, "utility")[0], "loaded")
                cell.pipe.sendall(data)
                cell.hang_up()
                self.assertEqual(cell.ended()["status"], 0)

    def test_a_node_that_is_gone_when_the_answer_comes_is_the_end(self):
        cell = zygote.cell()
        script = "import select\nend = select.poll()\nend.register(3, 0)\n"
        script += "def main():\n    return [end.poll(), 'x' * 100_000]"
        self.assertEqual(cell.load(script, "utility")[0], "loaded")
        cell.write("call", node.call("1"))
        cell.hang_up()
        self.assertEqual(cell.ended()["status"], 0)


if __name__ == "__main__":
    unittest.main()
