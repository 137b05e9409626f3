"""The delay that a response asks for before the request is sent again."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
# A duration such as 6m0s, or a number with a unit or without one; not a number of weeks.
_IN_TEXT = re.compile(
    r"(?:retry|try again|retry again|available|reset\w*)\s+(?:after|in)\s+"
    r"(?:((?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d)){1,5})\b|"
    r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:(ms|milliseconds?|m(?:in(?:utes?)?)?|h(?:ours?)?|"
    r"d(?:ays?)?|s(?:ec(?:onds?)?)?)\b|(?![\w.]|\s*[a-z])))",
    re.IGNORECASE,
)
_IN_DETAILS = re.compile(r'"retryDelay"\s*:\s*"([0-9.]{1,20}s)"')
_MAX_SEARCHED = 2**16  # Characters of a body.
_MAX_SECONDS = 10 * 365 * 86400.0


def retry_after(headers: Mapping[str, str], content: bytes) -> float | None:
    """Return the delay in seconds that the response asks for, None for none.

    Headers come before the body: `retry-after-ms`, `Retry-After` (seconds or a date, RFC 9110),
    `x-ratelimit-reset-*` of the limits that are used up (OpenAI's form: 1s, 6m0s), then
    `retryDelay` in an error's details (Google's form: 3.2s) and "try again in 3s" in its message.
    """
    for seconds in _advised(headers, content):
        if seconds >= 0:
            return min(seconds, _MAX_SECONDS)
    return None


def _advised(headers: Mapping[str, str], content: bytes) -> Iterator[float]:
    with suppress(ValueError):
        yield float(headers.get("retry-after-ms", "")) / 1000
    header = headers.get("retry-after", "").strip()
    with suppress(ValueError):
        yield float(header)
    with suppress(ValueError, OverflowError, TypeError):
        if date := parsedate_tz(header):
            yield max(0.0, mktime_tz(date) - time.time())
    if resets := list(_resets(headers)):
        yield max(resets)
    text = content[:_MAX_SEARCHED].decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        # Escapes hide words: JSON is searched as it reads once decoded.
        text = json.dumps(json.loads(text), ensure_ascii=False)
    if found := _IN_DETAILS.search(text):
        with suppress(ValueError):
            yield float(found[1][:-1])
    if found := _IN_TEXT.search(text):
        if found[1]:
            yield _seconds(found[1])
            return
        unit = (found[3] or "s").lower()
        name = "ms" if unit.startswith(("ms", "mil")) else unit[0]
        yield float(found[2]) * _UNITS[name]


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration.lower()))


def _resets(headers: Mapping[str, str]) -> Iterator[float]:
    """Yield the seconds until each limit that is used up is reset."""
    for name, value in headers.items():
        prefix, found, limit = name.lower().partition("x-ratelimit-reset")
        if prefix or not found:
            continue
        if headers.get(f"x-ratelimit-remaining{limit}", "0").strip() not in ("0", "0.0"):
            continue
        value = value.strip().lower()
        if _DURATION.fullmatch(value):
            yield _seconds(value)
            continue
        with suppress(ValueError):
            seconds = float(value)
            if seconds > 1e9:  # A moment: seconds or milliseconds since 1970.
                seconds = seconds / (1000 if seconds > 1e12 else 1) - time.time()
            yield max(0.0, seconds)
