"""The generated client, made once: which server, which key, TLS, pool and timeouts."""

import asyncio
import atexit
import os
import re
import ssl
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from generated_client.client import SERVERS, AuthenticatedClient

from .errors import InvalidRequestError
from .redaction import keep_out_of_logs
from .transport import AsyncConnections, AsyncTransport, Connections, Transport, retry_policy

N = TypeVar("N", int, float)
C = TypeVar("C", Connections, AsyncConnections)

CONNECT_TIMEOUT = 10.0
"""Seconds to make a connection."""

TIMEOUT = 60.0
"""Seconds between bytes, unless EVOLINK_TIMEOUT says otherwise."""

MAX_RETRIES = 2
"""Tries after the first, at each server, unless EVOLINK_MAX_RETRIES says otherwise."""

MAX_WAIT = 20.0
"""Most seconds to wait before another try, unless EVOLINK_MAX_WAIT says otherwise."""

# No limit on connections: httpcore's pool scans the queue each time it is full. A few stay open
# for the next prompt.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)


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
    named = os.environ.get("EVOLINK_BASE_URL", "").strip()
    if not named:
        return SERVERS
    return (_base_url(named, plain_allowed=os.environ.get("EVOLINK_ALLOW_HTTP") == "1"),)


def timeout() -> float:
    """Return the seconds of EVOLINK_TIMEOUT. Raises InvalidRequestError."""
    return _number("EVOLINK_TIMEOUT", TIMEOUT, float, 0.001, 86400)


def max_retries() -> int:
    """Return the number of EVOLINK_MAX_RETRIES. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_RETRIES", MAX_RETRIES, int, 0, 100)


def max_wait() -> float:
    """Return the seconds of EVOLINK_MAX_WAIT. Raises InvalidRequestError."""
    return _number("EVOLINK_MAX_WAIT", MAX_WAIT, float, 0.001, 86400)


_lock = threading.Lock()
_clients: dict[tuple[Settings, str], AuthenticatedClient] = {}
# By loop: connections cannot be shared between event loops. Beside each, what closes it.
_async_clients: dict[
    tuple[asyncio.AbstractEventLoop, Settings, str],
    tuple[AuthenticatedClient, AsyncGenerator[None, None]],
] = {}
# What a child process must not use: its parent goes on with it.
_inherited: list[Any] = []


def client(key: str) -> AuthenticatedClient:
    """Return the process's client for the key and for what the environment says now.

    Raises InvalidRequestError for a setting that cannot be used.
    """
    settings = Settings.from_environment()
    with _lock:
        if (settings, key) not in _clients:
            _clients[settings, key] = new_client(settings, key)
        return _clients[settings, key]


def new_client(settings: Settings, key: str) -> AuthenticatedClient:
    """Return a client of the caller's own. Raises InvalidRequestError for a useless proxy."""
    retry = retry_policy(settings.max_retries, settings.max_wait)
    transport = Transport(_connections(Connections, settings), retry)
    made = _authenticated(settings, key, transport)
    made.get_httpx_client()
    return made


async def async_client(key: str) -> AuthenticatedClient:
    """As client, for the running event loop; closed when the loop shuts down."""
    settings = Settings.from_environment()
    place = (asyncio.get_running_loop(), settings, key)
    if place not in _async_clients:
        retry = retry_policy(settings.max_retries, settings.max_wait)
        transport = AsyncTransport(_connections(AsyncConnections, settings), retry)
        # A loop finalizes its asynchronous generators before it closes: one that waits to close.
        closer = _close_at_shutdown(place)
        _async_clients[place] = _authenticated(settings, key, transport), closer
        await anext(closer)
    return _async_clients[place][0]


