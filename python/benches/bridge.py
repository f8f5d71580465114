"""Runs the microbenchmarks of `bridge.rs` in this interpreter and holds their medians to docs/benchmarks.md. What is compared
with the codec comes from `tests/bench_codec.py`, and so do the ratios: criterion measures one after the other, and a machine
whose speed changes meanwhile would decide them.

    CALLBOARD_CELL=… CALLBOARD_BRIDGE=… CRITERION_HOME=… python bridge.py
"""

import functools
import importlib.machinery
import importlib.util
import itertools
import json
import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import bench_codec

HEADING = "\n## Thresholds of the bridge\n"
SCALES = {"ns": 1, "µs": 1e3}


def load(path):
    """The module of benchmarks."""
    loader = importlib.machinery.ExtensionFileLoader("bridge", path)
    spec = importlib.util.spec_from_file_location("bridge", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def called(bridge):
    """What is called from Rust, and what calls Rust so often as it is told."""
    nothing, small, values = bridge.nothing, bridge.small, {"id": 7, "title": "A film", "ratio": 1.5, "public": True}

    def alone(times):
        for _ in itertools.repeat(None, times):
            pass

    def empty(times):
        for _ in itertools.repeat(None, times):
            nothing()

    def ready(times):
        for _ in itertools.repeat(None, times):
            small(values)

    def built(times):
        for _ in itertools.repeat(None, times):
            small({"id": 7, "title": "A film", "ratio": 1.5, "public": True})

    return {
        "empty": lambda: None, "small": lambda values: None, "repeat loop alone": alone, "repeat empty": empty,
        "repeat small dict": ready, "repeat small dict, built per call": built,
    }  # fmt: skip


def codecs(cell):
    """Group, name, function and argument of every codec at both sizes."""
    found = []
    for size, value in (("200 B", bench_codec.small()), ("11 KB", bench_codec.large())):
        for form, rivals in bench_codec.rivals(cell).items():
            for name, (read, write) in rivals.items():
                data = write(value)
                found.append((f"decode {form} {size}", name, read, data))
                found.append((f"encode {form} {size}", name, write, value))
    return sorted(found, key=lambda one: one[0])


def medians(home, groups):
    """The median of each benchmark in nanoseconds, as criterion has written it."""
    found = {}
    for path in Path(home).glob("*/*/new"):
        told = json.loads((path / "benchmark.json").read_text())
        name = (told["group_id"], told["function_id"])
        if name in groups:
            found[name] = json.loads((path / "estimates.json").read_text())["median"]["point_estimate"]
    return found


def ratios(of_codecs):
    """Of each group how many times as long our codec takes as the faster of msgspec and orjson, all of them in turns."""
    found = {}
    for group, ones in itertools.groupby(of_codecs, key=lambda one: one[0]):
        calls = {name: functools.partial(function, argument) for _, name, function, argument in ones}
        taken = bench_codec.medians(calls, rounds=300, repeats=20)
        found[group] = taken["callboard"] / min(taken[rival] for rival in ("msgspec", "orjson") if rival in taken)
    return found


def judge(found, ratios):
    """Whether every line of the table is kept."""
    text = (HERE.parents[1] / "docs/benchmarks.md").read_text()
    section = text.split(HEADING)[1].split("\n## ")[0]
    kept = True
    for name, limit, unit in re.findall(r"^\| `([^`]+)` \| ≤ ([0-9.]+) (\S+) \|", section, re.MULTILINE):
        group, function = name.split(" / ")
        figure = ratios[group] if unit == "×" else found[group, function] / SCALES[unit]
        fits = figure <= float(limit)
        kept &= fits
        print(f"  {name:<48} {figure:10.2f} ≤ {limit} {unit}  {'kept' if fits else 'MISSED'}")
    return kept


def main():
    cell, bridge = bench_codec.load_cell(), load(os.environ["CALLBOARD_BRIDGE"])
    of_codecs = codecs(cell)
    bridge.run(called(bridge), of_codecs)
    directions = ("rust to python", "python to rust")
    names = ("loop alone", "empty", "small dict", "small dict, built per call")
    groups = {(group, name) for group in directions for name in names} | {one[:2] for one in of_codecs}
    found = medians(os.environ["CRITERION_HOME"], groups)
    for (group, name), nanoseconds in sorted(found.items()):
        print(f"  {group:<24} {name:<28} {nanoseconds:12.1f} ns")
    sys.exit(0 if judge(found, ratios(of_codecs)) else 1)


if __name__ == "__main__":
    main()
