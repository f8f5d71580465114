"""Tests of the cell's codec with bytes and values that fight back: payloads that are damaged or claim more
than they hold; values whose code changes, raises, lies or calls the codec again while they are written.

None of it may crash the process, lose a reference or come out as anything but a value or a `CodecError`.
"""

import concurrent.futures
import dataclasses
import datetime
import decimal
import enum
import gc
import itertools
import os
import random
import resource
import struct
import sys
import threading
import unittest
import uuid

from hypothesis import given
from hypothesis import strategies as st

from test_codec import CELL, FORMATS, MAX_BYTES, VALUES, Case, Colour, Point, dumps, same


def member(act):
    """An enum's member whose value is whatever `act` returns."""

    class Odd(enum.Enum):
        A = 1
        value = property(lambda self: act(self))

    return Odd.A


class Bytes(Case):
    def test_a_megabyte_of_brackets_is_refused_quietly(self):
        for data in (b"[" * (1 << 20), b'{"k":' * (1 << 18), b"[" * (1 << 19) + b"]" * (1 << 19)):
            self.assertRaises(CELL.CodecError, CELL.loads, "json", data)
        for data in (b"\x91" * (1 << 20), b"\x81\xa1k" * (1 << 18), b"\xdd\x00\x00\x00\x01" * (1 << 18)):
            self.assertRaises(CELL.CodecError, CELL.loads, "msgpack", data)

    def test_a_claimed_length_allocates_nothing(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for marker in (b"\xdd", b"\xdf", b"\xdb", b"\xc9", b"\xc6"):
            self.assertRaises(CELL.CodecError, CELL.loads, "msgpack", marker + b"\xff\xff\xff\xff")
        nested = b"".join(b"\xdd" + struct.pack(">I", (1 << 20) - 5 * (level + 1)) for level in range(63))
        self.assertRaises(CELL.CodecError, CELL.loads, "msgpack", nested + b"\xc1" * (1 << 20))
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 16 << 10)

    @given(VALUES, st.randoms(use_true_random=False))
    def test_a_damaged_payload_is_a_value_or_a_typed_error(self, value, chance):
        for form in FORMATS:
            data = bytearray(dumps(form, value))
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(data))
                damage = chance.randrange(4)
                if damage == 0:
                    data[at] ^= 1 << chance.randrange(8)
                elif damage == 1:
                    data[at] = chance.randrange(256)
                elif damage == 2:
                    del data[at + 1 :]
                else:
                    data[at:at] = data[chance.randrange(len(data)) :][:9]
            self.value_or_error(form, bytes(data))

    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_value_or_a_typed_error(self, data):
        for form in FORMATS:
            self.value_or_error(form, data)

    def value_or_error(self, form, data):
        try:
            value = CELL.loads(form, data)
        except CELL.CodecError as error:
            self.assertTrue(error.path.startswith("value") and error.problem)
        else:
            self.assertTrue(same(CELL.loads(form, dumps(form, value)), value))


