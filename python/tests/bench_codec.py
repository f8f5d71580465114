"""Benchmarks of the cell's codec, beside `json` and whatever of orjson, msgspec and msgpack is installed.

Prints medians in microseconds and the ratio to our codec, all from one run: every candidate takes its turn in
every round, so that a change of the machine's mood meets all of them. What is right is tested elsewhere.

    CALLBOARD_CELL=path/to/the.so python bench_codec.py [rounds]
"""

import importlib
import importlib.machinery
import importlib.util
import json
import os
import statistics
import sys
import time

MAX_BYTES = 4 << 20


def load_cell():
    """The extension module that CALLBOARD_CELL names."""
    path = os.environ["CALLBOARD_CELL"]
    loader = importlib.machinery.ExtensionFileLoader("_callboard", path)
    spec = importlib.util.spec_from_file_location("_callboard", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def small():
    """About 200 bytes: the context of one macro."""
    return {
        "env": {
            "isPreview": False,
            "mainLanguage": "en",
            "hook": "render",
            "source": {"kind": "post", "id": "p-17"},
        },
        "params": {
            "id": "dQw4w9WgXcQ",
            "title": "A film",
            "start": 42,
            "autoplay": True,
            "ratio": 1.7777777777777777,
        },
    }


def large():
    """About 11 KB: the context of a gallery with fifty pictures."""
    media = [
        {
            "src": f"/media/2024/06/picture-{number:04}.jpg",
            "mime": "image/jpeg",
            "title": f"Picture number {number}",
            "alt": None,
            "caption": "Ein schöner Tag" if number % 10 == 0 else 'A walk along the river, "late" in June',
            "createdAt": 1718000000 + number * 3601,
            "postId": f"post-{number % 7}",
            "width": 1920 - number,
            "ratio": 1.5 + number / 7,
            "public": number % 3 != 0,
        }
        for number in range(50)
    ]
    return {
        "env": {"isPreview": True, "mainLanguage": "de"},
        "params": {"columns": 3},
        "data": {"media": media},
    }


def rivals(cell):
    """By format: the name of each codec that is there, its reader and its writer."""
    found = {
        "json": {
            "callboard": (
                lambda data: cell.loads("json", data),
                lambda value: cell.dumps("json", value, MAX_BYTES),
            ),
            "json": (
                json.loads,
                lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(),
            ),
        },
        "msgpack": {
            "callboard": (
                lambda data: cell.loads("msgpack", data),
                lambda value: cell.dumps("msgpack", value, MAX_BYTES),
            ),
        },
    }
    if orjson := optional("orjson"):
        found["json"]["orjson"] = (orjson.loads, orjson.dumps)
    if msgspec := optional("msgspec"):
        found["json"]["msgspec"] = (msgspec.json.Decoder().decode, msgspec.json.Encoder().encode)
        found["msgpack"]["msgspec"] = (msgspec.msgpack.Decoder().decode, msgspec.msgpack.Encoder().encode)
    if msgpack := optional("msgpack"):
        found["msgpack"]["msgpack"] = (msgpack.unpackb, msgpack.packb)
    return found


def optional(name):
    """The module of that name if it is installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def medians(calls, rounds, repeats):
    """The median time of each call in microseconds, each round giving every call its turn."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter_ns()
            for _ in range(repeats):
                call()
            times[name].append((time.perf_counter_ns() - begin) / repeats / 1000)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    cell = load_cell()
    for size, value, repeats in (("small", small(), 400), ("large", large(), 20)):
        for form, codecs in rivals(cell).items():
            ours = codecs["callboard"][1](value)
            print(f"\n{size} {form}, {len(ours)} bytes")
            reads, writes = {}, {}
            for name, (read, write) in codecs.items():
                data = write(value)
                assert read(data) == value, name
                reads[name] = lambda read=read, data=data: read(data)
                writes[name] = lambda write=write, value=value: write(value)
            for verb, calls in (("decode", reads), ("encode", writes)):
                taken = medians(calls, rounds, repeats)
                row = "  ".join(
                    f"{name} {microseconds:7.2f} ({microseconds / taken['callboard']:.2f})"
                    for name, microseconds in taken.items()
                )
                print(f"  {verb}  {row}")


if __name__ == "__main__":
    main()
