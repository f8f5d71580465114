"""What scripts import as `callboard`, for editors and type checkers; the code lives beside it."""

from callboard import llm as llm
from callboard.errors import ActionError as ActionError

__all__ = ["ActionError", "Refused", "cancelled", "llm", "log", "notice"]

class Refused(PermissionError):
    """The cell's lock refused something; made by the extension module."""

def notice(text: str) -> None: ...
def log(text: str) -> None: ...
def cancelled() -> bool: ...
