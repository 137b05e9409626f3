"""Keeps the API key, and a proxy's password, out of texts that a server sends and out of logs."""

import base64
import json
import logging
import re
import string
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from urllib.parse import quote

SHORTEST = 8
"""Shorter keys are not redacted: they are placeholders ("sandbox") and occur in ordinary text."""

SHORTEST_PASSWORD = 4
"""Shorter passwords of proxies are not redacted, for the same reason."""

BEGINNING = 3
"""Characters at the start of a key that reveal nothing: keys begin with sk-."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@lru_cache(maxsize=8)
def forms(key: str) -> tuple[str, ...]:
    """Return the texts that reveal the key, in lower case.

    They are the key, its percent-encoded and JSON-escaped forms, and the base64 of `Bearer KEY`.
    Text is searched for them without regard to case.
    """
    encoded = base64.b64encode(f"Bearer {key}".encode()).decode().rstrip("=")
    # The last character of base64 depends on what follows.
    found = [key, quote(key, safe=""), quote(key), json.dumps(key)[1:-1], encoded[:-1]]
    found += [found[3].replace("/", "\\/"), repr(key.encode())[2:-1]]
    return tuple(dict.fromkeys(map(_lower, found)))


def _lower(text: str) -> str:
    """Return the text with ASCII letters in lower case; its length stays the same."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


@cache
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE | re.ASCII)


class Redactor:
    """Replaces a key by its last four characters, in a text and in text that arrives in deltas."""

    def __init__(self, key: str) -> None:
        self._shown = f"…{key[-4:]}"
        self._forms = forms(key) if len(key) >= SHORTEST else ()
        self._shortest = min(map(len, self._forms), default=0)
        # By type of text: what is not shown yet, and what was shown that the key may begin with.
        self._held: dict[str, str] = {}
        self._begun: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return the text without the key."""
        if len(text) < self._shortest:
            return text
        lower = _lower(text)
        if not any(form in lower for form in self._forms):
            return text
        return _pattern(self._forms).sub(lambda found: self._shown, text)

    def excerpt(self, text: str) -> str:
        """Return an error's text without key and passwords, or the start of a key at its end."""
        text = without_credentials(self.text(text))
        start = self._possible_key(text)
        return text if len(text) - start <= BEGINNING else f"{text[:start]}…"

    def parts_of_key(self, texts: Sequence[str], *, is_cut: bool = False) -> set[int]:
        """Return the indices of the texts that form the key when they are joined.

        If they are cut at the end, a part of the key there counts from BEGINNING characters on.
        """
        joined = _lower("".join(texts))
        spans = []
        if any(form in joined for form in self._forms):
            spans = [found.span() for found in _pattern(self._forms).finditer(joined)]
        start = self._possible_key(joined) if is_cut else len(joined)
        if len(joined) - start > BEGINNING:
            spans.append((start, len(joined)))
        if not spans:
            return set()
        found = set()
        at = 0
        for index, text in enumerate(texts):
            if any(start < at + len(text) and at < end for start, end in spans):
                found.add(index)
            at += len(text)
        return found

    def deltas(self, type: str, delta: str) -> Iterator[tuple[str, str]]:  # noqa: A002
        """Yield type and text of what can be shown after one more delta of text of this type.

        A tail that could be the start of the key is held back until the next delta of the same type
        or rest(). A tail of up to three characters (many words end in "s") is released when a delta
        of another type arrives.
        """
        for other in self._held.keys() - {type}:
            yield from self._release(other)
        begun = self._begun.pop(type, "")
        text = self.text(begun + self._held.get(type, "") + delta)
        start = len(begun) if text.startswith(begun) else 0
        end = self._possible_key(text)
        if end < start:
            self._begun[type] = begun
            end = start
        self._held[type] = text[end:]
        if end > start:
            yield type, text[start:end]

    def _release(self, type: str) -> Iterator[tuple[str, str]]:  # noqa: A002
        begun = self._begun.get(type, "") + self._held[type]
        if self._held[type] and len(begun) <= BEGINNING:
            yield type, self._held[type]
            self._begun[type], self._held[type] = begun, ""

    def rest(self) -> Iterator[tuple[str, str]]:
        """Yield type and text of what was held back."""
        held, self._held = self._held, {}
        yield from ((type_, text) for type_, text in held.items() if text)

    def _possible_key(self, text: str) -> int:
        """Return where the key may begin at the end of the text; the text's length for nowhere."""
        first = len(text)
        for form in self._forms:
            tail = _lower(text[-(len(form) - 1) :])
            at = tail.find(form[0])
            while at >= 0 and not form.startswith(tail[at:]):
                at = tail.find(form[0], at + 1)
            if at >= 0:
                first = min(first, len(text) - len(tail) + at)
        return first


_logged: dict[str, Redactor] = {}
_credentials: dict[str, str] = {}


def without_credentials(text: str) -> str:
    """Return the text without the user names and passwords of proxies."""
    for secret in sorted(_credentials, key=len, reverse=True):  # One may contain another.
        text = text.replace(secret, _credentials[secret])
    return text


def keep_credentials_out(user: str, password: str) -> None:
    """Keep a proxy's user name and password out of errors and log records."""
    if len(password) >= SHORTEST_PASSWORD:
        pair = f"{user}:{password}"
        for secret in (pair, base64.b64encode(pair.encode()).decode(), quote(password), password):
            _credentials[secret] = "…"
        _install_log_filter()


def keep_out_of_logs(key: str) -> None:
    """Keep the key out of all log records from now on, whichever library makes them."""
    _logged.setdefault(key, Redactor(key))
    _install_log_filter()


def _install_log_filter() -> None:
    make_record = logging.getLogRecordFactory()
    if getattr(make_record, "redacts_evolink_keys", False):
        return

    def make_redacted_record(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        _redact_record(record)
        return record

    make_redacted_record.redacts_evolink_keys = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_redacted_record)


def _redact_record(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:
        return  # logging reports a wrong format when it formats the message itself.
    redacted = _redacted(message)
    if redacted != message:
        record.msg, record.args = redacted, ()
    if record.exc_info:
        text = logging.Formatter().formatException(record.exc_info)
        if (redacted := _redacted(text)) != text:
            # A formatter takes this text, and does not format the exception itself.
            record.exc_text = redacted


def _redacted(text: str) -> str:
    for redactor in list(_logged.values()):
        text = redactor.text(text)
    return without_credentials(text)
