"""What counts as progress of a stream, and how many JSON values one event may have."""

import json
import re
from contextlib import suppress
from typing import Any

from ..errors import IncompleteReplyError

MAX_VALUES = 3_000_000
"""Maximum number of JSON values in a complete reply or an event: each takes some 80 bytes."""

_TEXT = re.compile(rb'"(?:content|reasoning_content|arguments)" ?: ?"[^"]')
_DESCRIPTIVE = ("role", "index", "type", "id", "name", "logprobs")


def check_values(count: int) -> None:
    """Raise IncompleteReplyError if there are more than MAX_VALUES values."""
    if count > MAX_VALUES:
        raise IncompleteReplyError(f"it has more than {MAX_VALUES:,} JSON values")


def count_values(content: bytes | bytearray) -> int:
    """Return about how many JSON values the content has, before it is decoded."""
    return content.count(b",") + content.count(b"[") + content.count(b"{")


class EventStream:
    """Reads the body of a stream as it arrives, and finds the events that add to the answer.

    A body that begins with { or [ is a complete reply: all of it but white space is progress.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._values = 0
        self._is_json: bool | None = None

    def adds(self, part: bytes) -> bool:
        """Return True if the part completes an event with text, a tool call or the end.

        Raises IncompleteReplyError for an event, or a complete reply, of too many values.
        """
        if self._is_json is None and (start := part.lstrip()):
            self._is_json = start[:1] in (b"{", b"[")
        if self._is_json:
            self._values += count_values(part)
            check_values(self._values)
            return bool(part.strip())
        *lines, last = part.splitlines(keepends=True) or [b""]
        if last.endswith((b"\n", b"\r")):
            lines, last = [*lines, last], b""
        found = False
        for line in lines:
            found = self._read(line) or found
        self._line += last
        self._values += count_values(last)
        check_values(self._values)
        return found

    def _read(self, line: bytes) -> bool:
        self._values += count_values(line)
        check_values(self._values)
        if self._line:
            line = bytes(self._line) + line
            self._line.clear()
        if not line.strip():  # The end of an event.
            self._values = 0
            return False
        return line.startswith(b"data:") and (bool(_TEXT.search(line)) or _adds(line[5:]))


def _adds(data: bytes) -> bool:
    """Return True if the data of an event has a choice with content or a finish_reason."""
    with suppress(ValueError, RecursionError):
        event = json.loads(data)
        choices = event.get("choices") if isinstance(event, dict) else None
        return isinstance(choices, list) and any(map(_has_content, choices))
    return False


def _has_content(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    parts = [choice.get("finish_reason"), choice.get("text")]
    for name in ("delta", "message"):
        if isinstance(part := choice.get(name), dict):
            parts += [value for key, value in part.items() if key not in _DESCRIPTIVE]
    return any(parts)
