"""Prints requests and responses on stderr, for a bug report, while EVOLINK_DEBUG is 1.

The key is redacted, images are shortened, and control characters are escaped.
"""

import codecs
import os
import re
from collections.abc import Iterable

import click
import httpx

from ..redaction import Redactor, without_credentials

_IMAGE = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/]{16})([A-Za-z0-9+/=]{48,})")


def show_request(request: httpx.Request) -> None:
    """Print the request if EVOLINK_DEBUG is 1."""
    if os.environ.get("EVOLINK_DEBUG") == "1":
        redactor = _redactor(request)
        lines = [f"{request.method} {request.url}", *_headers(request.headers), ""]
        body = request.content.decode("utf-8", "replace")
        body = _IMAGE.sub(lambda found: f"{found[1]}…({len(found[2])} characters)", body)
        _print(">", redactor.text(without_credentials("\n".join([*lines, body]))))


class ResponseTrace:
    """Prints a response as its body arrives.

    Args:
        request: The request that it answers.
        response: The response, its body not read yet.
    """

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        self._redactor = _redactor(request)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        lines = [f"{response.status_code} {response.reason_phrase}", *_headers(response.headers)]
        _print("<", self._redactor.text(without_credentials("\n".join([*lines, ""]))))

    def add(self, part: bytes) -> None:
        """Print the lines that this part of the body completes."""
        self._show(self._redactor.deltas("text", self._decoder.decode(part)))

    def end(self) -> None:
        """Print what is left of the body."""
        self._show(self._redactor.rest())
        if self._line:
            _print("<", self._line)
        self._line = ""

    def _show(self, texts: Iterable[tuple[str, str]]) -> None:
        *lines, self._line = "".join([self._line, *(text for _, text in texts)]).split("\n")
        if lines:
            _print("<", without_credentials("\n".join(lines)))


def trace_response(request: httpx.Request, response: httpx.Response) -> ResponseTrace | None:
    """Return a trace of the response if EVOLINK_DEBUG is 1, else None."""
    return ResponseTrace(request, response) if os.environ.get("EVOLINK_DEBUG") == "1" else None


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
