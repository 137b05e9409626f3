"""Sends a request to a server, retries it if that is safe, then tries the next server.

The flow is written once, as a generator of steps; a sync and an async transport drive it.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import httpx

from ..constants import FAILED_HEADER, SERVER_HEADER
from ..failures import FAILED, MAY_BE_BILLED
from ..text import clean
from .bounds import EXCHANGE
from .network import Exchange
from .retry import FAILOVER_STATUSES, RetryPolicy, is_safe

Outcome = httpx.Response | Exception
Notify = Callable[[Outcome, float], None]
"""Called with what failed, and the seconds until the next attempt."""

# Name of the request extension that holds the server to which the request is directed.
_SERVER = "evolink_server"

# The server that answered last, for each tuple of servers, for the life of the process.
_answered: dict[tuple[str, ...], str] = {}


class _Servers:
    """Retry and failover over some servers, as steps.

    Args:
        connections: The connections to each server, in order of preference.
        policy: How often a request is sent again to a server.
        notify: Is called before a delay.
    """

    def __init__(self, connections: Mapping[str, Any], policy: RetryPolicy, notify: Notify) -> None:
        self._servers = tuple(connections)
        self._connections = connections
        self._policy = policy
        self._notify = notify
        # Parsed once: parsing a URL costs more than sending a request to it.
        self._urls = {server: httpx.URL(server) for server in connections}

    def _steps(self, request: httpx.Request) -> Generator[Any, Any, httpx.Response]:
        """Yield connections to send the request with, and delays in seconds; return the response.

        The driver sends back the outcome of connections. Raises the exception of the last attempt.
        """
        first = _answered.get(self._servers)
        servers = sorted(self._servers, key=lambda server: server != first)
        failed: list[str] = []
        request.extensions[FAILED] = failed
        for server in servers:
            self._direct(request, server)
            attempt = 0
            while True:
                attempt += 1
                exchange = request.extensions[EXCHANGE] = Exchange()
                outcome = yield self._connections[server]
                safe = is_safe(outcome, exchange)
                delay = self._policy.delay_after(attempt, outcome) if safe else None
                if delay is None:
                    break
                self._notify(outcome, delay)
                yield delay
            is_error = isinstance(outcome, Exception)
            if not safe or not (is_error or outcome.status_code in FAILOVER_STATUSES):
                if not is_error:
                    _answered[self._servers] = server
                break
            if server != servers[-1]:
                failed.append(f"{self._urls[server].host}: {_describe(outcome)}")
        if isinstance(outcome, Exception):
            began = exchange.received or exchange.written_at is not None
            request.extensions[MAY_BE_BILLED] = began and not safe and request.method == "POST"
            raise outcome
        response: httpx.Response = outcome
        request.extensions[MAY_BE_BILLED] = True  # If its body, a stream, breaks off.
        response.headers[SERVER_HEADER] = server
        if failed:
            response.headers[FAILED_HEADER] = "; ".join(failed).encode("ascii", "replace").decode()
        return response

    def _direct(self, request: httpx.Request, server: str) -> None:
        """Change the URL and the Host header of the request to those of the server."""
        directed = request.extensions.get(_SERVER, self._servers[0])
        if directed == server:
            return
        old, new = self._urls[directed], self._urls[server]
        path = request.url.raw_path.removeprefix(old.raw_path.rstrip(b"/"))
        request.url = request.url.copy_with(
            scheme=new.scheme,
            host=new.host,
            port=new.port,
            raw_path=new.raw_path.rstrip(b"/") + path,
        )
        request.headers["Host"] = new.netloc.decode("ascii")
        request.extensions[_SERVER] = server


def _describe(outcome: Outcome) -> str:
    if isinstance(outcome, httpx.Response):
        return f"status {outcome.status_code}"
    return clean(str(outcome)) or type(outcome).__name__


class Transport(_Servers, httpx.BaseTransport):
    """httpx transport over several servers, with retry and failover."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first response that is not a reason to retry, else the last one.

        Raises httpx.TransportError, BadReplyError, and IncompleteReplyError for too large a reply.
        """
        steps = self._steps(request)
        step = next(steps)
        try:
            while True:
                if isinstance(step, float):
                    time.sleep(step)
                    step = next(steps)
                    continue
                try:
                    outcome: Outcome = step.handle_request(request)
                except httpx.TransportError as failure:
                    outcome = failure
                step = steps.send(outcome)
        except StopIteration as end:
            response: httpx.Response = end.value
            return response

    def close(self) -> None:
        """Close the connections."""
        for connections in self._connections.values():
            connections.close()

    def retire(self) -> None:
        """Close the connections as soon as they are idle."""
        for connections in self._connections.values():
            connections.retire()


class AsyncTransport(_Servers, httpx.AsyncBaseTransport):
    """As Transport, for an event loop."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As Transport.handle_request."""
        steps = self._steps(request)
        step = next(steps)
        while True:
            try:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    step = next(steps)
                    continue
                try:
                    outcome: Outcome = await step.handle_async_request(request)
                except httpx.TransportError as failure:
                    outcome = failure
                step = steps.send(outcome)
            except StopIteration as end:
                response: httpx.Response = end.value
                return response

    async def aclose(self) -> None:
        """Close the connections."""
        for connections in self._connections.values():
            await connections.aclose()

    async def aretire(self) -> None:
        """Close the connections as soon as they are idle."""
        for connections in self._connections.values():
            await connections.aretire()
