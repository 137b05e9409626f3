"""Settings from EVOLINK_* environment variables."""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

import httpx

from generated_client.client import SERVERS

from ..errors import InvalidRequestError

N = TypeVar("N", int, float)

TIMEOUT = 60.0
"""Seconds between bytes, unless EVOLINK_TIMEOUT says otherwise."""

MAX_RETRIES = 2
"""Tries after the first, at each server, unless EVOLINK_MAX_RETRIES says otherwise."""

MAX_WAIT = 20.0
"""Most seconds to wait before another try, unless EVOLINK_MAX_WAIT says otherwise."""


class Settings(NamedTuple):
    """What the environment says of the connection."""

    servers: tuple[str, ...]
    timeout: float
    max_retries: int
    max_wait: float

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read EVOLINK_BASE_URL, EVOLINK_TIMEOUT, EVOLINK_MAX_RETRIES and EVOLINK_MAX_WAIT.

        A server that is named is the only one: what is meant for it goes nowhere else.
        Raises InvalidRequestError, naming the variable, for a value that cannot be used.
        """
        return cls(servers(), timeout(), max_retries(), max_wait())


def servers() -> tuple[str, ...]:
    """Return the server of EVOLINK_BASE_URL, else the document's. Raises InvalidRequestError."""
    plain_allowed = os.environ.get("EVOLINK_ALLOW_HTTP") == "1"
    if named := os.environ.get("EVOLINK_BASE_URL", "").strip():
        return (_base_url(named, "EVOLINK_BASE_URL", plain_allowed=plain_allowed),)
    if not SERVERS:
        raise InvalidRequestError("The document names no server: set EVOLINK_BASE_URL")
    source = "A server of the document"
    return tuple(_base_url(server, source, plain_allowed=plain_allowed) for server in SERVERS)


def timeout() -> float:
    """Return the seconds of EVOLINK_TIMEOUT. Raises InvalidRequestError."""
    return _number("EVOLINK_TIMEOUT", TIMEOUT, float, 0.001, 86400)


def max_retries() -> int:
    """Return the number of EVOLINK_MAX_RETRIES. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_RETRIES", MAX_RETRIES, int, 0, 100)


def max_wait() -> float:
    """Return the seconds of EVOLINK_MAX_WAIT. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_WAIT", MAX_WAIT, float, 0.001, 86400)


def names_a_host(url: httpx.URL) -> bool:
    """Return True if the URL has a host name and a valid port."""
    return bool(url.host) and "%" not in url.host and (url.port or 0) < 2**16


@lru_cache
def _base_url(named: str, source: str, *, plain_allowed: bool) -> str:
    """Return the URL that the source names, without the /v1 that many write at its end."""
    if "@" in named:
        # Not shown: it may hold a password.
        raise InvalidRequestError(f"{source} holds a user name: give the address alone")
    try:
        url = httpx.URL(named)
        usable = url.scheme in ("http", "https") and names_a_host(url)
    except httpx.InvalidURL:
        usable = False
    if not usable or url.query or url.fragment:
        raise InvalidRequestError(
            f"{source} is not a server's address, such as https://direct.evolink.ai: {named!r}"
        )
    if url.scheme == "http" and not (plain_allowed or is_loopback(url.host)):
        raise InvalidRequestError(
            f"{source} would send the key unencrypted to {url.host}: use https://, "
            "or set EVOLINK_ALLOW_HTTP=1"
        )
    return named.rstrip("/").removesuffix("/v1").rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine: localhost, 127.0.0.0/8 or ::1."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _number(variable: str, default: N, kind: Callable[[str], N], least: float, most: float) -> N:
    """Return the variable's value, the default for none. Raises InvalidRequestError."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    with suppress(ValueError):
        number = kind(text)
        if least <= number <= most:
            return number
    whole = "a whole number" if kind is int else "a number"
    raise InvalidRequestError(f"{variable} is not {whole} from {least:g} to {most:g}: {text!r}")
