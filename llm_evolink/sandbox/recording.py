"""A file of the requests received, one line of JSON each, without API keys."""

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import Scope

from .json_text import encode

HEADERS = (
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
)
"""Headers that are recorded. Any other can hold a key."""

CREDENTIALS = ("authorization", "proxy-authorization", "cookie")
"""Headers in which each word can be a key. In any other header, only the complete value can."""

REMOVED = b"[key]"
"""Replacement for a key in the rest of a request."""

MIN_KEY_LENGTH = 8
"""Shorter values are not replaced: they are placeholders and occur in ordinary text."""

Record = Callable[[Scope], None]


@contextmanager
def recording(path: str | Path | None, log: Callable[[str], None]) -> Iterator[Record]:
    """Open the file for the block and give it a function that appends a request.

    Without a path, nothing is written. A line that cannot be written is reported to log. Only its
    owner can read the file. Raises OSError for a file that cannot be opened.
    """
    if path is None:
        yield lambda scope: None
        return
    with _open(path) as file:

        def record(scope: Scope) -> None:
            try:
                file.write(_line(scope) + b"\n")
            except OSError as error:
                log(f"Not recorded: {error.strerror}")
            except RecursionError:
                log("Not recorded: nested too deeply")

        yield record


def _open(path: str | Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with suppress(OSError):  # The file of another user, whose mode only that user can change.
            os.fchmod(descriptor, 0o600)
    # Unbuffered: each line is in the file at once.
    return open(descriptor, "ab", buffering=0)


def _line(scope: Scope) -> bytes:
    headers = Headers(scope=scope)
    state = scope["state"]
    entry = {
        "time": state["time"].isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "path": scope["raw_path"].decode("ascii"),
        "headers": {name: headers[name] for name in HEADERS if name in headers},
        "body": state.get("body"),
        "status": state["status"],
    }
    keys = {form for name, value in headers.items() for form in _key_forms(name, value)}
    line = encode(entry)
    if not keys:
        return line
    # The longest first: one form can begin another.
    forms = sorted((re.escape(encode(key)[1:-1]) for key in keys), key=len, reverse=True)
    return re.sub(b"|".join(forms), lambda _: REMOVED, line, flags=re.IGNORECASE)


def _key_forms(name: str, value: str) -> Iterator[str]:
    """Yield the keys that a header can contain: as sent, percent-encoded and in base64."""
    if name in HEADERS:
        return
    values = {value}
    if name in CREDENTIALS:
        _, _, after_scheme = value.partition(" ")
        values |= {after_scheme.strip(), *re.split(r"[\s;,=]+", value)}
    for key in values:
        if len(key) >= MIN_KEY_LENGTH:
            encoded = base64.b64encode(key.encode("latin-1", "replace")).decode()
            yield from (key, quote(key, safe=""), encoded, encoded.rstrip("="))
