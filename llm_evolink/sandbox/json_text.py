"""JSON as text: read strictly, written as it is sent, found in prose."""

import json
from collections.abc import Iterator
from typing import Any


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read(content: bytes | str) -> Any:
    """Return the JSON data, UTF-8 when bytes. Raises ValueError when it is none."""
    text = content if isinstance(content, str) else content.decode("utf-8")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write(value: Any) -> str:
    """Return the value as JSON, with letters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False)


def encode(value: Any) -> bytes:
    """Return the value as JSON in UTF-8."""
    return write(value).encode("utf-8", "replace")


def object_at(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """Return the JSON object that begins there, blanks aside, and where it ends; else None, at."""
    while text[at : at + 1].isspace():
        at += 1
    if text.startswith("{", at):
        try:
            return _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            pass
    return None, at


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, the outermost only."""
    at = text.find("{")
    while at >= 0:
        found, end = object_at(text, at)
        if found is not None:
            yield found
        at = text.find("{", max(end, at + 1))
