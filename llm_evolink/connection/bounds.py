"""Size limits for what a server sends."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, suppress
from typing import Any

import httpx

from ..errors import IncompleteReplyError

MAX_REPLY_BYTES = 64 * 2**20
"""Most bytes of a reply that comes in one piece."""

MAX_STREAM_BYTES = 256 * 2**20
"""Most bytes of a stream: four times what 65,536 tokens take, each with its logprobs."""

MAX_ERROR_BYTES = 2**20
"""Most bytes of an error's body; what follows is not read."""


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


def read_reply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Return the response, read unless it is an error, which is, or the stream asked for."""
    if _is_passed_on(request, response):
        return response
    content = bytearray()
    with closing(response):
        for part in response.iter_bytes():
            content += part
            _check_size(len(content), MAX_REPLY_BYTES)
    return _with_content(response, content)


async def aread_reply(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """As read_reply, for an event loop."""
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
    if name not in request.headers.get("accept", "") or not content_type.lower().startswith(name):
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
