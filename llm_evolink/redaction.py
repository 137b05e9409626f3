"""Keeps the key out of what a server sends: its last four characters stand in its place."""

import logging
from collections.abc import Iterator

SHORTEST = 8
"""A key with fewer characters guards nothing, and stands in many a word: it is left alone."""

BEGINNING = 3
"""Characters of a key that tell nothing: each begins with sk-."""

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
"""Where httpx and httpcore log what a server sends, its headers at level DEBUG."""


class Redactor:
    """Replaces a key in text, and in text that comes in pieces."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._shown = f"…{key[-4:]}"
        # By kind: text not shown yet, and text shown before it that the key may begin with.
        self._held: dict[str, str] = {}
        self._begun: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return the text without the key."""
        return text.replace(self._key, self._shown) if len(self._key) >= SHORTEST else text

    def pieces(self, kind: str, piece: str) -> Iterator[tuple[str, str]]:
        """Yield kind and text of what can be shown after one more piece of text of this kind.

        An end that the key may begin with is held back until the next piece of its kind, or rest();
        a short one, of words that end in an s, until a piece of another kind.
        """
        for other in self._held.keys() - {kind}:
            yield from self._release(other)
        begun = self._begun.pop(kind, "")
        text = self.text(begun + self._held.get(kind, "") + piece)
        start = len(begun) if text.startswith(begun) else 0
        end = self._possible_key(text)
        if end < start:
            self._begun[kind] = begun
            end = start
        self._held[kind] = text[end:]
        if end > start:
            yield kind, text[start:end]

    def _release(self, kind: str) -> Iterator[tuple[str, str]]:
        begun = self._begun.get(kind, "") + self._held[kind]
        if self._held[kind] and len(begun) <= BEGINNING:
            yield kind, self._held[kind]
            self._begun[kind], self._held[kind] = begun, ""

    def rest(self) -> Iterator[tuple[str, str]]:
        """Yield kind and text of what was held back, if anything was."""
        held, self._held = self._held, {}
        yield from ((kind, text) for kind, text in held.items() if text)

    def _possible_key(self, text: str) -> int:
        """Return where the key may begin in the end of the text; the text's length for nowhere."""
        if len(self._key) < SHORTEST:
            return len(text)
        start = text.find(self._key[0], max(0, len(text) - len(self._key) + 1))
        while start >= 0 and not self._key.startswith(text[start:]):
            start = text.find(self._key[0], start + 1)
        return start if start >= 0 else len(text)


class _LogFilter(logging.Filter):
    """Keeps the keys that this process uses out of a logger's messages."""

    def __init__(self) -> None:
        super().__init__()
        self.redactors: dict[str, Redactor] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, its message without a key."""
        message = redacted = record.getMessage()
        for redactor in list(self.redactors.values()):
            redacted = redactor.text(redacted)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


_log_filter = _LogFilter()


def keep_out_of_logs(key: str) -> None:
    """See to it that httpx and httpcore do not log the key, should a server send it back."""
    _log_filter.redactors[key] = Redactor(key)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_log_filter)