async def _close_at_shutdown(
    place: tuple[asyncio.AbstractEventLoop, Settings, str],
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await _async_clients.pop(place)[0].get_async_httpx_client().aclose()


@atexit.register
def _close() -> None:
    for generated in _clients.values():
        generated.get_httpx_client().close()


def _begin_anew() -> None:
    """Leave the parent's connections, and its lock, which another thread may hold, alone."""
    global _clients, _lock
    _inherited.append(_clients)
    _clients, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork.
    os.register_at_fork(after_in_child=_begin_anew)


def _authenticated(settings: Settings, key: str, transport: Any) -> AuthenticatedClient:
    keep_out_of_logs(key)
    return AuthenticatedClient(
        base_url=settings.servers[0],
        token=key,
        headers={"User-Agent": "llm-evolink"},
        timeout=httpx.Timeout(settings.timeout, connect=CONNECT_TIMEOUT, pool=None),
        httpx_args={"transport": transport},
    )


def _connections(kind: Callable[..., C], settings: Settings) -> dict[str, C]:
    """Return the connections, of this kind, to each server."""
    connections = {}
    for server in settings.servers:
        url = httpx.URL(server)
        # An empty context trusts nobody; plain http needs none, and httpx would load one.
        plain = url.scheme == "http"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else tls_context()
        connections[server] = kind(verify=context, limits=_LIMITS, proxy=proxy_for(url))
    return connections


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS context: the system's trusted authorities, else certifi's.

    SSL_CERT_FILE and SSL_CERT_DIR name others, on every system.
    Raises InvalidRequestError for an SSL_CERT_FILE that holds no certificate.
    """
    directories = os.environ.get("SSL_CERT_DIR") or None
    if named := os.environ.get("SSL_CERT_FILE"):
        try:
            return ssl.create_default_context(cafile=named, capath=directories)
        except OSError as error:
            reason = error.strerror or error
            raise InvalidRequestError(
                f"SSL_CERT_FILE names a file without a readable certificate: {named!r} ({reason})"
            ) from None
    if not directories and sys.platform in ("darwin", "win32"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found = system_authorities()
    if directories and "capath" not in found:
        return ssl.create_default_context()
    if not found:
        import certifi

        found = {"cafile": certifi.where()}
    return ssl.create_default_context(cafile=found.get("cafile"), capath=found.get("capath"))


def system_authorities() -> dict[str, str]:
    """Return where OpenSSL keeps the authorities to trust: a capath or a cafile, or neither.

    Of a directory with hashed names, a handshake reads what it needs; a file costs 20 ms.
    """
    paths = ssl.get_default_verify_paths()
    with suppress(OSError):  # A directory that cannot be read is as good as none.
        names = os.listdir(paths.capath) if paths.capath else []
        if any(re.fullmatch("[0-9a-f]{8}[.][0-9]", name) for name in names):
            return {"capath": paths.capath}
    return {"cafile": paths.cafile} if paths.cafile else {}


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Return the environment's proxy for the URL; never one for loopback.

    Raises InvalidRequestError, which does not show what may hold a password, for one of no use.
    """
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    name = url.scheme if url.scheme in proxies else "all"
    address = proxies.get(name)
    if not address:
        return None
    try:
        proxy = httpx.URL(address if "://" in address else f"http://{address}")
        usable = proxy.scheme in ("http", "https") and _names_a_host(proxy)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise InvalidRequestError(
            f"{name.upper()}_PROXY is not the address of an http:// or https:// proxy"
        )
    return httpx.Proxy(proxy, ssl_context=tls_context() if proxy.scheme == "https" else None)


def _names_a_host(url: httpx.URL) -> bool:
    return bool(url.host) and "%" not in url.host and (url.port or 0) < 2**16


@lru_cache
def _base_url(named: str, *, plain_allowed: bool) -> str:
    """Return the server of EVOLINK_BASE_URL, without the /v1 that many write at its end."""
    if "@" in named:
        # Not shown: it may hold a password.
        raise InvalidRequestError("EVOLINK_BASE_URL holds a user name: give the address alone")
    try:
        url = httpx.URL(named)
        usable = url.scheme in ("http", "https") and _names_a_host(url)
    except httpx.InvalidURL:
        usable = False
    if not usable or url.query or url.fragment:
        raise InvalidRequestError(
            "EVOLINK_BASE_URL is not a server's address, such as https://direct.evolink.ai: "
            f"{named!r}"
        )
    if url.scheme == "http" and not (plain_allowed or is_loopback(url.host)):
        raise InvalidRequestError(
            f"EVOLINK_BASE_URL would send the key unencrypted to {url.host}: use https://, "
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
