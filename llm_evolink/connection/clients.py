"""The generated client, made once: which server, which key, TLS, pool and timeouts."""

import asyncio
import atexit
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import httpx

from generated_client.client import AuthenticatedClient

from ..redaction import keep_out_of_logs
from . import tls
from .bounds import AsyncConnections, Connections
from .failover import AsyncTransport, Transport
from .proxies import proxy_for
from .retry import retry_policy
from .settings import Settings

C = TypeVar("C", Connections, AsyncConnections)

CONNECT_TIMEOUT = 10.0
"""Seconds to make a connection."""

# No limit on connections: httpcore's pool scans the queue each time it is full. A few stay open
# for the next prompt.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=30.0)


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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else tls.tls_context()
        connections[server] = kind(verify=context, limits=_LIMITS, proxy=proxy_for(url))
    return connections
