"""Regular expressions of a client or a user, with limited time and memory."""

import re
from typing import Any

import regex  # type: ignore[import-untyped]

TIMEOUT = 0.5
"""Seconds of CPU time that one search can take."""

MAX_LENGTH = 1000
"""Maximum length of a pattern that a client sends, in characters."""

MAX_SIZE = 20_000
"""Maximum size of a pattern that a client sends, with its repetitions: a{3} is compiled as aaa."""

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)[^}]*\}|.", re.DOTALL)
_FLAGS_OR_COMMENT = re.compile(r"\(\?(?:#|[a-zA-Z0-9-]+[:)])")


def compile_pattern(pattern: str) -> Any:
    """Return the compiled pattern. Raises ValueError, which names a pattern that is invalid."""
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def compile_bounded(pattern: str) -> Any:
    """Return the compiled pattern of a client.

    Raises ValueError for a pattern that is invalid, longer than MAX_LENGTH or larger than MAX_SIZE,
    and for flags and comments within it, which JSON Schema does not have.
    """
    if _FLAGS_OR_COMMENT.search(pattern):
        raise ValueError("the pattern has flags or a comment")
    if len(pattern) > MAX_LENGTH or _size(pattern) > MAX_SIZE:
        raise ValueError("the pattern is too large")
    return compile_pattern(pattern)


def matches(pattern: Any, text: str) -> bool:
    """Return whether the pattern is found in the text. Raises TimeoutError after TIMEOUT."""
    return pattern.search(text, timeout=TIMEOUT) is not None


def _size(pattern: str) -> int:
    """Return the number of characters and classes that the pattern has with its repetitions."""
    outer: list[int] = []  # Sizes of what is before each open group.
    size = last = 0
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            outer.append(size)
            size = last = 0
        elif token[0] == ")" and outer:
            last = size + 1
            size = outer.pop() + last
        elif token[1]:
            repeated = last * max(int(token[1]), 1)
            size += repeated - last
            last = repeated
        else:
            last = 1
            size += 1
    return size + sum(outer)
