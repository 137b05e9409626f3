"""Removal of a backend's key and of terminal escapes from its reply."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ...redaction import Redactor
from .choices import Delta

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters of C0 and C1, except tab, line feed and carriage return."""


class Sanitizer:
    """Removes a key and control characters from a reply.

    Args:
        key: The key of the backend; "" for none.
    """

    def __init__(self, key: str) -> None:
        self._redactor = Redactor(key)

    def deltas(self, events: Iterable[Any]) -> Iterator[Delta]:
        """Yield the sanitized text and reasoning of llm's stream events.

        The end of a text that can be the start of the key is held back until more has arrived.
        """
        for event in events:
            if event.type in ("text", "reasoning") and event.chunk:
                # First the control characters: one inside the key would hide it.
                text = _CONTROLS.sub("", event.chunk)
                for type_, shown in self._redactor.deltas(event.type, text):
                    yield Delta(type_, shown)  # type: ignore[arg-type]
        for type_, shown in self._redactor.rest():
            yield Delta(type_, shown)  # type: ignore[arg-type]

    def value(self, value: Any) -> Any:
        """Return a copy of the JSON value with all its strings sanitized."""
        if isinstance(value, str):
            return self._redactor.text(_CONTROLS.sub("", value))
        if isinstance(value, dict):
            return {self.value(name): self.value(member) for name, member in value.items()}
        return [self.value(item) for item in value] if isinstance(value, list) else value
