"""What scripts import as `callboard`, for editors and type checkers; the code lives beside it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from callboard import llm as llm
from callboard.errors import ActionError as ActionError

__all__ = ["ActionError", "Refused", "action", "cancelled", "llm", "log", "notice"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

class Refused(PermissionError):
    """The cell's lock refused something; made by the extension module."""

def action(
    name: str, *, timeout_s: float | None = None, capabilities: Iterable[str] = ()
) -> Callable[[_Function], _Function]: ...
def notice(text: str) -> None: ...
def log(text: str) -> None: ...
def cancelled() -> bool: ...
