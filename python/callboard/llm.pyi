"""Asking a model, for editors and type checkers; the code lives beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

__all__ = ["Completion", "Message", "Usage", "complete"]

class Message(TypedDict):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str

class Usage(NamedTuple):
    """What an answer took, in the provider's tokens."""

    input_tokens: int
    output_tokens: int

class Completion(NamedTuple):
    """A model's answer."""

    text: str
    model_name: str
    finish_reason: str
    usage: Usage

async def complete(
    messages: Iterable[Message],
    *,
    profile_id: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    response_schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] | None = None,
) -> Completion: ...
