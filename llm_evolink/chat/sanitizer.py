"""Makes data of a reply safe to log: without the key, valid JSON, not nested too deep."""

from __future__ import annotations

import math
from typing import Any

from ..redaction import Redactor
from ..text import clean, replace_surrogates

MAX_DEPTH = 100
"""Levels of nested objects and lists that are kept: json and llm recurse once for each."""


class Sanitizer:
    """Sanitizes text and decoded JSON.

    Args:
        redactor: Removes the key.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def text(self, text: str) -> str:
        """Return the text without the key and without lone surrogates."""
        return self._redactor.text(replace_surrogates(text))

    def word(self, value: Any) -> str | None:
        """Return an id or a name on one line, printable; None for anything but text or a number."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        return clean(self.text(value)) if isinstance(value, str) else None

    def json(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """Return decoded JSON with sanitized text; null for NaN, infinity and what is deeper."""
        if type(value) is int:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            if not depth:
                return None
            return {self.text(key): self.json(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.json(item, depth - 1) for item in value] if depth else None
        return value


def is_too_deep(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether decoded JSON has more than depth levels."""
    level = [value]
    for _ in range(depth + 1):
        containers = (item for item in level if isinstance(item, (dict, list)))
        level = [
            inner
            for item in containers
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
