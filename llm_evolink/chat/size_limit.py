"""Bounds the memory that a reply takes while it is read and logged."""

from __future__ import annotations

from typing import Any, NoReturn

from ..connection.json_values import VALUE_BYTES
from ..errors import IncompleteReplyError

MAX_REPLY_MEMORY = 100 * 2**20
"""Maximum memory of what is kept of a reply, in bytes; llm makes up to two copies of it."""

LOGGED_BYTES = 64
"""Bytes that are counted for a character which llm logs: 1.6 million characters are allowed.

llm compiles the text of an answer to a regular expression when it logs it, which takes 160 bytes
and several microseconds for each character. The document allows answers of 65,536 tokens, which
are about 300,000 characters of English.
"""

CALL_BYTES = 2500
"""Memory of a tool call without its arguments, what llm keeps of it included, in bytes."""

_WIDEST = 4  # Maximum bytes of a character in text that is not ASCII.


class SizeLimit:
    """Counts the memory of what is kept of a reply. Its estimates are upper bounds.

    Args:
        is_logged: Whether llm logs the reply, as its commands do.
    """

    def __init__(self, *, is_logged: bool = False) -> None:
        self._characters = 0
        self._width = LOGGED_BYTES if is_logged else 1  # Bytes of a character.
        self._bytes = 0

    def add_text(self, text: str) -> None:
        """Count text that will be joined to other text. Raises as add()."""
        self._characters += len(text)
        # Python stores all characters of a text with as many bytes as the widest of them needs.
        if not text.isascii():
            self._width = max(self._width, _WIDEST)
        if self._characters * self._width + self._bytes > MAX_REPLY_MEMORY:
            self._fail()

    def add(self, size: int) -> None:
        """Count bytes. Raises IncompleteReplyError if all are more than MAX_REPLY_MEMORY."""
        self._bytes += size
        if self._characters * self._width + self._bytes > MAX_REPLY_MEMORY:
            self._fail()

    def set(self, into: dict[str, Any], name: str, value: Any) -> None:
        """Set a member of an object that is kept, and count what it adds. Raises as add()."""
        size = json_size(value)
        self.add(size - json_size(into[name]) if name in into else size + VALUE_BYTES + len(name))
        into[name] = value

    def has_room(self, size: int) -> bool:
        """Return whether these bytes fit into half of the maximum, which optional data may use."""
        used = self._characters * self._width + self._bytes
        return used + size <= MAX_REPLY_MEMORY // 2

    def _fail(self) -> NoReturn:
        raise IncompleteReplyError(f"it takes more than {MAX_REPLY_MEMORY / 2**20:g} MiB of memory")


def json_size(value: Any) -> int:
    """Return the memory of decoded JSON, in bytes."""
    if type(value) is int:  # Most values are token counts.
        return VALUE_BYTES
    size = 0
    values = [value]
    while values:
        value = values.pop()
        size += VALUE_BYTES
        if isinstance(value, str):
            size += len(value) * (1 if value.isascii() else _WIDEST)
        elif isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            size += VALUE_BYTES * len(value) + sum(map(len, value))
            values += value.values()
    return size
