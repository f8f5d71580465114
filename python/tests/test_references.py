"""Tests that calls leave nothing behind in a cell: after thousands of calls of each kind the interpreter has as many blocks,
and, if it is one that counts them (a debug build), as many references as before.

The codec by itself, value by value, is looked at in `test_codec_hostile.py`.
"""

import sys
import textwrap
import unittest

import node
from packing import pack

# Counts in the cell, between two calls. A block more or less is a free list that has been filled or emptied. What a
# debug build counts besides are the references of all objects there are.
BODY = """
import gc, sys

class Odd:
    def __repr__(self):
        raise ValueError

kept = []

def count():
    gc.collect()
    return [sys.getallocatedblocks(), getattr(sys, "gettotalrefcount", int)()]

def main(input):
    return input

def printed(input):
    print("a line", input, file=sys.stderr)
    print("another")
    return [input] * 3

def told(input):
    import callboard
    callboard.notice("look at " + input["key"])
    callboard.log("looked")

def raised(input):
    try:
        raise KeyError(input["key"])
    except KeyError:
        raise RuntimeError(input)

def refused(input):
    return open("/etc/hosts")

def invalid(input):
    return {"a": [input, {1, 2}]}

def wrong_key(input):
    return {input["key"]: 1, 5: 2}

def unprintable(input):
    raise Odd from RuntimeError(Odd())

def keeps(input):
    kept.append(object())
"""
WAITS = """
import asyncio, gc, sys
from callboard import llm

def count():
    gc.collect()
    return [sys.getallocatedblocks(), getattr(sys, "gettotalrefcount", int)()]

async def main(input):
    async def one(n):
        await asyncio.sleep(0)
        return [n, input]
    return await asyncio.gather(*[one(n) for n in range(3)])

async def raised(input):
    await asyncio.sleep(0)
    raise LookupError(input)

async def asks(input):
    answer = await llm.complete([{"role": "user", "content": input["key"]}])
    return answer.text
"""
INPUT = '{"key": "a text", "numbers": [1, 2.5, 123456789012345678901234567890, "x", null, true], "deep": [[[{"a": null}]]]}'
ANSWER = {"text": "yes", "modelName": "m", "finishReason": "stop", "usage": {"inputTokens": 3, "outputTokens": 4}}
# Calls before the first count, for what is made once and kept or fills up slowly, and calls between two counts.
FIRST, CALLS = 2000, 3000
# Free lists and tables still grow a little; a single object that each call leaves behind makes ten times as many.
BLOCKS = CALLS // 10
# Counted references do not grow at all.
REFERENCES = 10
# How often it is counted: what fills up comes to an end, what each call leaves behind does not.
COUNTS = 3


class References(unittest.TestCase):
    def setUp(self):
        self.zygote = node.Zygote()
        self.addCleanup(self.zygote.close)
        self.cell = self.zygote.cell()
        self.addCleanup(self.cell.ended)
        self.addCleanup(self.cell.hang_up)

    def load(self, body, **more):
        name, answer = self.cell.load(textwrap.dedent(body), "utility", **more)
        self.assertEqual(name, "loaded", answer)

    def grown(self, call):
        """By how many blocks and references the cell grows with so many calls."""
        before = self.count()
        for _ in range(CALLS):
            call()
        return [after - before for before, after in zip(before, self.count())]

    def count(self):
        for _ in range(3):
            name, answer = self.cell.ask("call", node.call("null", entrypoint="count", format="json"))
            self.assertEqual(name, "return", answer)
        return [int(number) for number in answer["value"].decode().strip("[]").split(",")]

    def holds(self, call, what):
        for _ in range(FIRST):
            call()
        for _ in range(COUNTS):
            blocks, references = self.grown(call)
            if blocks < BLOCKS and references < REFERENCES:
                return
        self.fail(f"{what}: {blocks} blocks and {references} references more after {CALLS} calls, and so before")

    def plain(self, entrypoint, expected, data=INPUT, **more):
        """A call without questions, for `grown`."""
        body = {"function": "main", "format": "json", **more}

        def call():
            name, answer = self.cell.ask("call", node.call(data, entrypoint=entrypoint, **body))
            self.assertEqual(name, expected, answer)

        return call

    def test_calls_that_end_in_any_way_leave_nothing_behind(self):
        self.load(BODY)
        for entrypoint, expected in [
            ("main", "return"),
            ("printed", "return"),
            ("told", "return"),
            ("raised", "raised"),
            ("refused", "raised"),
            ("unprintable", "raised"),
            ("invalid", "invalid"),
            ("wrong_key", "invalid"),
            ("missing", "raised"),
        ]:
            with self.subTest(entrypoint=entrypoint):
                self.holds(self.plain(entrypoint, expected), entrypoint)

    def test_inputs_that_cannot_be_read_leave_nothing_behind(self):
        self.load(BODY)
        for data, form in [
            (INPUT[:-2], "json"),
            ("[" * 70, "json"),
            (b"\x82\xa1a\x93\x01\x02\xa4text\xc1", "msgpack"),
            (b"\xdd\xff\xff\xff\xff", "msgpack"),
        ]:
            with self.subTest(data=data):
                self.holds(self.plain("main", "refused", data, format=form), data)

    def test_texts_that_are_only_looked_at_leave_nothing_behind(self):
        self.load(BODY)
        for body in ["def main(input):\n    return 1\n", "def main(:\n", "x = '\\ud800'\n", "\0"]:
            with self.subTest(body=body):
                self.holds(lambda body=body: self.cell.ask("compile", {"body": body}), body)

    def test_calls_that_wait_leave_nothing_behind(self):
        self.load(WAITS, capabilities=["llm"])
        for entrypoint, expected in [("main", "return"), ("raised", "raised")]:
            with self.subTest(entrypoint=entrypoint):
                self.holds(self.plain(entrypoint, expected), entrypoint)

        def asks():
            sequence = self.cell.write("call", node.call(INPUT, entrypoint="asks"))
            name, _, question = self.cell.receive()
            self.assertEqual(name, "ask", question)
            answer = {"ask": question["ask"], "outcome": {"data": pack(ANSWER)}}
            self.cell.write("answer", answer, sequence)
            name, _, body = self.cell.receive()
            self.assertEqual(name, "return", body)

        self.holds(asks, "asks")

    def test_a_script_that_keeps_one_object_a_call_is_seen(self):
        self.load(BODY)
        with self.assertRaisesRegex(AssertionError, "blocks"):
            self.holds(self.plain("keeps", "return"), "keeps")
        blocks, references = self.grown(self.plain("keeps", "return"))
        self.assertGreaterEqual(blocks, CALLS)
        if hasattr(sys, "gettotalrefcount"):
            self.assertGreaterEqual(references, CALLS)
        else:
            self.assertEqual(references, 0, "an interpreter that counts references after all")


if __name__ == "__main__":
    unittest.main()
