"""httpx transports that limit the size of a response and the time without progress."""

import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpcore
import httpx

from ..errors import BadReplyError, IncompleteReplyError
from .network import (
    AsyncRecordingBackend,
    AsyncSending,
    Exchange,
    RecordingBackend,
    Sending,
    mark_unread,
)
from .progress import Progress

MAX_REPLY_BYTES = 16 * 2**20
"""Maximum size of a non-streamed reply, decompressed. Decoded, it takes up to 16 times as much."""

MAX_STREAM_BYTES = 256 * 2**20
"""Maximum size of a stream: four times 65,536 tokens that each have their log probabilities."""

MAX_ERROR_BYTES = 2**20
"""Maximum size of the body of an error; what follows is not read."""

EXCHANGE = "evolink_exchange"
"""Name of the request extension that holds the Exchange of the current attempt."""

_DECOMPRESSED = 2**18  # Bytes that are decompressed in one step.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Connections(httpx.HTTPTransport):
    """httpx transport to one server. It reads any response but a stream, within the limits.

    The body of an error is read up to MAX_ERROR_BYTES; one that is cut short is kept.
    """

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of httpx.HTTPTransport."""
        super().__init__(**arguments)
        self._pool._network_backend = RecordingBackend(self._pool._network_backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response. Raises httpx.TransportError, BadReplyError, IncompleteReplyError."""
        _show_request(request)
        exchange = request.extensions.setdefault(EXCHANGE, Exchange())
        try:
            with Sending(exchange):
                response = super().handle_request(request)
        except BaseException as failure:
            if unused := exchange.unused_stream():
                unused.close()
            if of_proxy := _proxy_failure(failure, exchange, self._pool):
                raise of_proxy from None
            raise
        body = _Body(request, response)
        if body.is_stream:
            return response
        try:
            for part in body:
                if body.keep(part):
                    break
        except (httpx.RequestError, BadReplyError):
            if not response.is_error:
                raise
        finally:
            body.close()
        return body.as_response()

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses are closed."""
        self._pool._close_connections(_idle_connections(self._pool))


class AsyncConnections(httpx.AsyncHTTPTransport):
    """As Connections, for an event loop."""

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of httpx.AsyncHTTPTransport."""
        super().__init__(**arguments)
        self._pool._network_backend = AsyncRecordingBackend(self._pool._network_backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As Connections.handle_request."""
        _show_request(request)
        exchange = request.extensions.setdefault(EXCHANGE, Exchange())
        try:
            with AsyncSending(exchange):
                response = await super().handle_async_request(request)
        except BaseException as failure:
            if unused := exchange.unused_stream():
                await unused.aclose()
            if of_proxy := _proxy_failure(failure, exchange, self._pool):
                raise of_proxy from None
            raise
        body = _Body(request, response)
        if body.is_stream:
            return response
        try:
            async for part in body:
                if body.keep(part):
                    break
        except (httpx.RequestError, BadReplyError):
            if not response.is_error:
                raise
        finally:
            await body.aclose()
        return body.as_response()

    async def aretire(self) -> None:
        """As Connections.retire."""
        await self._pool._close_connections(_idle_connections(self._pool))


def _proxy_failure(
    failure: BaseException, exchange: Exchange, pool: Any
) -> httpx.ProxyError | None:
    """Return the exception to raise instead if the proxy failed, None if something else did."""
    is_socks = isinstance(pool, (httpcore.SOCKSProxy, httpcore.AsyncSOCKSProxy))
    if isinstance(failure, httpx.ConnectError) and exchange.connected is None:
        is_proxy = is_socks or isinstance(pool, (httpcore.HTTPProxy, httpcore.AsyncHTTPProxy))
        return httpx.ProxyError(str(failure)) if is_proxy else None
    if is_socks and exchange.unused_stream():
        from socksio import ProtocolError

        # httpx does not know what the pool raises for such a reply.
        if isinstance(failure, (ProtocolError, AssertionError)):
            return httpx.ProxyError("its SOCKS reply is not valid")
    return None


def _is_traced() -> bool:
    """Return whether requests and responses are printed for a bug report."""
    return os.environ.get("EVOLINK_DEBUG") == "1"


def _show_request(request: httpx.Request) -> None:
    if _is_traced():
        from .debug import show_request

        show_request(request)


def _trace_response(request: httpx.Request, response: httpx.Response) -> Any:
    """Return a debug.ResponseTrace of the response, None if it is not printed."""
    if not _is_traced():
        return None
    from .debug import ResponseTrace

    return ResponseTrace(request, response)


def _idle_connections(pool: Any) -> list[Any]:
    """Return the pool's idle connections, which it no longer keeps, nor any other from now on."""
    pool._max_keepalive_connections = 0
    with pool._optional_thread_lock:
        idle: list[Any] = pool._assign_requests_to_connections()
    return idle


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response: decompressed, and within the limits of size and time.

    Attributes:
        is_stream: Whether the response is passed on as a stream.
    """

    def __init__(self, request: httpx.Request, response: httpx.Response) -> None:
        request.extensions[EXCHANGE].received = True
        self._response = response
        self._stream: Any = response.stream
        self._count = 0
        self._content = bytearray()
        timeout = request.extensions.get("timeout", {}).get("read")
        self._progress = Progress(timeout, is_error=response.is_error)
        self.is_stream = not response.is_error and "event-stream" in request.headers.get(
            "accept", ""
        )
        is_labelled = "event-stream" in response.headers.get("content-type", "").lower()
        self._limit = MAX_STREAM_BYTES if self.is_stream and is_labelled else MAX_REPLY_BYTES
        coding = response.headers.get("content-encoding", "").strip().lower()
        self._decode = _decoder(coding)
        if coding:  # httpx would decompress a second time, without a limit.
            del response.headers["content-encoding"]
        response.stream = self
        self._trace = _trace_response(request, response)

    def __iter__(self) -> Iterator[bytes]:
        for raw in self._stream:
            for part in self._decode(raw):
                self._check(part)
                yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for raw in self._stream:
            for part in self._decode(raw):
                self._check(part)
                yield part

    def close(self) -> None:
        mark_unread(self._response, self._stream)
        self._stream.close()
        self._end_trace()

    async def aclose(self) -> None:
        mark_unread(self._response, self._stream)
        await self._stream.aclose()
        self._end_trace()

    def _end_trace(self) -> None:
        if self._trace:
            self._trace.end()

    def keep(self, part: bytes) -> bool:
        """Keep a part of a complete reply or an error; return True if no more is to be read."""
        self._content += part
        return self._response.is_error and len(self._content) >= MAX_ERROR_BYTES

    def as_response(self) -> httpx.Response:
        """Return the response with the parts that were kept as its body."""
        gone = (b"content-length", b"transfer-encoding")
        raw = self._response.headers.raw
        return httpx.Response(
            self._response.status_code,
            headers=[header for header in raw if header[0].lower() not in gone],
            content=bytes(self._content),
            extensions=self._response.extensions,
        )

    def _check(self, part: bytes) -> None:
        if self._trace:
            self._trace.add(part)
        self._count += len(part)
        if self._count > self._limit:
            raise IncompleteReplyError(f"it is larger than {self._limit / 2**20:g} MiB")
        self._progress.check(part)


def _decoder(coding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Return a function that decompresses the body, a bounded part at a time.

    It raises BadReplyError for a body that cannot be decompressed, and for any coding but gzip and
    deflate, whose decompression could not be bounded: two codings on top of each other, say.
    """
    if coding in ("", "identity"):
        return lambda raw: iter((raw,))
    if coding not in _WINDOWS:

        def refuse(raw: bytes) -> Iterator[bytes]:
            raise BadReplyError(
                f"The server compressed its response as {coding[:40]!r}, which is not supported"
            )

        return refuse
    decompressor = zlib.decompressobj(_WINDOWS[coding])

    def decode(raw: bytes) -> Iterator[bytes]:
        try:
            yield decompressor.decompress(raw, _DECOMPRESSED)
            while decompressor.unconsumed_tail:
                yield decompressor.decompress(decompressor.unconsumed_tail, _DECOMPRESSED)
        except zlib.error as error:
            raise BadReplyError(f"The server's response is not valid {coding} ({error})") from None

    return decode
