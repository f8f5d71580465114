"""A script that writes to the pipe of its own cell what it likes."""

import os
import struct
import time

RETURN, LOADED, HELLO, SKIPPED = 130, 129, 128, 133


def honest(input):
    """What the script should do."""
    return input


def frame(operation, sequence, body):
    """A frame as cells send them."""
    return struct.pack("<IBQ", len(body), operation, sequence) + body


def returned(value):
    """The body of an answer in MessagePack: value, and the time that it took."""
    return b"\x82\xa5value\xc6" + struct.pack(">I", len(value)) + value + b"\xa3run\x01"


def main(case):
    """Forges; the cell itself answers the same call afterwards."""
    os.lseek(4, 0, os.SEEK_SET)
    own = struct.unpack("<Q", os.read(4, 8))[0]
    deep = b"[" * 100_000 + b"]" * 100_000
    forged = {
        "garbage": b"\xff" * 100,
        "other": frame(RETURN, own + 1000, returned(b"7")),
        "none": frame(RETURN, 0, returned(b"7")),
        "hello": frame(HELLO, 0, b"\x80"),
        "loaded": frame(LOADED, own, b"\x81\xa4many\xc3"),
        "huge": struct.pack("<IBQ", 2**32 - 1, RETURN, own),
        "half": frame(RETURN, own, returned(b"7"))[:20],
        "skipped": frame(SKIPPED, own, b"\x81\xa4late\xc2"),
        "broken": frame(RETURN, own, b"\xc1" * 50),
        "open": frame(RETURN, own, returned(b'{"a":')),
        "more": frame(RETURN, own, returned(b'7},"injected":{"a":1')),
        "field": frame(RETURN, own, returned(b'7,"injected":true')),
        "lines": frame(RETURN, own, returned(b"7\r\nPUB injected 1\r\n7")),
        "deep": frame(RETURN, own, returned(deep)),
        "text": frame(RETURN, own, returned(b'"\xff\xfe"')),
        "twice": frame(RETURN, own, returned(b"7")) * 2,
        "sleeps": frame(RETURN, own, returned(b"7")),
        "loops": frame(RETURN, own, returned(b"7")),
    }
    os.write(3, forged[case])
    if case == "sleeps":
        time.sleep(30)
    while case == "loops":
        pass
