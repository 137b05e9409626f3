"""Decodes replies that the generated client does not: other labels, shapes and types of values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from generated_client import models

from ..errors import IncompleteReplyError
from ..failures import from_report, not_a_reply

_decode = json.JSONDecoder().raw_decode
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_UNREADABLE = "the server sent an event that cannot be decoded"


def is_event_stream(content: bytes) -> bool:
    """Return whether a body begins as a stream of server-sent events."""
    return content[:100].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_FIELDS)


def decode_body(content: bytes) -> list[Any]:
    """Return the JSON values in a body, one or several. Raises NoReplyError for any other body."""
    try:
        return list(_values(content.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        raise not_a_reply(content) from None


def decode_event(data: str, is_error: bool) -> models.ChatCompletionChunk:
    """Return the data of an event as a chunk.

    Args:
        data: Data of the event.
        is_error: Whether the event is named `error`.

    Raises:
        EvolinkError: The error that the event reports, or IncompleteReplyError for other data.
    """
    data = re.sub(r"\A(?:data:\s*)+", "", data)
    if data == "[DONE]":
        data = "{}"
    try:
        values: list[Any] = list(_values(data))
    except (ValueError, RecursionError):
        if not is_error:
            raise IncompleteReplyError(_UNREADABLE) from None
        values = [data]
    if is_error:
        raise from_report(values)
    return to_chunk(values)


def to_chunk(values: list[Any]) -> models.ChatCompletionChunk:
    """Return decoded JSON values as one chunk. Raises EvolinkError for an error among them."""
    chunk: dict[str, Any] = {"choices": []}
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise IncompleteReplyError(_UNREADABLE)
            if reports_error(item):
                raise from_report(item)
            valid = valid_reply(item)
            chunk |= valid | {"choices": [*chunk["choices"], *valid["choices"]]}
    return models.ChatCompletionChunk.from_dict(chunk)


def is_json(text: str) -> bool:
    """Return whether the text is a complete JSON value."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def reports_error(data: dict[str, Any]) -> bool:
    """Return whether a decoded chunk or completion is an error, or holds one."""
    if data.get("choices") or data.get("usage"):
        return bool(data.get("error"))
    from ..error_report import is_error  # Few replies have such a chunk.

    return is_error(data)


def valid_reply(data: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk or completion that the models can decode: values of other types left out."""
    choices = data.get("choices")
    choices = choices if isinstance(choices, list) else [choices]
    valid = {**data, "choices": [_valid_choice(item) for item in choices if isinstance(item, dict)]}
    usage = data.get("usage")
    valid["usage"] = valid_usage(usage) if isinstance(usage, dict) else None
    valid.pop("error", None)
    return valid


def valid_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return token counts that the model can decode: details that are not an object left out."""
    return {
        name: value
        for name, value in usage.items()
        if not name.endswith("_details") or isinstance(value, dict)
    }


def _valid_choice(choice: dict[str, Any]) -> dict[str, Any]:
    valid = dict(choice)
    for name in ("delta", "message"):
        if name in valid:
            valid[name] = valid_message(valid[name])
    return valid


def valid_message(message: Any) -> dict[str, Any] | None:
    """Return a message or delta that the models can decode; None for other types of values."""
    if isinstance(message, str):
        return {"content": message}
    if not isinstance(message, dict):
        return None
    calls = message.get("tool_calls")
    if calls is None:
        return message
    calls = calls if isinstance(calls, list) else [calls]
    return {
        **message,
        "tool_calls": [_valid_call(call) for call in calls if isinstance(call, dict)],
    }


def _valid_call(call: dict[str, Any]) -> dict[str, Any]:
    is_valid = isinstance(call.get("function"), (dict, type(None)))
    return call if is_valid else {**call, "function": None}


def text_of(content: Any) -> str:
    """Return the text in a value where text was expected: a list of content parts, a number."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(text_of, content))
    if isinstance(content, dict):
        return text_of(content.get("text") or content.get("content"))
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return str(content)
    return ""


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values that follow one another in the text. Raises ValueError for none."""
    text = text.strip()
    position = 0
    while position < len(text) or not position:
        value, position = _decode(text, position)
        yield value
        while text[position : position + 1].isspace():
            position += 1
