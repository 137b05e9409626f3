"""Reading JSON strictly, writing it, and finding it in prose."""

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_SCANNED = 50_000_000
"""Characters that the search for objects reads in all: a text can make it read parts many times."""

_OBJECT_START = re.compile(r'\{[ \t\n\r]*["}]')


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read(content: bytes | str) -> Any:
    """Return the JSON data; bytes are UTF-8. Raises ValueError for anything but JSON."""
    text = content if isinstance(content, str) else content.decode("utf-8")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write(value: Any) -> str:
    """Return the value as JSON, without escaping letters beyond ASCII."""
    return json.dumps(value, ensure_ascii=False)


def encode(value: Any) -> bytes:
    """Return the value as JSON in UTF-8."""
    return write(value).encode("utf-8", "replace")


def object_at(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """Return the JSON object at this position, after white space, and its end; else None, at."""
    while text[at : at + 1].isspace():
        at += 1
    if text.startswith("{", at):
        try:
            return _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            pass
    return None, at


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, but not those inside others; stop after MAX_SCANNED."""
    found = _OBJECT_START.search(text)
    scanned = 0
    while found and scanned < MAX_SCANNED:
        at = found.start()
        try:
            value, end = _DECODER.raw_decode(text, at)
        except RecursionError:
            return
        except ValueError as error:
            # The error has a line number: the text was read from its beginning for it.
            scanned += error.pos if isinstance(error, json.JSONDecodeError) else len(text)
            found = _OBJECT_START.search(text, at + 1)
        else:
            yield value
            found = _OBJECT_START.search(text, end)
