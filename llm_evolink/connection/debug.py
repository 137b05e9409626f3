"""Prints requests and responses on stderr, for a bug report, while EVOLINK_DEBUG is 1.

The key is redacted, images are shortened, and control characters are escaped. Without
EVOLINK_DEBUG the module is not imported.
"""

import json
import re
from contextlib import suppress

import click
import httpx

from ..redaction import Redactor, without_credentials

_IMAGE = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/]{16})([A-Za-z0-9+/=]{48,})")
# A JSON string, with the name of its member if it is the value of one. An unterminated string
# matches too: otherwise each quotation mark in it would be tried as a start, in quadratic time.
_STRING = re.compile(
    r'(?:"(?P<name>\w{1,64})"\s{0,9}:\s{0,9})?(?P<value>"(?:[^"\\]|\\.?)*(?:"|\Z))', re.DOTALL
)

MAX_BODY_BYTES = 2**20
"""Maximum number of bytes of a response's body that are printed; of a request all are."""


def show_request(request: httpx.Request) -> None:
    """Print the request."""
    redactor = _redactor(request)
    lines = [f"{request.method} {request.url}", *_headers(request.headers), ""]
    body = request.content.decode("utf-8", "replace")
    body = _IMAGE.sub(lambda found: f"{found[1]}…({len(found[2])} characters)", body)
    _print(">", redactor.text(without_credentials("\n".join([*lines, body]))))


class ResponseTrace:
    """Prints a response: its head at once, its body when it is complete or closed.

    A key that the server splits over several events is recognized only in the complete body.

    Args:
        request: The request that it answers.
        response: The response, its body not read yet.
    """

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        self._redactor = _redactor(request)
        self._body = bytearray()
        self._has_ended = False
        lines = [f"{response.status_code} {response.reason_phrase}", *_headers(response.headers)]
        _print("<", self._redactor.text(without_credentials("\n".join([*lines, ""]))))

    def add(self, part: bytes) -> None:
        """Take a part of the body."""
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += part

    def end(self) -> None:
        """Print the body, up to MAX_BODY_BYTES."""
        if self._has_ended:
            return
        self._has_ended = True
        text = self._body.decode("utf-8", "replace")
        text = _without_split_key(self._redactor.excerpt(text), self._redactor)
        cut = "\n…" if len(self._body) > MAX_BODY_BYTES else ""
        if text:
            _print("<", text[:MAX_BODY_BYTES].removesuffix("\n") + cut)


def _without_split_key(text: str, redactor: Redactor) -> str:
    """Return the JSON values in the text without strings that join to the key.

    Strings are joined that have the same name, such as `content`, or none.
    """
    by_name: dict[str, list[re.Match[str]]] = {}
    for found in _STRING.finditer(text):
        by_name.setdefault(found["name"] or "", []).append(found)
    of_key = []
    for strings in by_name.values():
        values = [_decoded(found["value"]) for found in strings]
        indices = redactor.parts_of_key(values, is_cut=True)
        of_key += [strings[index].span("value") for index in indices]
    shown, end = [], 0
    for span in sorted(of_key):
        shown += [text[end : span[0]], '"…"']
        end = span[1]
    return "".join([*shown, text[end:]])


def _decoded(literal: str) -> str:
    with suppress(ValueError):
        return str(json.loads(literal, strict=False))
    return literal[1:].removesuffix('"')


def _redactor(request: httpx.Request) -> Redactor:
    return Redactor(request.headers.get("authorization", "").removeprefix("Bearer "))


def _headers(headers: httpx.Headers) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items()]


def _print(mark: str, text: str) -> None:
    for line in text.split("\n"):
        shown = "".join(
            each if each.isprintable() or each == "\t" else each.encode("unicode_escape").decode()
            for each in line.removesuffix("\r")
        )
        click.echo(f"{mark} {shown}".rstrip(), err=True)
