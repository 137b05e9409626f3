"""How a request reaches a server: tried again when that is safe, then at the next server.

Nothing is tried again once a byte of an answer came, nor after a read timeout: the server may be
working on the request, and bill it. Nothing is read without a bound.
"""

from collections.abc import Mapping

import httpx
from httpx_retries import Retry, RetryTransport

from .bounds import AsyncConnections, Connections, aread_reply, read_reply
from .retry import WaitTooLongError, is_unreachable

FAILOVER_STATUSES = frozenset({502, 503, 504, *range(520, 530)})
"""Statuses after which another server may succeed."""

# Under this name a request's extensions hold the server that it is directed to; at first it is
# directed to the first one.
_SERVER = "evolink_server"

# Which of a list of servers answered last, for the life of the process.
_answered: dict[tuple[str, ...], str] = {}


class _Servers:
    """The servers of a request, and what both transports do around sending it to one."""

    def __init__(
        self, connections: "Mapping[str, Connections | AsyncConnections]", retry: Retry
    ) -> None:
        self._servers = tuple(connections)
        self._transports = {
            server: RetryTransport(inner, retry) for server, inner in connections.items()
        }
        # Parsed once: to parse an address costs more than to send a request to it.
        self._urls = {server: httpx.URL(server) for server in connections}

    def _in_order(self) -> list[str]:
        """Return the servers, the one that answered last first."""
        first = _answered.get(self._servers)
        return sorted(self._servers, key=lambda server: server != first)

    def _aim(self, request: httpx.Request, server: str) -> RetryTransport:
        """Direct the request to the server; return what carries it there."""
        aimed = request.extensions.get(_SERVER, self._servers[0])
        if aimed != server:
            old, new = self._urls[aimed], self._urls[server]
            path = request.url.raw_path.removeprefix(old.raw_path.rstrip(b"/"))
            request.url = request.url.copy_with(
                scheme=new.scheme,
                host=new.host,
                port=new.port,
                raw_path=new.raw_path.rstrip(b"/") + path,
            )
            request.headers["Host"] = new.netloc.decode("ascii")
            request.extensions[_SERVER] = server
        return self._transports[server]

    def _answers(self, server: str, response: httpx.Response) -> bool:
        """Return whether the response is an answer, not a reason to try another server."""
        if response.status_code in FAILOVER_STATUSES:
            return False
        _answered[self._servers] = server
        return True


class Transport(_Servers, httpx.BaseTransport):
    """Sends a request to the servers in turn, until one answers.

    Args:
        connections: What reaches each server, in the order of preference.
        retry: The policy of retry_policy().
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer, else what the last server says.

        A reply that is no event stream is read. Raises httpx.TransportError, and
        IncompleteReplyError for a reply without an end.
        """
        *others, last = self._in_order()
        for server in others:
            try:
                response = self._send(request, server)
            except httpx.TransportError as failure:
                if not is_unreachable(failure):
                    raise
                continue
            if self._answers(server, response):
                return read_reply(request, response)
        response = self._send(request, last)
        self._answers(last, response)
        return read_reply(request, response)

    def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        try:
            return self._aim(request, server).handle_request(request)
        except WaitTooLongError as too_long:
            return too_long.response

    def close(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            transport.close()


class AsyncTransport(_Servers, httpx.AsyncBaseTransport):
    """As Transport, for an event loop."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As Transport.handle_request."""
        *others, last = self._in_order()
        for server in others:
            try:
                response = await self._send(request, server)
            except httpx.TransportError as failure:
                if not is_unreachable(failure):
                    raise
                continue
            if self._answers(server, response):
                return await aread_reply(request, response)
        response = await self._send(request, last)
        self._answers(last, response)
        return await aread_reply(request, response)

    async def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        try:
            return await self._aim(request, server).handle_async_request(request)
        except WaitTooLongError as too_long:
            return too_long.response

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            await transport.aclose()
