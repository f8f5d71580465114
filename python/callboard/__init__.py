"""What scripts import as `callboard`: a call's ways to say something beside its result, and to ask the node.

Calls themselves, and all that reaches the node, live in the cell's extension module.
"""

import sys

from callboard import _loop, llm
from callboard.errors import ActionError

__all__ = ["ActionError", "cancelled", "llm", "log", "notice"]

# A package all of whose parts are loaded.
__path__ = []


def notice(text: str) -> None:
    """Tells the author of a post something: at most 5 times a call, each in at most 300 characters.

    Only transforms have such an author; the notices of other scripts reach nobody.
    """
    if not isinstance(text, str):
        raise TypeError(f"a notice is a str, not {type(text).__name__}")
    _loop.node.notice(text)


def log(text: str) -> None:
    """Writes a line to the call's standard error, which comes with its outcome."""
    if not isinstance(text, str):
        raise TypeError(f"a log line is a str, not {type(text).__name__}")
    sys.stderr.write(text + "\n")


def cancelled() -> bool:
    """Whether this call was cancelled or is late: what it still does is in vain and soon ended."""
    return _loop.node.cancelled()
