"""Tests of the cell's codec: both formats, both ways, through `loads` and `dumps` of the extension module.

Bytes and values that fight back are in `test_codec_hostile.py`, speed is measured in `bench_codec.py`. The
environment variable CALLBOARD_CELL names the built extension module.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import importlib.machinery
import importlib.util
import json
import math
import os
import struct
import unittest
import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
FORMATS = ("json", "msgpack")

settings.register_profile("codec", deadline=None, max_examples=300, database=None)
settings.load_profile("codec")


def load_cell():
    """The extension module that CALLBOARD_CELL names."""
    path = os.environ["CALLBOARD_CELL"]
    loader = importlib.machinery.ExtensionFileLoader("_callboard", path)
    spec = importlib.util.spec_from_file_location("_callboard", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


CELL = load_cell()


def dumps(form, value, max_bytes=MAX_BYTES):
    return CELL.dumps(form, value, max_bytes)


def texts(**kwargs):
    return st.text(st.characters(exclude_categories=("Cs",)), **kwargs)


INTEGERS = st.one_of(
    st.integers(),
    st.integers(-300, 300),
    st.sampled_from(
        [
            sign * (1 << bits) + near
            for bits in (7, 8, 15, 16, 31, 32, 63, 64, 65, 200, 14000)
            for sign in (1, -1)
            for near in (-1, 0, 1)
        ]
    ),
)
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1000, 1000).map(lambda value: round(value, 2)),
    st.sampled_from(
        [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e16, 1e22, 1e23, 123456789.0]
    ),
)
LEAVES = st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, texts(), texts(max_size=80))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(
            st.one_of(texts(max_size=40), st.sampled_from(["id", "title", "src", "postId"])),
            inner,
            max_size=20,
        ),
    ),
    max_leaves=60,
)


TOKENS = [" ", "\t", *r'[ ] { } , : " "a" "b" 1 - 0 .5 e3 true null \u00e9 \ud83d \ude00'.split()]


def same(left, right):
    """Equal, with equal types all the way down, the order of keys and the sign of zero included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return left == right


def strict_json(text):
    """What `json` reads when it is held to RFC 8259 and to finite, well-formed values."""

    def refuse(name):
        raise ValueError(name)

    def well_formed(value):
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return value

    def pairs(items):
        return dict(well_formed(items))

    return well_formed(json.loads(text, parse_constant=refuse, object_pairs_hook=pairs))


class Case(unittest.TestCase):
    """Asserts how a payload or a value is refused."""

    def refused(self, problem, path, call, *arguments):
        with self.assertRaises(CELL.CodecError) as caught:
            call(*arguments)
        self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual((caught.exception.path, caught.exception.problem), (path, problem))

    def not_read(self, form, data, problem, path="value"):
        with self.subTest(form=form, data=data[:40]):
            self.refused(problem, path, CELL.loads, form, data)

    def not_written(self, value, problem, path="value"):
        for form in FORMATS:
            with self.subTest(form=form, type=type(value)):
                self.refused(problem, path, dumps, form, value)

    def becomes(self, value, expected):
        for form in FORMATS:
            with self.subTest(form=form, expected=expected):
                written = CELL.loads(form, dumps(form, value))
                self.assertTrue(same(written, expected), f"{written!r} is not {expected!r}")