class Values(Case):
    def test_output_stops_at_its_limit_however_much_would_come(self):
        value = "x" * 1000
        for _ in range(20):
            value = [value] * 8
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for form in FORMATS:
            self.refused(f"larger than {MAX_BYTES} bytes", "value", dumps, form, value)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 24 << 10)

    def test_containers_that_change_while_they_are_written_are_refused_or_written(self):
        def clear(items, entries):
            items.clear()
            entries.clear()

        def grow(items, entries):
            items.append(object())
            entries["one more"] = object()

        def replace(items, entries):
            items[:] = [str(number) * 9 for number in range(len(items))]
            for key in list(entries):
                del entries[key]
                entries[key + "x"] = [key]

        def container(kind, meddle):
            items, entries = [None] * 50, {f"key {number}": "v" * 40 for number in range(50)}
            items[0] = entries["key 0"] = member(lambda _: meddle(items, entries))
            return items if kind is list else entries

        changed = "changed while it was being written"
        for form, kind in itertools.product(FORMATS, (list, dict)):
            for meddle in (clear, grow):
                with self.subTest(form=form, kind=kind, meddle=meddle.__name__):
                    self.refused(changed, "value", dumps, form, container(kind, meddle))
            with self.subTest(form=form, kind=kind):
                try:
                    written = CELL.loads(form, dumps(form, container(kind, replace)))
                except CELL.CodecError as error:
                    self.assertEqual(error.problem, changed)
                else:
                    self.assertEqual(len(written), 50)

    def test_code_of_a_value_that_raises_is_named_by_its_type_only(self):
        class Zone(datetime.tzinfo):
            def utcoffset(self, moment):
                raise ZeroDivisionError("secret")

        lazy = member(lambda _: 1 // 0)
        moment = datetime.datetime(2024, 1, 1, tzinfo=Zone())
        gap = Point(1)
        del gap.x
        cases = [
            (lazy, "converting it raised ZeroDivisionError", "value"),
            ([moment], "converting it raised ZeroDivisionError", "value[0]"),
            (gap, "converting it raised AttributeError", "value.x"),
        ]  # fmt: skip
        for value, problem, path in cases:
            self.not_written(value, problem, path)

    def test_the_limit_of_digits_is_ours_whatever_the_interpreter_s_is(self):
        limit = sys.get_int_max_str_digits()
        try:
            sys.set_int_max_str_digits(0)
            for value in (10**4300, 1 << 15_000, -(1 << 10**6)):
                self.not_written(value, "an integer has more than 4300 digits")
            self.not_read("json", b"1" * 4301, "an integer has more than 4300 digits")
            sys.set_int_max_str_digits(640)
            self.not_read("json", b"1" * 700, "python refuses an integer of this many digits")
            self.assertRaises(CELL.CodecError, dumps, "json", 10**700)
        finally:
            sys.set_int_max_str_digits(limit)

    def test_types_that_lie_are_refused_without_harm(self):
        class Meta(type):
            __name__ = property(lambda cls: 1 // 0)

        endless = member(lambda itself: itself)
        self.not_written(endless, "an enum whose value is always another enum")
        self.not_written(
            type("Fake", (), {"__class__": str, "__dataclass_fields__": 1})(),
            "converting it raised AttributeError",
        )
        for form in FORMATS:
            self.assertRaises(CELL.CodecError, dumps, form, Meta("Odd", (), {})())
            self.assertRaises(CELL.CodecError, dumps, form, {Meta("Odd", (), {})(): 1})
        spoiled = sys.modules["uuid"], sys.modules["decimal"]
        try:
            sys.modules["uuid"], sys.modules["decimal"] = None, "no module"
            self.not_written([uuid.UUID(int=1)], "cannot convert UUID", "value[0]")
            self.not_written(decimal.Decimal(1), "cannot convert Decimal")
        finally:
            sys.modules["uuid"], sys.modules["decimal"] = spoiled

    def test_a_read_inside_a_read_and_reads_in_threads_are_right(self):
        value = [{f"key{number % 40}": [number]} for number in range(400)]
        data = {form: dumps(form, value) for form in FORMATS}
        failures, finalised = [], []

        class Garbage:
            def __init__(self):
                self.me = self

            def __del__(self):
                finalised.append(all(CELL.loads(form, data[form]) == value for form in FORMATS))

        def work():
            for _ in range(30):
                Garbage()
                failures.extend(form for form in FORMATS if CELL.loads(form, data[form]) != value)

        threshold = gc.get_threshold()
        gc.set_threshold(5, 2, 2)
        try:
            threads = [threading.Thread(target=work) for _ in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        finally:
            gc.set_threshold(*threshold)
        self.assertEqual((failures, len(finalised) > 50, all(finalised)), ([], True, True))

    def test_a_write_inside_a_write_and_writes_in_threads_are_right(self):
        def value(inner):
            return [{f"key{number % 40}": inner, "after": number, str(number): [number]} for number in range(60)]

        within = value(None)
        expected = {form: dumps(form, within) for form in FORMATS}

        @dataclasses.dataclass
        class Writes:
            right: bool

        Writes.right = property(lambda _: all(dumps(form, within) == expected[form] for form in FORMATS))
        whole = {form: dumps(form, value({"right": True})) for form in FORMATS}

        def work(_):
            writes = object.__new__(Writes)
            return all(dumps(form, value(writes)) == whole[form] for form in FORMATS for _ in range(5))

        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            self.assertEqual(list(threads.map(work, range(4))), [True] * 4)

    def test_no_reference_is_lost_or_kept(self):
        class Sentinel:
            pass

        key, text, sentinel = "a key of this test only", "a text of this test only", Sentinel()
        good = {key: [text, 10**40, 1.5, Colour.PAIR, (text,), Point(1, [text])]}
        bad = [{key: [text, Point(1, {key: [text, sentinel]})]}, {key: text, sentinel: 1}]
        data = {
            form: dumps(
                form, {"k" * 50: ["x" * 99, {"\\n\n": [{}] * 20}], "n": [10**40, 2.5, 300, 2**64 - 1]}
            )
            for form in FORMATS
        }
        chance = random.Random(7)

        def once():
            for form in FORMATS:
                dumps(form, good)
                for value in bad:
                    self.assertRaises(CELL.CodecError, dumps, form, value)
                CELL.loads(form, data[form])
                try:
                    CELL.loads(form, data[form][: chance.randrange(len(data[form]))])
                except CELL.CodecError:
                    pass

        def counts():
            watched = (key, text, sentinel, good, good[key], bad, Colour.PAIR, Point, CELL.CodecError)
            return [sys.getrefcount(item) for item in watched], sys.getallocatedblocks() // 200

        for _ in range(2000):
            once()
        gc.collect()
        before, memory = counts(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Those of all objects, where the interpreter is a debug build, which counts them.
        references = getattr(sys, "gettotalrefcount", int)
        total = references()
        for _ in range(5_000 if "ASAN_OPTIONS" in os.environ else 100_000):
            once()
        gc.collect()
        self.assertEqual(counts()[0], before[0])
        self.assertLess(abs(references() - total), 100)
        self.assertLessEqual(abs(counts()[1] - before[1]), 1)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory, 4 << 10)

    def test_code_of_a_value_that_writes_the_value_again_ends_before_the_stack(self):
        depths = []

        def again(_):
            depths.append(len(depths))
            return dumps("json", value)

        value = member(again)
        for level in range(63):
            value = [value] if level % 2 else {"k": value}
        for form in FORMATS:
            depths.clear()
            self.assertRaises(CELL.CodecError, dumps, form, value)
            self.assertGreater(len(depths), 3)


if __name__ == "__main__":
    unittest.main()
