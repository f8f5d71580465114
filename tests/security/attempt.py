"""What an attempt to escape is: a function whose text is run as a script, without the lock and in a cell.

It is told what there is to reach (`world`), and reaches it if it returns something that holds the secret, returns
`REACHED`, or leaves the world otherwise than it was. Where it runs is decided elsewhere.
"""

import inspect
from pathlib import Path

REACHED = "reached, by an attempt that leaves no trace"
NATIVE = (Path(__file__).parent / "native.py").read_text()

ALL = []


class Attempt:
    """One way out."""

    def __init__(self, function, native):
        self.name = function.__name__
        self.theme = function.__module__
        text = inspect.getsource(function)
        self.script = f"{NATIVE if native else ''}\nREACHED = {REACHED!r}\n{text[text.index('def ') :]}"

    def __str__(self):
        return f"{self.theme}.{self.name}"


def attempt(function):
    """Adds a function to the corpus."""
    ALL.append(Attempt(function, native=False))
    return function


def native(function):
    """Adds a function that needs `native` before it."""
    ALL.append(Attempt(function, native=True))
    return function
