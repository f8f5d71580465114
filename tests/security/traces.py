"""A script that leaves traces wherever a process of Python can keep something, and one that looks for them: the same."""

import abc
import asyncio
import atexit
import builtins
import codecs
import contextvars
import copyreg
import csv
import decimal
import email.policy
import functools
import gc
import html.parser
import json
import linecache
import logging
import mimetypes
import numbers
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import types
import warnings

KEPT = []


class Left(dict):
    """What is registered in places that keep classes."""

    find_spec = staticmethod(lambda *_: None)


def hook(*arguments):
    """What is registered in places that keep functions."""
    return None


@functools.lru_cache
def remembered(mark):
    """What remembers its calls."""
    return mark


def where():
    """The process that this runs in."""
    return os.getpid()


def plant():
    """Leaves traces."""
    KEPT.append("left")
    builtins.left = json.left = os.left = "left"
    html.parser.HTMLParser.left = "left"
    sys.modules["left"] = types.ModuleType("left")
    os.environ["LEFT"] = "left"
    threading.main_thread().left = "left"
    sys.path.append("/left")
    sys.meta_path.append(Left)
    sys.displayhook = hook
    sys.setrecursionlimit(1234)
    sys.setswitchinterval(0.5)
    gc.callbacks.append(hook)
    gc.set_threshold(12345)
    gc.garbage.append("left")
    atexit.register(hook)
    signal.signal(signal.SIGUSR2, hook)
    codecs.register(lambda name: codecs.lookup("ascii") if name == "left" else None)
    codecs.register_error("left", hook)
    logging.root.addHandler(logging.NullHandler())
    logging.addLevelName(77, "left")
    decimal.getcontext().prec = 77
    csv.register_dialect("left", "excel")
    csv.field_size_limit(777)
    copyreg.pickle(Left, hook)
    numbers.Number.register(Left)
    mimetypes.add_type("left/left", ".left")
    linecache.cache["left"] = (1, None, ["left"], "left")
    warnings.filters.append("left")
    socket.setdefaulttimeout(77)
    tempfile.tempdir = "left"
    asyncio.left = contextvars.ContextVar("left", default="left")
    re.compile("left, and never compiled by anyone else")
    remembered("left")
    sys.settrace(hook)
    sys.setprofile(hook)
    return os.getpid()


def look():
    """The places where a trace is found."""
    trace, profile = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    compiled = [str(key) for key in getattr(re, "_cache", {})]
    try:
        codec = bool(codecs.lookup("left"))
    except LookupError:
        codec = False
    try:
        error = bool(codecs.lookup_error("left"))
    except LookupError:
        error = False
    places = {
        "own globals": bool(KEPT), "builtins": hasattr(builtins, "left"), "a module": hasattr(json, "left"),
        "os": hasattr(os, "left"), "a class": hasattr(html.parser.HTMLParser, "left"), "modules": "left" in sys.modules,
        "environment": "LEFT" in os.environ, "thread": hasattr(threading.main_thread(), "left"), "path": "/left" in sys.path,
        "importers": Left in sys.meta_path, "display": sys.displayhook.__name__ == "hook",
        "recursion": sys.getrecursionlimit() == 1234, "switches": sys.getswitchinterval() == 0.5,
        "collector's calls": any(getattr(it, "__name__", "") == "hook" for it in gc.callbacks),
        "collector's thresholds": gc.get_threshold()[0] == 12345, "garbage": "left" in gc.garbage,
        "end": atexit._ncallbacks() > 0 and "left" in sys.modules, "signal": callable(signal.getsignal(signal.SIGUSR2)),
        "codec": codec, "codec's errors": error, "log": bool(logging.root.handlers), "levels": logging.getLevelName(77) == "left",
        "decimal": decimal.getcontext().prec == 77, "dialects": "left" in csv.list_dialects(),
        "fields": csv.field_size_limit() == 777, "pickles": any("Left" in str(it) for it in copyreg.dispatch_table),
        "numbers": any("Left" in str(it) for it in abc._get_dump(numbers.Number)[0]),
        "types": mimetypes.guess_type("a.left")[0] is not None, "lines": "left" in linecache.cache,
        "warnings": "left" in warnings.filters, "timeout": socket.getdefaulttimeout() == 77,
        "temporary": tempfile.tempdir == "left", "loop": hasattr(asyncio, "left"),
        "expressions": any("left, and" in it for it in compiled), "remembered": remembered.cache_info().currsize > 0,
        "trace": trace is not None, "profile": profile is not None,
    }  # fmt: skip
    return {"process": os.getpid(), "found": sorted(name for name, found in places.items() if found), "places": len(places)}


def main():
    """Nothing; the other functions are called by name."""
