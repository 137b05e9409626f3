"""Settings from EVOLINK_* environment variables."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

import httpx

from generated_client.client import SERVERS

from ..constants import TIMEOUT_RANGE
from ..errors import InvalidRequestError

N = TypeVar("N", int, float)

TIMEOUT = 600.0
"""Default of EVOLINK_TIMEOUT, in seconds. A model that thinks sends nothing for minutes."""

MAX_RETRIES = 2
"""Default of EVOLINK_MAX_RETRIES: attempts after the first, at each server."""

MAX_WAIT = 20.0
"""Default of EVOLINK_MAX_WAIT: maximum delay before another attempt, in seconds."""

IDLE_CONNECTIONS = 8
"""Connections to a server that stay open for the next prompts."""

_API_PATH = re.compile(r"(?:/+v1|/+chat/completions)*/*$", re.IGNORECASE)


class Settings(NamedTuple):
    """Settings of a connection.

    Attributes:
        servers: Base URLs in order of preference, without /v1.
        timeout: Seconds without progress after which a request fails.
        max_retries: Attempts after the first, at each server.
        max_wait: Maximum delay before another attempt, in seconds.
        connections: Idle connections to a server that stay open.
    """

    servers: tuple[str, ...]
    timeout: float
    max_retries: int
    max_wait: float
    connections: int = IDLE_CONNECTIONS

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read EVOLINK_BASE_URL, EVOLINK_TIMEOUT, EVOLINK_MAX_RETRIES and EVOLINK_MAX_WAIT.

        EVOLINK_BASE_URL names the only server: nothing is sent to any other.
        Raises InvalidRequestError, naming the variable, for a value that cannot be used.
        """
        return cls(servers(), timeout(), max_retries(), max_wait())


def servers() -> tuple[str, ...]:
    """Return the server of EVOLINK_BASE_URL, else the document's. Raises InvalidRequestError."""
    plain_allowed = os.environ.get("EVOLINK_ALLOW_HTTP") == "1"
    if named := os.environ.get("EVOLINK_BASE_URL", "").strip():
        return (base_url(named, "EVOLINK_BASE_URL", plain_allowed=plain_allowed),)
    if not SERVERS:
        raise InvalidRequestError("The document names no server: set EVOLINK_BASE_URL")
    source = "A server of the document"
    return tuple(base_url(server, source, plain_allowed=plain_allowed) for server in SERVERS)


def other_server() -> str | None:
    """Return the server of EVOLINK_BASE_URL, None if it is unset or names one of EvoLink's.

    Raises InvalidRequestError.
    """
    if not os.environ.get("EVOLINK_BASE_URL", "").strip():
        return None
    (named,) = map(httpx.URL, servers())
    return None if named in map(httpx.URL, SERVERS) else str(named)


def timeout() -> float:
    """Return the seconds of EVOLINK_TIMEOUT. Raises InvalidRequestError."""
    return _number("EVOLINK_TIMEOUT", TIMEOUT, float, *TIMEOUT_RANGE)


def max_retries() -> int:
    """Return the number of EVOLINK_MAX_RETRIES. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_RETRIES", MAX_RETRIES, int, 0, 100)


def max_wait() -> float:
    """Return the seconds of EVOLINK_MAX_WAIT. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_WAIT", MAX_WAIT, float, *TIMEOUT_RANGE)


def names_a_host(url: httpx.URL) -> bool:
    """Return True if the URL has a valid port and a host name that can be looked up."""
    try:
        host = url.host  # Raises UnicodeError for invalid Punycode.
    except UnicodeError:
        return False
    if not host or "%" in host or (url.port or 0) >= 2**16:
        return False
    with suppress(ValueError):
        return bool(ip_address(host))
    labels = url.raw_host.rstrip(b".").split(b".")
    return all(0 < len(label) < 64 for label in labels)


@lru_cache
def base_url(named: str, source: str, *, plain_allowed: bool) -> str:
    """Return the base URL of a server, without the API's path that many write at its end.

    Args:
        named: The URL, such as https://direct.evolink.ai/v1.
        source: Where it is from, for messages: the name of a variable.
        plain_allowed: Whether http may be used for more than loopback.

    Raises:
        InvalidRequestError: It is not the URL of a server, or would send the key unencrypted.
    """
    if "@" in named:
        # Not shown, as it may contain a password.
        raise InvalidRequestError(f"{source} contains a user name: give the URL without it")
    try:
        url = httpx.URL(named)
        usable = url.scheme in ("http", "https") and names_a_host(url)
    except (httpx.InvalidURL, UnicodeError):
        usable = False
    if not usable or "?" in named or "#" in named:
        raise InvalidRequestError(
            f"{source} is not the URL of a server, such as https://direct.evolink.ai: {named!r}"
        )
    if url.scheme == "http" and not (plain_allowed or is_loopback(url.host)):
        raise InvalidRequestError(
            f"{source} would send the key unencrypted to {url.host}: use https://, "
            "or set EVOLINK_ALLOW_HTTP=1"
        )
    return _API_PATH.sub("", named)


def is_loopback(host: str) -> bool:
    """Return True if the host is this machine: localhost, 127.0.0.0/8 or ::1."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _number(variable: str, default: N, convert: Callable[[str], N], low: float, high: float) -> N:
    """Return the value of the variable, the default if it is unset. Raises InvalidRequestError."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    with suppress(ValueError):
        number = convert(text)
        if low <= number <= high:
            return number
    name = "a whole number" if convert is int else "a number"
    raise InvalidRequestError(f"{variable} is not {name} from {low:g} to {high:g}: {text!r}")
