"""The exceptions that are the package's own, for editors and type checkers; the code lives beside it."""

__all__ = ["ActionError"]

class ActionError(Exception):
    """What a script asked of the node did not come about."""

    code: str
    reason: str | None
    def __init__(self, code: str, reason: str | None = None, message: str | None = None) -> None: ...
