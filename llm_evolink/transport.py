"""How a request reaches a server: tried again when that is safe, then at the next server.

Nothing is tried again once a byte of an answer came, nor after a read timeout: the server may be
working on the request, and bill it. Nothing is read without a bound.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing, suppress
from email.utils import mktime_tz, parsedate_tz
from typing import Any

import click
import httpx
from httpx_retries import Retry, RetryTransport

from .errors import IncompleteReplyError

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 530)})
"""Statuses after which the same request may succeed."""

FAILOVER_STATUSES = frozenset({502, 503, 504, *range(520, 530)})
"""Statuses after which another server may succeed."""

MAX_REPLY_BYTES = 64 * 2**20
"""Most bytes of a reply that comes in one piece."""

MAX_STREAM_BYTES = 256 * 2**20
"""Most bytes of a stream: four times what 65,536 tokens take, each with its logprobs."""

MAX_ERROR_BYTES = 2**20
"""Most bytes of an error's body; what follows is not read."""

_UNREACHABLE = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
    httpx.ReadError,
    httpx.WriteError,
)

# Under this name a request's extensions hold the server that it is directed to; at first it is
# directed to the first one.
_SERVER = "evolink_server"

# Which of a list of servers answered last, for the life of the process.
_answered: dict[tuple[str, ...], str] = {}


def _is_unreachable(failure: Exception) -> bool:
    """Return whether the server was not reached, or broke the connection before it answered."""
    if isinstance(failure, httpx.RemoteProtocolError):
        return "without sending a response" in str(failure)
    return isinstance(failure, _UNREACHABLE)


def retry_policy(retries: int, max_wait: float) -> Retry:
    """Return the policy: tries after the first, at most; seconds to wait for one, at most."""
    return _Policy(
        total=retries,
        allowed_methods=["POST"],
        backoff_factor=0.25,
        backoff_jitter=0.5,
        max_backoff_wait=max_wait,
        status_forcelist=RETRY_STATUSES,
    )


class _WaitTooLongError(Exception):
    """Tells the transport that a server asks for a longer wait than anyone sits through."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response


class _Policy(Retry):
    """Which responses and failures are tried again, and after which wait."""

    def is_retryable_exception(self, exception: Exception) -> bool:
        """Return whether trying again can help; a certificate stays what it is."""
        return _is_unreachable(exception) and "CERTIFICATE" not in str(exception)

    def sleep(self, response: httpx.Response | Exception) -> None:
        """Wait before the next try. Raises _WaitTooLongError."""
        time.sleep(self._wait(response))

    async def asleep(self, response: httpx.Response | Exception) -> None:
        """As sleep, for an event loop."""
        await asyncio.sleep(self._wait(response))

    def _wait(self, response: httpx.Response | Exception) -> float:
        """Return the seconds to wait, told to a person who watches when more than one."""
        seconds, reason = self.backoff_strategy(), "The connection failed"
        if isinstance(response, httpx.Response):
            reason = f"EvoLink answered {response.status_code}"
            advised = _advised_wait(response)
            seconds = seconds if advised is None else advised
            if seconds > self.max_backoff_wait:
                raise _WaitTooLongError(response)
        if seconds > 1 and click.get_current_context(silent=True) and sys.stderr.isatty():
            click.echo(f"{reason}; trying again in {seconds:.0f} s", err=True)
        return seconds


def _advised_wait(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks for, in the header or else in its advice."""
    header = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
        return float(header)
    with suppress(ValueError, OverflowError):
        if date := parsedate_tz(header):
            return max(0.0, mktime_tz(date) - time.time())
    found = re.search(rb"retry after ([0-9]{1,9}) second", response.content, re.IGNORECASE)
    return float(found[1]) if found else None


class Connections(httpx.HTTPTransport):
    """httpx's connections to a server; of an error, the body is read, as far as it comes."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response. Raises httpx.TransportError."""
        response = super().handle_request(request)
        if not response.is_error:
            return response
        content = bytearray()
        with suppress(httpx.RequestError), closing(response):
            for part in response.iter_bytes():
                content += part
                if len(content) >= MAX_ERROR_BYTES:
                    break
        return _with_content(response, content)


class AsyncConnections(httpx.AsyncHTTPTransport):
    """As Connections, for an event loop."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As Connections.handle_request."""
        response = await super().handle_async_request(request)
        if not response.is_error:
            return response
        content = bytearray()
        with suppress(httpx.RequestError):
            async with aclosing(response):
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) >= MAX_ERROR_BYTES:
                        break
        return _with_content(response, content)


def _with_content(response: httpx.Response, content: bytearray) -> httpx.Response:
    """Return the response with this as its whole body."""
    # It is decompressed, and its length may have changed.
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [header for header in response.headers.raw if header[0].lower() not in gone]
    return httpx.Response(
        response.status_code,
        headers=headers,
        content=bytes(content),
        extensions=response.extensions,
    )


def _read_reply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Return the response, read unless it is an error, which is, or the stream asked for."""
    if _is_passed_on(request, response):
        return response
    content = bytearray()
    with closing(response):
        for part in response.iter_bytes():
            content += part
            _check_size(len(content), MAX_REPLY_BYTES)
    return _with_content(response, content)


async def _aread_reply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    if _is_passed_on(request, response):
        return response
    content = bytearray()
    async with aclosing(response):
        async for part in response.aiter_bytes():
            content += part
            _check_size(len(content), MAX_REPLY_BYTES)
    return _with_content(response, content)


def _is_passed_on(request: httpx.Request, response: httpx.Response) -> bool:
    """Return whether there is nothing to read: an error, or the stream asked for, now bounded."""
    if response.is_error:
        return True
    name = "text/event-stream"
    content_type: str = response.headers.get("content-type", "")
    if request.headers.get("accept") != name or not content_type.lower().startswith(name):
        return False
    response.stream = _Bounded(response.stream)
    return True


class _Bounded(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a stream, counted."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._count = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self._count += len(part)
            _check_size(self._count, MAX_STREAM_BYTES)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._count += len(part)
            _check_size(self._count, MAX_STREAM_BYTES)
            yield part

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _check_size(count: int, most: int) -> None:
    if count > most:
        raise IncompleteReplyError(f"it has no end within {most / 2**20:g} MiB")


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
                if not _is_unreachable(failure):
                    raise
                continue
            if self._answers(server, response):
                return _read_reply(request, response)
        response = self._send(request, last)
        self._answers(last, response)
        return _read_reply(request, response)

    def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        try:
            return self._aim(request, server).handle_request(request)
        except _WaitTooLongError as too_long:
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
                if not _is_unreachable(failure):
                    raise
                continue
            if self._answers(server, response):
                return await _aread_reply(request, response)
        response = await self._send(request, last)
        self._answers(last, response)
        return await _aread_reply(request, response)

    async def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        try:
            return await self._aim(request, server).handle_async_request(request)
        except _WaitTooLongError as too_long:
            return too_long.response

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            await transport.aclose()