class BothWays(Case):
    @given(VALUES)
    def test_every_value_of_the_abi_survives_both_formats(self, value):
        for form in FORMATS:
            self.assertTrue(same(CELL.loads(form, dumps(form, value)), value))

    @given(VALUES)
    def test_json_agrees_with_the_standard_library(self, value):
        self.assertTrue(same(json.loads(dumps("json", value)), value))
        for style in ({}, {"ensure_ascii": False}, {"indent": 2}):
            self.assertTrue(same(CELL.loads("json", json.dumps(value, **style).encode()), value))

    @given(
        st.from_regex(
            r"-?(0|[1-9]\d{0,30})(\.\d{1,40})?([eE][+-]?\d{1,4})?", fullmatch=True, alphabet="0123456789.-+eE"
        )
    )
    def test_a_json_number_is_what_the_standard_library_makes_of_it(self, text):
        expected = json.loads(text)
        if math.isinf(float(expected) if isinstance(expected, float) else 0):
            self.refused("a number is too large for a float", "value", CELL.loads, "json", text.encode())
        else:
            self.assertTrue(same(CELL.loads("json", text.encode()), expected), text)

    @given(
        st.one_of(
            st.text('[]{},:"\\/ntu0123dD8fF \n-+.eE7'),
            st.lists(st.sampled_from(TOKENS)).map("".join),
        )
    )
    def test_json_text_is_accepted_exactly_when_the_standard_library_accepts_it(self, text):
        try:
            expected = strict_json(text)
        except ValueError:
            self.assertRaises(CELL.CodecError, CELL.loads, "json", text.encode())
        else:
            self.assertTrue(same(CELL.loads("json", text.encode()), expected))

    @given(VALUES)
    def test_the_limit_of_bytes_is_exact(self, value):
        for form in FORMATS:
            size = len(dumps(form, value))
            self.assertEqual(len(dumps(form, value, size)), size)
            self.refused(f"larger than {size - 1} bytes", "value", dumps, form, value, size - 1)

    def test_what_needs_an_escape_is_found_wherever_it_stands(self):
        for odd in ('"', "\\", "\n", "\x00", "\x1f", "\x20", "\x7f", "ÿ", "\u2028", "\U0001f600"):
            for before in range(36):
                for after in (0, 1, 7, 8, 15, 16, 17, 40):
                    text = "b" * before + odd + "a" * after
                    plain = json.dumps(text, ensure_ascii=False).encode()
                    self.assertEqual(dumps("json", text), plain)
                    self.assertEqual(dumps("json", {text: text}), b"{%b:%b}" % (plain, plain))
                    self.assertEqual(CELL.loads("json", plain), text)
                    self.assertEqual(CELL.loads("json", json.dumps([text, text]).encode()), [text, text])

    def test_sixty_four_levels_are_allowed_and_no_more(self):
        for wrap, step, opening in (
            (lambda v: [v], "[0]", b"\x91"),
            (lambda v: {"k": v}, ".k", b"\x81\xa1k"),
        ):
            value = wrap(None)
            for _ in range(MAX_DEPTH - 1):
                value = wrap(value)
            self.becomes(value, value)
            path = "value" + step * MAX_DEPTH
            self.not_written(wrap(value), "nested deeper than 64 levels", path)
            self.not_read("json", json.dumps(wrap(value)).encode(), "nested deeper than 64 levels", path)
            self.not_read(
                "msgpack", opening * (MAX_DEPTH + 1) + b"\xc0", "nested deeper than 64 levels", path
            )


