"""Ends a response that makes no progress: bytes arrive, but nothing that adds to the answer."""

import json
import re
import time
from contextlib import suppress
from typing import Any

import httpx

from .json_values import check_values, count_values

_UNEXAMINED = 0.01
"""Share of the time-out for which a stream is not examined after progress, to save CPU time."""

# Compiled when they are needed: few streams last that long.
_END_OF_EVENT = rb"\r?\n\r?\n|\r\r"
_BEGINNING_OF_DATA = rb"(?:\A|[\r\n])(?:data:|(?:d|da|dat|data)\Z)"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Members of a delta that do not add to the answer.
_DESCRIPTIVE = ("role", "index", "type", "id", "logprobs")


class Progress:
    """Watches the body of a response as its parts arrive.

    Progress of a stream is an event with text, reasoning, a tool call or the end of the answer, and
    each part of the data of an event that is not complete. Comments, pings and empty deltas are
    none. A body that begins with { or [ is JSON: all of it but white space is progress. The body of
    an error makes no progress: it has to be complete within the time-out.

    Args:
        timeout: Seconds without progress after which the response ends, up to a hundredth more for
            an answer; None for no limit.
        is_error: Whether the response is an error.
    """

    def __init__(self, timeout: float | None, *, is_error: bool) -> None:
        timeout = float("inf") if timeout is None else timeout
        self._is_error = is_error
        self._unexamined = 0.0 if is_error else timeout * _UNEXAMINED
        self._limit = timeout + self._unexamined
        self._progress_at = time.monotonic()
        self._is_json: bool | None = None
        self._event = bytearray()  # What arrived of an event that is not complete.
        self._values = 0

    def check(self, part: bytes) -> None:
        """Take the next part of the body.

        Raises httpx.ReadTimeout without progress in time, and IncompleteReplyError for JSON of too
        many values.
        """
        now = time.monotonic()
        idle = now - self._progress_at
        if self._take(part, examine=idle >= self._unexamined):
            self._progress_at = now
        elif idle > self._limit and not self._is_in_data():
            raise httpx.ReadTimeout("no progress within the read time-out")

    def _take(self, part: bytes, *, examine: bool) -> bool:
        """Return True if the part is examined and makes progress."""
        if self._is_error:
            return False
        if self._is_json is None and (start := part.removeprefix(_BYTE_ORDER_MARK).lstrip()):
            self._is_json = start.startswith((b"{", b"["))
        if self._is_json:
            self._count(part)
            return examine and not part.isspace()
        event = self._event
        begin = max(0, len(event) - 3)
        event += part
        end = event.rfind(b"\n\n", begin)
        if end < 0:
            end = max(event.rfind(b"\n\r\n", begin), event.rfind(b"\r\r", begin))
        if end < 0:
            self._count(part)
            return False
        complete = re.split(_END_OF_EVENT, event[:end]) if examine else ()
        del event[: end + 2]
        self._values = 0
        return any(map(_adds_to_answer, complete))

    def _count(self, part: bytes) -> None:
        self._values += count_values(part)
        check_values(self._values)

    def _is_in_data(self) -> bool:
        """Return whether data of an event arrived that is not complete."""
        return re.search(_BEGINNING_OF_DATA, self._event) is not None


def _adds_to_answer(event: bytes) -> bool:
    """Return True if an event has a choice with content or a finish_reason."""
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    with suppress(ValueError, RecursionError):
        data = json.loads(b"\n".join(lines))
        choices = data.get("choices") if isinstance(data, dict) else None
        return isinstance(choices, list) and any(map(_has_content, choices))
    return False


def _has_content(value: Any) -> bool:
    """Return whether decoded JSON holds text that adds to an answer."""
    if isinstance(value, dict):
        return any(_has_content(item) for key, item in value.items() if key not in _DESCRIPTIVE)
    if isinstance(value, list):
        return any(map(_has_content, value))
    return isinstance(value, str) and value != ""
