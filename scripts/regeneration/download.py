"""What --from names: a file, or an address that is fetched over https."""

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
# Asked for uncompressed: what arrives is then what is counted.
HEADERS = {"Accept": "text/markdown, text/plain;q=0.9, */*;q=0.8", "Accept-Encoding": "identity"}


def read_source(source: str) -> tuple[bytes, str | None]:
    """Return the UTF-8 bytes of the file or address, and the address of the page, if it has one.

    An https address is fetched (one of http on this machine, too), at most MOST_BYTES of it. Where
    it answers with HTML its markdown is, as everywhere in EvoLink's documentation, at the address
    with .md. Raises RegenerationError for what cannot be had or is not text, OSError for a file.
    """
    address = None
    if "://" in source:
        address = _address(source)
        content, content_type = _fetch(address)
        if "html" in content_type and not address.path.endswith(".md"):
            content, content_type = _fetch(address.copy_with(path=address.path + ".md"))
        if "html" in content_type:
            raise RegenerationError(f"{address} is an HTML page, not its markdown")
    else:
        with Path(source).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    _require_size(len(content), source)
    try:
        content.decode()
    except UnicodeDecodeError:
        raise RegenerationError(f"{source} is not text (UTF-8)") from None
    if address is None:
        return content, None
    return content, str(address.copy_with(path=address.path.removesuffix(".md")))


def _address(source: str) -> httpx.URL:
    try:
        address = httpx.URL(source).copy_with(fragment=None)
    except httpx.InvalidURL as error:
        raise RegenerationError(f"{source} is not an address: {one_line(error)}") from error
    if address.userinfo:
        raise RegenerationError("an address with a password is refused: it would be recorded")
    _require_secure(address, f"{source} is refused")
    return address


def _require_secure(address: httpx.URL, problem: str) -> None:
    secure = address.scheme == "https" and address.host
    if not (secure or (address.scheme == "http" and _is_loopback(address.host))):
        raise RegenerationError(f"{problem}: only https:// is fetched")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fetch(address: httpx.URL) -> tuple[bytes, str]:
    """Return the body and its content type, in lower case, after at most MOST_REDIRECTS."""
    deadline = time.monotonic() + SECONDS
    first = address
    for _ in range(MOST_REDIRECTS + 1):
        # On this machine no proxy stands between.
        direct = address.scheme == "http"
        with (
            _told(address),
            httpx.Client(timeout=SECONDS, trust_env=not direct) as client,
            client.stream("GET", address, headers=HEADERS) as response,
        ):
            if not response.next_request:
                content_type = response.headers.get("content-type", "").lower()
                return _body(response, deadline), content_type
            target = response.next_request.url
        if target.scheme != "https" and address.scheme == "https":
            raise RegenerationError(f"{address} redirects to {target}: only https:// is followed")
        _require_secure(target, f"{address} redirects to {target}")
        address = target
    raise RegenerationError(f"{first} redirects more than {MOST_REDIRECTS} times")


def _body(response: httpx.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise RegenerationError(f"{response.url} answers with status {response.status_code}")
    content = bytearray()
    for part in response.iter_raw():
        content += part
        _require_size(len(content), str(response.url))
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the whole took too long")
    return bytes(content)


def _require_size(size: int, source: str) -> None:
    if size > MOST_BYTES:
        raise RegenerationError(f"{source} is larger than {MOST_BYTES // 2**20} MB")


@contextmanager
def _told(address: httpx.URL) -> Iterator[None]:
    """Tell httpx's errors as ours."""
    try:
        yield
    except httpx.TimeoutException as error:
        problem = f"{address} did not answer within {SECONDS:g} seconds"
        raise RegenerationError(problem) from error
    except httpx.HTTPError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        problem = "has no TLS connection to offer" if cause else "cannot be reached"
        raise RegenerationError(f"{address} {problem}: {one_line(cause or error)}") from error
