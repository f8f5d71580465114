"""Asking a model. Keys, providers and retries are the business of whoever serves `llm.complete`."""

from typing import NamedTuple

from callboard._loop import ask
from callboard.errors import ActionError

__all__ = ["Completion", "Usage", "complete"]


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
    messages,
    *,
    profile_id=None,
    max_tokens=None,
    temperature=None,
    response_schema=None,
    stop=None,
):
    """Asks the model of a profile, the active one if none is named, and waits for its answer.

    Raises `callboard.ActionError` if there is none.
    """
    payload = {
        "messages": [{"role": message["role"], "content": message["content"]} for message in messages],
        "profileId": profile_id,
        "maxTokens": max_tokens,
        "temperature": temperature,
        "responseSchema": response_schema,
        "stop": stop,
    }
    answer = await ask({key: value for key, value in payload.items() if value is not None})
    try:
        usage = answer.get("usage") or {}
        return Completion(
            text=answer["text"],
            model_name=answer["modelName"],
            finish_reason=answer["finishReason"],
            usage=Usage(usage.get("inputTokens", 0), usage.get("outputTokens", 0)),
        )
    except (AttributeError, KeyError, TypeError):
        raise ActionError("PY_INVALID_RESPONSE", None, "the answer has another shape") from None
