"""Regular expressions of a client or a user, searched with a time limit."""

from typing import Any

import regex  # type: ignore[import-untyped]

TIMEOUT = 0.5
"""Seconds that one search can take."""

MAX_LENGTH = 1000
"""Maximum length of a pattern that a client sends, in characters."""


def compile_pattern(pattern: str) -> Any:
    """Return the compiled pattern. Raises ValueError, which names a pattern that is invalid."""
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def matches(pattern: Any, text: str) -> bool:
    """Return whether the pattern is found in the text. Raises TimeoutError after TIMEOUT."""
    return pattern.search(text, timeout=TIMEOUT) is not None
