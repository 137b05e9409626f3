"""Reads the source that --from names: a file, or a URL that is fetched over https."""

import ipaddress
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from .errors import RegenerationError, one_line

SECONDS = 30.0
MOST_BYTES = 10 * 2**20
MOST_REDIRECTS = 5
# Compression is refused, so that the bytes counted are the bytes held.
HEADERS = {"Accept": "text/markdown, text/plain;q=0.9, */*;q=0.8", "Accept-Encoding": "identity"}


def read_source(source: str) -> tuple[bytes, str | None]:
    """Return the UTF-8 bytes of the file or URL, and the URL of the page; None for a file.

    An https URL is fetched, or an http URL of this machine, up to MOST_BYTES. For an HTML page its
    markdown is fetched, from the same URL with .md, as EvoLink's documentation has it. Raises
    RegenerationError for a source that cannot be fetched or is not text, OSError for a file.
    """
    url = None
    if "://" in source:
        url = _url(source)
        content, content_type = _fetch(url)
        if "html" in content_type and _is_html(content) and not url.path.endswith(".md"):
            path = url.path.rstrip("/") + ".md"
            content, content_type = _fetch(url.copy_with(path=path))
        if "html" in content_type and _is_html(content):
            raise RegenerationError(f"{url} is an HTML page: give the URL of its markdown or .json")
    else:
        with Path(source).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    _require_size(len(content), source)
    try:
        content.decode()
    except UnicodeDecodeError:
        raise RegenerationError(f"{source} is not text (UTF-8)") from None
    if url is None:
        return content, None
    return content, str(url.copy_with(path=url.path.removesuffix(".md")))


def _is_html(content: bytes) -> bool:
    # Markdown is served as text/html, too.
    return content.lstrip()[:1] == b"<"


def _url(source: str) -> httpx.URL:
    try:
        url = httpx.URL(source).copy_with(fragment=None)
        url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise RegenerationError(f"{source} is not a URL: {one_line(error)}") from error
    if url.userinfo:
        raise RegenerationError("a URL with a password is refused: it would be recorded")
    _require_secure(url, f"{source} is refused")
    return url


def _require_secure(url: httpx.URL, problem: str) -> None:
    try:
        host = url.host
        host.rstrip(".").encode("idna")  # As a socket encodes it.
    except UnicodeError:
        raise RegenerationError(f"{problem}: it has no valid host name") from None
    secure = url.scheme == "https" and host
    if not (secure or (url.scheme == "http" and _is_loopback(host))):
        raise RegenerationError(f"{problem}: only https:// is fetched")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fetch(url: httpx.URL) -> tuple[bytes, str]:
    """Return the body and the content type in lower case; follow up to MOST_REDIRECTS."""
    deadline = time.monotonic() + SECONDS
    first = url
    for _ in range(MOST_REDIRECTS + 1):
        # A server on this machine is not reached through a proxy.
        direct = url.scheme == "http"
        with (
            _translated(url),
            httpx.Client(timeout=SECONDS, trust_env=not direct) as client,
            client.stream("GET", url, headers=HEADERS) as response,
        ):
            if not response.next_request:
                content_type = response.headers.get("content-type", "").lower()
                return _body(response, deadline), content_type
            target = response.next_request.url
        if target.scheme != "https" and url.scheme == "https":
            raise RegenerationError(f"{url} redirects to {target}: only https:// is followed")
        _require_secure(target, f"{url} redirects to {target}")
        url = target
    raise RegenerationError(f"{first} redirects more than {MOST_REDIRECTS} times")


def _body(response: httpx.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise RegenerationError(f"{response.url} answers with status {response.status_code}")
    if (coding := response.headers.get("content-encoding", "identity").lower()) != "identity":
        raise RegenerationError(
            f"{response.url} answers with Content-Encoding {coding}: save it as a file"
        )
    content = bytearray()
    for part in response.iter_raw():
        content += part
        _require_size(len(content), str(response.url))
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the total time was exceeded")
    return bytes(content)


def _require_size(size: int, source: str) -> None:
    if size > MOST_BYTES:
        raise RegenerationError(f"{source} is larger than {MOST_BYTES // 2**20} MB")


@contextmanager
def _translated(url: httpx.URL) -> Iterator[None]:
    """Raise the errors of httpx as RegenerationError."""
    try:
        yield
    except httpx.TimeoutException as error:
        problem = f"{url} did not answer within {SECONDS:g} seconds"
        raise RegenerationError(problem) from error
    except httpx.HTTPError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        problem = "fails the TLS handshake" if cause else "cannot be reached"
        raise RegenerationError(f"{url} {problem}: {one_line(cause or error)}") from error