class Reading(Case):
    def test_numbers_that_are_hard_to_round_are_rounded_right(self):
        cases = """
            9007199254740993e1 9007199254740993e-3 9007199254740992e22 9007199254740991e23 1e23 8.5e-22
            0.1 0.3 0.000000000000000000000000000000000000001 99999999999999999999.5 1.7976931348623158e308
            2.2250738585072011e-308 4.9e-324 2e-324 1e-400 0e999 1e0000000000000000000001 1.5e300 -0.0
            -0 123456789012345678 18446744073709551615 18446744073709551616 -9223372036854775809
        """.split()
        for text in cases:
            with self.subTest(text=text):
                self.assertTrue(same(CELL.loads("json", text.encode()), json.loads(text)))

    def test_json_that_is_not_json_is_refused_with_its_place(self):
        cases = [
            (b"", "expected a value at byte 0", ""),
            (b"  ", "expected a value at byte 2", ""),
            (b"nul", "expected a value at byte 0", ""),
            (b"NaN", "expected a value at byte 0", ""),
            (b"-Infinity", "not a JSON number at byte 0", ""),
            (b"[1,]", "expected a value at byte 3", "[1]"),
            (b"[1 2]", "expected ',' or ']' at byte 3", ""),
            (b"{1:2}", "expected a key in quotes at byte 1", ""),
            (b'{"\xff":[1,}', "a string is not valid UTF-8", ""),
            (b'{"a" 1}', "expected ':' at byte 5", ""),
            (b'{"a":1,}', "expected a key in quotes at byte 7", ""),
            (b'{"a":1', "expected ',' or '}' at byte 6", ""),
            (b"01", "not a JSON number at byte 0", ""),
            (b"[1.]", "not a JSON number at byte 1", "[0]"),
            (b"[.5]", "expected a value at byte 1", "[0]"),
            (b"1e", "not a JSON number at byte 0", ""),
            (b"1 2", "more bytes after the value, from byte 2 on", ""),
            (b'"a', "a string without its end at byte 2", ""),
            (b'"a\\', "a string without its end at byte 2", ""),
            (b'"a\nb"', "a control character in a string at byte 2", ""),
            (b'"\\x"', "not an escape of JSON at byte 1", ""),
            (b'"\\u12g4"', "not an escape of JSON at byte 1", ""),
            (b'"\\u+123"', "not an escape of JSON at byte 1", ""),
            (b'"\\ud800"', "a lone surrogate in an escape at byte 1", ""),
            (b'"\\udc00\\ud800"', "a lone surrogate in an escape at byte 1", ""),
            (b'{"k\\n":"\\ud800x"}', "a lone surrogate in an escape at byte 8", '["k\\n"]'),
            (b'{"a":{"b c":[0,"\xff"]}}', "a string is not valid UTF-8", '.a["b c"][1]'),
            (b'{"a":{"\xed\xa0\x80":1}}', "a string is not valid UTF-8", ".a"),
            (b'["\xc0\x80"]', "a string is not valid UTF-8", "[0]"),
            (b"[1e400]", "a number is too large for a float", "[0]"),
            (b"-1" + b"0" * 400 + b".0", "a number is too large for a float", ""),
            (b"1" * 4301, "an integer has more than 4300 digits", ""),
        ]  # fmt: skip
        for data, problem, path in cases:
            self.not_read("json", data, problem, "value" + path)
        self.assertEqual(CELL.loads("json", b"9" * 4300), 10**4300 - 1)
        self.assertEqual(CELL.loads("json", b' {"a" : 1 , "a":\t[2\r\n] }\n'), {"a": [2]})

    def test_messagepack_in_all_its_formats_is_read(self):
        big = str(-(10**30)).encode()
        cases = [
            (b"\xc0", None), (b"\xc2", False), (b"\xc3", True), (b"\x7f", 127), (b"\xe0", -32),
            (b"\xcc\xff", 255), (b"\xcd\xff\xff", 65535), (b"\xce\xff\xff\xff\xff", 2**32 - 1),
            (b"\xcf" + b"\xff" * 8, 2**64 - 1), (b"\xd0\x80", -128), (b"\xd1\x80\x00", -(2**15)),
            (b"\xd2\x80\x00\x00\x00", -(2**31)), (b"\xd3\x80" + bytes(7), -(2**63)),
            (b"\xca" + struct.pack(">f", 1.5), 1.5), (b"\xcb" + struct.pack(">d", 0.1), 0.1),
            (b"\xa1a", "a"), (b"\xd9\x01a", "a"), (b"\xda\x00\x01a", "a"), (b"\xdb\x00\x00\x00\x01a", "a"),
            (b"\x91\x01", [1]), (b"\xdc\x00\x01\x01", [1]), (b"\xdd\x00\x00\x00\x01\x01", [1]),
            (b"\x81\xa1k\x01", {"k": 1}), (b"\xde\x00\x01\xd9\x01k\x01", {"k": 1}),
            (b"\xdf\x00\x00\x00\x01\xda\x00\x01k\x01", {"k": 1}), (b"\x82\xa1k\x01\xa1k\x02", {"k": 2}),
            (b"\xd4\x017", 7), (b"\xd5\x01-7", -7), (b"\xd6\x010007", 7), (b"\xd7\x0112345678", 12345678),
            (b"\xd8\x01" + b"9" * 16, 10**16 - 1), (b"\xc7\x01\x015", 5),
            (b"\xc8\x00\x1f\x01" + b"-1" + b"0" * 29, -(10**29)),
            (b"\xc9\x00\x00\x00\x20\x01" + big, int(big)),
        ]  # fmt: skip
        for data, expected in cases:
            with self.subTest(data=data):
                self.assertTrue(same(CELL.loads("msgpack", data), expected))

    def test_messagepack_that_is_no_value_of_the_abi_is_refused_with_its_place(self):
        digits = "a big integer is not 1 to 4300 decimal digits"
        cases = [
            (b"", "the input ends too early", ""),
            (b"\xc1", "the byte 0xc1 is not MessagePack", ""),
            (b"\xc0\xc0", "more bytes after the value, from byte 1 on", ""),
            (b"\x92\x01", "the input ends too early", ""),
            (b"\x92\x01\xcd\x01", "the input ends too early", "[1]"),
            (b"\xdb\xff\xff\xff\xff", "the input ends too early", ""),
            (b"\xc4\x01a", "bytes are not allowed", ""),
            (b"\x91\xc6\x00\x00\x00\x00", "bytes are not allowed", "[0]"),
            (b"\x81\x01\x01", "a key is not a string", ""),
            (b"\x81\xc4\x01a\x01", "a key is not a string", ""),
            (b"\x81\xa1\xff\x01", "a string is not valid UTF-8", ""),
            (b"\x91\xa3\xed\xa0\x80", "a string is not valid UTF-8", "[0]"),
            (b"\x81\xa1k\xcb" + struct.pack(">d", math.nan), "NaN and infinities are not allowed", ".k"),
            (b"\xca" + struct.pack(">f", -math.inf), "NaN and infinities are not allowed", ""),
            (b"\xd4\x021", "extension type 2 is not allowed", ""),
            (b"\xd6\xff" + bytes(4), "extension type -1 is not allowed", ""),
            (b"\xc7\x00\x01", digits, ""),
            (b"\xd4\x01-", digits, ""),
            (b"\xd5\x01+1", digits, ""),
            (b"\xc8" + struct.pack(">H", 4301) + b"\x01" + b"1" * 4301, digits, ""),
        ]  # fmt: skip
        for data, problem, path in cases:
            self.not_read("msgpack", data, problem, "value" + path)

    def test_a_path_shows_keys_escaped_and_cut_and_never_a_value(self):
        self.not_read(
            "json",
            b'{"quote\\"\\u0007":{"' + b"k" * 65 + b'":{"_a1":["secret",?]}}}',
            "expected a value at byte 103",
            'value["quote\\"\\u0007"]["' + "k" * 64 + '…"]._a1[1]',
        )
        with self.assertRaises(CELL.CodecError) as caught:
            CELL.loads("json", b'{"a":["secret' + b"\xff" + b'"]}', "result.data")
        self.assertEqual(caught.exception.path, "result.data.a[0]")
        self.assertNotIn("secret", str(caught.exception))


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Text(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: object = None
    label: dataclasses.InitVar[str] = ""
    shared = 1


@dataclasses.dataclass(frozen=True)
class Slotted:
    __slots__ = ("a", "b")
    a: int
    b: list


class Writing(Case):
    def test_the_conversion_table_holds(self):
        two_hours = datetime.timezone(datetime.timedelta(hours=2))
        moment = datetime.datetime(2024, 6, 1, 12, 30, 5, 250000, two_hours)
        old = datetime.datetime(
            1850, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(minutes=53, seconds=28))
        )
        ident = uuid.UUID("01927bd5-7c4d-7000-8000-000000000001")
        cases = [
            ((1, (2, [])), [1, [2, []]]),
            (moment, "2024-06-01T12:30:05.250000+02:00"),
            (datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc), "0001-01-01T00:00:00+00:00"),
            (old, "1850-01-01T11:06:32+00:00"),
            (datetime.date(2024, 6, 1), "2024-06-01"),
            (ident, str(ident)),
            (decimal.Decimal("1.10"), "1.10"),
            (Colour.RED, "red"), (Colour.PAIR, [1, 2]), (Text.A, "a"), (Number.ONE, 1),
            ({"a": Colour.RED, Text.A: 2}, {"a": 2} if Text.A == "a" else None),
            (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
            (Slotted(1, [Colour.RED]), {"a": 1, "b": ["red"]}),
            (collections.OrderedDict(a=1), {"a": 1}), (collections.namedtuple("Pair", "a b")(1, 2), [1, 2]),
        ]  # fmt: skip
        for value, expected in cases:
            self.becomes(value, expected)

    def test_subclasses_of_basic_types_are_taken_as_those_whatever_they_override(self):
        def broken(*_):
            raise AssertionError("no method of a subclass may be called")

        overrides = dict.fromkeys(
            [
                "__iter__",
                "__len__",
                "__getitem__",
                "__str__",
                "__repr__",
                "__int__",
                "__index__",
                "__float__",
                "__bool__",
                "keys",
                "items",
                "bit_length",
            ],
            broken,
        )
        for base, content in [
            (str, "é"),
            (int, 10**30),
            (int, 5),
            (float, 2.5),
            (list, [1, "x"]),
            (tuple, (1,)),
            (dict, {"a": 1}),
        ]:
            derived = type("Derived", (base,), overrides)
            self.becomes(derived(content), list(content) if base is tuple else content)
        self.becomes({type("Key", (str,), overrides)("k"): 1}, {"k": 1})

    def test_what_cannot_be_converted_is_named_with_its_place(self):
        finite = "NaN and infinities are not allowed"
        aware = "naive datetime: give it a timezone"
        cases = [
            ({1}, "cannot convert set", ""),
            ({"data": {"items": [0, 1, 2, {3}]}}, "cannot convert set", ".data.items[3]"),
            ([object()], "cannot convert object", "[0]"),
            (Point, "cannot convert type", ""),
            (1j, "cannot convert complex", ""),
            (datetime.time(1), "cannot convert time", ""),
            (b"", "bytes are not allowed", ""),
            ((bytearray(), ), "bytes are not allowed", "[0]"),
            ({"m": memoryview(b"")}, "bytes are not allowed", ".m"),
            ({1: 2}, "a key is not a string but int", ""),
            ({"a": {None: 2}}, "a key is not a string but NoneType", ".a"),
            ([math.nan], finite, "[0]"), (-math.inf, finite, ""),
            (decimal.Decimal("nan"), finite, ""), (decimal.Decimal("-inf"), finite, ""),
            (["\ud800"], "a string has a lone surrogate", "[0]"),
            ({"a": {"\udfff": 1}}, "a string has a lone surrogate", ".a"),
            (datetime.datetime(2024, 1, 1), aware, ""),
            (Point(1, {"k k": Point(2, [b""])}), "bytes are not allowed", '.y["k k"].y[0]'),
            (10**4300, "an integer has more than 4300 digits", ""),
            (-(1 << 10**7), "an integer has more than 4300 digits", ""),
        ]  # fmt: skip
        for value, problem, path in cases:
            self.not_written(value, problem, "value" + path)
        self.becomes(1 - 10**4300, 1 - 10**4300)

    def test_a_cycle_ends_at_the_limit_of_depth(self):
        items, entries, point = [], {}, Point(0)
        items.append(items)
        entries["me"] = entries
        point.y = point
        for value, step in ((items, "[0]"), (entries, ".me"), (point, ".y")):
            self.not_written(value, "nested deeper than 64 levels", "value" + step * MAX_DEPTH)


if __name__ == "__main__":
    unittest.main()
