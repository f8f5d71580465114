"""What another script has left in its process: the secret, in every place that one could think of.

Run in the process of an attempt without the lock, and in other cells beside those of attempts.
"""

import atexit
import builtins
import codecs
import contextvars
import gc
import linecache
import logging
import os
import re
import signal
import sys
import threading
import types

KEPT = []


class Left:
    """Found through the subclasses of `object`."""


def plant(secret):
    """Leaves the secret behind."""
    Left.secret = secret
    KEPT.append(secret)
    os.environ["SECRET"] = secret
    sys.argv.append(secret)
    builtins.left = secret
    sys.modules["left"] = types.ModuleType("left")
    sys.modules["left"].secret = secret
    sys.path.append("/" + secret)
    sys.intern(secret)
    logging.getLogger(secret)
    linecache.cache["left.py"] = (len(secret), None, [secret], "left.py")
    re.compile(secret + ".")
    os.left = secret
    codecs.register(lambda name: codecs.CodecInfo(None, None, name=secret) if name == "kanary" else None)
    variable = contextvars.ContextVar("left")
    variable.set(secret)
    KEPT.append(variable)
    threading.local().left = secret
    KEPT.append(lambda at=secret: at)
    atexit.register(KEPT[-1])
    gc.callbacks.append(lambda *_, at=secret: at)
    signal.signal(signal.SIGUSR2, lambda *_, at=secret: at)


def main(secret):
    """The entry point, in a cell."""
    plant(secret)
    return sys.argv[-1] == secret
