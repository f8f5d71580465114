"""The exceptions that are the package's own.

Who raises them lives elsewhere.
"""

__all__ = ["ActionError"]


class ActionError(Exception):
    """What a script asked of the node did not come about.

    `code` is one of the codes of actions, such as `UNAVAILABLE`; `reason` the machine-readable cause below it, if any.
    """

    def __init__(self, code, reason=None, message=None):
        parts = [code] + ([f"({reason})"] if reason else [])
        super().__init__(" ".join(parts) + (f": {message}" if message else ""))
        self.code = code
        self.reason = reason
