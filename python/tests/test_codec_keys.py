"""Tests of the codec's keys, which it remembers from one payload to the next in both directions."""

import json
import random
import unittest

from test_codec import CELL, Case, same


class Keys(Case):
    def test_keys_that_look_alike_are_never_mixed_up(self):
        for alike in [fill * length + "k" for fill in "k\0" for length in range(40)]:
            self.becomes({alike: 1}, {alike: 1})
        chance = random.Random(3)
        for length in range(1, 36):
            key = bytearray(b"k" * length)
            for _ in range(1000):
                # One byte at a time, so that most keys differ from others of this length in one place only.
                key[chance.randrange(length)] = chance.choice(b"0123456789abcdef")
                alike = key.decode()
                self.assertEqual(CELL.loads("json", b'{"%b":1}' % key), {alike: 1})
                self.assertEqual(CELL.loads("msgpack", b"\x81\xd9%c%b\x01" % (length, key)), {alike: 1})

    def test_dicts_like_those_before_are_read_and_written_as_what_they_are(self):
        chance = random.Random(5)
        keys = ["", "a", "ab", 'a"', 'a"b', "a\\", "a\n", "ä", "k" * 28, "k" * 29, "k" * 30, "k" * 33]
        for _ in range(500):
            shape = chance.sample(keys, chance.randrange(1, 8))
            value = []
            for _ in range(chance.randrange(2, 6)):
                if chance.random() < 0.4:
                    shape.insert(chance.randrange(len(shape) + 1), shape.pop(chance.randrange(len(shape))))
                    shape[chance.randrange(len(shape))] = chance.choice(keys)
                # Keys of every second value are objects that have never been met.
                names = shape if chance.random() < 0.5 else [(key + "x")[:-1] for key in shape]
                value.append({name: chance.choice([None, 1, {}, {names[0]: [{}]}]) for name in names})
            self.becomes(value, value)
            separators = chance.choice([(",", ":"), (", ", ": "), (" ,", " :"), (",\n", ":\t")])
            text = json.dumps(value, separators=separators, ensure_ascii=chance.random() < 0.5).encode()
            text += b" " * chance.choice([0, 32])
            self.assertTrue(same(CELL.loads("json", text), value), text)
            # As much of it as a key that is expected would pass over.
            damaged = bytearray(text)
            begin = chance.randrange(len(damaged))
            del damaged[begin : begin + chance.choice([0, 1, 3])]
            damaged[chance.randrange(len(damaged))] = chance.choice(b'":\\x ')
            try:
                expected = json.loads(damaged)
            except ValueError:
                self.assertRaises(CELL.CodecError, CELL.loads, "json", bytes(damaged))
            else:
                self.assertTrue(same(CELL.loads("json", bytes(damaged)), expected), damaged)

    def test_a_key_that_needs_escapes_is_not_expected_without_them(self):
        for key in ('a"', 'a"b', "a\\", "a\\x", "a\n"):
            like = f'{{"k":1,{json.dumps(key)}:1}}'
            self.assertEqual(CELL.loads("json", f"[{like},{like}]".encode()), [{"k": 1, key: 1}] * 2)
            # As long as what is compared at once.
            raw = f'[{like},{{"k":1,"{key}":1}}{" " * 32}]'.encode()
            self.assertRaises(CELL.CodecError, CELL.loads, "json", raw)


if __name__ == "__main__":
    unittest.main()
