"""Generated clients, kept for the next prompt: one for each key and settings, and event loop."""

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import httpx

from generated_client.client import AuthenticatedClient

from .. import terminal
from ..redaction import keep_out_of_logs
from . import tls
from .bounds import AsyncConnections, Connections
from .failover import AsyncTransport, Outcome, Transport
from .proxies import proxy_for
from .retry import RetryPolicy
from .settings import Settings

C = TypeVar("C", Connections, AsyncConnections)

CONNECT_TIMEOUT = 10.0
"""Seconds to make a connection."""

MAX_CLIENTS = 8
"""Clients that are kept, each with its connections; the least recently used one is closed."""

_Key = tuple[Settings, str]
_AsyncKey = tuple[asyncio.AbstractEventLoop, Settings, str]

_lock = threading.Lock()
_clients: dict[_Key, tuple[AuthenticatedClient, Transport]] = {}
# For an event loop; with the async generator that closes the client when the loop shuts down.
_async_clients: dict[
    _AsyncKey, tuple[AuthenticatedClient, AsyncTransport, AsyncGenerator[None, None] | None]
] = {}
# Clients inherited through fork(): kept, so that their sockets are not closed under the parent.
_inherited: list[Any] = []

_changes: ContextVar[dict[str, Any] | None] = ContextVar("evolink_settings", default=None)


@contextmanager
def changed_settings(**changes: Any) -> Iterator[None]:
    """Replace these fields of Settings, named as keywords, within the block."""
    token = _changes.set({**(_changes.get() or {}), **changes})
    try:
        yield
    finally:
        _changes.reset(token)


def _settings() -> Settings:
    settings = Settings.from_environment()
    return settings._replace(**changes) if (changes := _changes.get()) else settings


def client(key: str, timeout: float | None = None) -> AuthenticatedClient:
    """Return the process's client for the key and the current settings.

    Args:
        key: The API key.
        timeout: Seconds without progress after which a request fails; those of the settings by
            default.

    Raises InvalidRequestError for a setting that cannot be used.
    """
    place = (_settings(), key)
    evicted = []
    with _lock:
        found = _clients.pop(place, None) or _new_client(*place)
        _clients[place] = found  # Last, as the most recently used.
        while len(_clients) > MAX_CLIENTS:
            evicted.append(_clients.pop(next(iter(_clients)))[1])
    for transport in evicted:
        transport.retire()
    return _with_timeout(found[0], timeout)


def new_client(settings: Settings, key: str) -> AuthenticatedClient:
    """Return a client that the caller closes. Raises InvalidRequestError for an unusable proxy."""
    return _new_client(settings, key)[0]


def _new_client(settings: Settings, key: str) -> tuple[AuthenticatedClient, Transport]:
    policy = RetryPolicy(settings.max_retries, settings.max_wait)
    transport = Transport(_connections(Connections, settings), policy, _notify)
    made = _authenticated(settings, key, transport)
    made.get_httpx_client()
    return made, transport


async def async_client(key: str, timeout: float | None = None) -> AuthenticatedClient:
    """As client, for the running event loop; closed when the loop shuts down."""
    settings = _settings()
    place = (asyncio.get_running_loop(), settings, key)
    with _lock:
        # Freed outside the lock, which _close_at_shutdown takes.
        removed = [_async_clients.pop(old) for old in [*_async_clients] if old[0].is_closed()]
        found = _async_clients.pop(place, None)
    if found is None:
        policy = RetryPolicy(settings.max_retries, settings.max_wait)
        transport = AsyncTransport(_connections(AsyncConnections, settings), policy, _notify)
        made = _authenticated(settings, key, transport)
        made.get_async_httpx_client()
        closer = None
        # A loop closes its async generators before it closes: this one then closes the client. Some
        # loops do not: nest_asyncio's, and that of qasync.
        if sys.get_asyncgen_hooks().finalizer:
            closer = _close_at_shutdown(place, transport)
            await anext(closer)
        found = made, transport, closer
    with _lock:
        _async_clients[place] = found  # Last, as the most recently used.
        while len(_async_clients) > MAX_CLIENTS:
            # Its loop closes the generator, which nothing refers to any more.
            removed.append(_async_clients.pop(next(iter(_async_clients))))
    return _with_timeout(found[0], timeout)


async def _close_at_shutdown(
    place: _AsyncKey, transport: AsyncTransport
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        with _lock:
            kept = _async_clients.get(place)
            is_kept = kept is not None and kept[1] is transport
            if is_kept:
                del _async_clients[place]
        if is_kept:
            await transport.aclose()
        else:  # Evicted: it may be in use.
            await transport.aretire()


@atexit.register
def _close() -> None:
    for made, _ in _clients.values():
        made.get_httpx_client().close()


def _start_over() -> None:
    """Replace the parent's clients and lock in a child: another thread may have held the lock."""
    global _clients, _lock
    _inherited.append(_clients)
    _clients, _lock = {}, threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch  Windows has no fork.
    os.register_at_fork(after_in_child=_start_over)


def _authenticated(settings: Settings, key: str, transport: Any) -> AuthenticatedClient:
    keep_out_of_logs(key)
    return AuthenticatedClient(
        base_url=settings.servers[0],
        token=key,
        # Not compressed: text is small, and each event of a stream arrives at once.
        headers={"User-Agent": "llm-evolink", "Accept-Encoding": "identity"},
        timeout=_timeout(settings.timeout),
        httpx_args={"transport": transport},
    )


def _with_timeout(shared: AuthenticatedClient, timeout: float | None) -> AuthenticatedClient:
    """Return the client, or one with this time-out that sends over the same connections."""
    return shared if timeout is None else shared.with_timeout(_timeout(timeout))


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=CONNECT_TIMEOUT, pool=None)


def _connections(connections_class: Callable[..., C], settings: Settings) -> dict[str, C]:
    """Return connections of this class to each server."""
    # No limit on connections: httpcore's pool scans its queue each time it is full.
    limits = httpx.Limits(
        max_connections=None,
        max_keepalive_connections=settings.connections,
        keepalive_expiry=30.0,
    )
    connections = {}
    for server in settings.servers:
        url = httpx.URL(server)
        # None for http: the default loads the CA certificates of certifi (20 to 90 ms), and even an
        # empty context takes 1 ms.
        context = None if url.scheme == "http" else tls.tls_context()
        connections[server] = connections_class(verify=context, limits=limits, proxy=proxy_for(url))
    return connections


def _notify(outcome: Outcome, delay: float) -> None:
    """Report a delay of more than a second to a person who watches."""
    if delay > 1 and sys.stderr.isatty():
        reason = "The connection failed"
        if isinstance(outcome, httpx.Response):
            reason = f"EvoLink answered {outcome.status_code}"
        terminal.notify(f"{reason}; trying again in {delay:.0f} s")
