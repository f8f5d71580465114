"""What scripts import as `callboard`: a call's ways to say something beside its result.

Calls themselves, and all that reaches the node, live in the cell's extension module.
"""

import sys

__all__ = ["log", "notice"]

_LONGEST_NOTICE = 300


def notice(text: str) -> None:
    """Tells the author of a post something, in at most 300 characters.

    Only transforms have such an author; the notices of other scripts reach nobody.
    """
    if not isinstance(text, str):
        raise TypeError(f"a notice is a str, not {type(text).__name__}")
    if len(text) > _LONGEST_NOTICE:
        raise ValueError(f"a notice has at most {_LONGEST_NOTICE} characters, not {len(text)}")


def log(text: str) -> None:
    """Writes a line to the call's standard error, which comes with its outcome."""
    if not isinstance(text, str):
        raise TypeError(f"a log line is a str, not {type(text).__name__}")
    sys.stderr.write(text + "\n")
