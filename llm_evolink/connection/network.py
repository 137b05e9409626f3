"""TCP and TLS streams under httpx that record how far a request got.

httpx reports a broken connection in the same way whether the server had the request or not. What
may be sent again depends on it, so the streams record what was written and read. They also end a
response head that arrives too slowly, and refuse to reuse a connection with unread data.
"""

import asyncio
import re
import select
import ssl
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import httpcore
import httpx

# Beginnings of what a proxy is sent before the request: by HTTP; by SOCKS 5, and its password.
_CONNECT = b"CONNECT "
_SOCKS = (b"\x05", b"\x01")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


class Exchange:
    """How far one request got.

    Attributes:
        written_at: Value of time.monotonic() when a part of the request was last written; None
            before.
        received: Whether a byte of a response arrived, an informational one (1xx) included.
        connected: The stream of a connection that was made for the request, None for none.
    """

    __slots__ = ("connected", "received", "written_at")

    def __init__(self) -> None:
        self.written_at: float | None = None
        self.received = False
        self.connected: Any = None

    def unused_stream(self) -> Any:
        """Return the stream if nothing of the request was written to it, else None.

        httpcore leaves the connection open when a handshake with a SOCKS proxy fails.
        """
        return self.connected if self.written_at is None else None


# The exchange of the request that is being sent: by context for threads and greenlets, which each
# have their own, and by task for tasks, which can share a context.
_of_thread: ContextVar[Exchange | None] = ContextVar("evolink_exchange", default=None)
_of_task: WeakKeyDictionary[Any, Exchange] = WeakKeyDictionary()


class Sending:
    """Within the block, what this thread connects and writes is recorded on the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:  # noqa: D105
        self._token = _of_thread.set(self._exchange)

    def __exit__(self, *_: object) -> None:  # noqa: D105
        _of_thread.reset(self._token)


class AsyncSending:
    """As Sending, for the running task."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:  # noqa: D105
        self._task = asyncio.current_task()
        _of_task[self._task] = self._exchange

    def __exit__(self, *_: object) -> None:  # noqa: D105
        del _of_task[self._task]


class _Recorder:
    """What the sync and the async stream have in common."""

    current_exchange: Callable[[], Exchange | None]

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._exchange: Exchange | None = None
        self._head: bytearray | None = None  # Of the response, until it is complete.
        self._head_expected_at = 0.0
        self.has_unread_data = False
        self._socket: Any = None

    def _note_write(self, data: bytes) -> None:
        exchange = self.current_exchange()
        # httpcore writes b"" after each request, CONNECT too.
        if exchange is None or not data or data.startswith(_SOCKS):
            return
        now = time.monotonic()
        is_to_proxy = data.startswith(_CONNECT)
        if is_to_proxy or exchange is not self._exchange:
            self._head = bytearray()
        self._head_expected_at = now
        if not is_to_proxy:
            self._exchange = exchange
            exchange.written_at = now

    def _limit(self, timeout: float | None) -> float | None:
        """Return the seconds to wait for data. Raises httpcore.ReadTimeout if none are left.

        A response head has to be complete within the read time-out: informational responses and
        single bytes are no progress.
        """
        if self._head is None or timeout is None:
            return timeout
        left = self._head_expected_at + timeout - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the response did not begin in time")
        return left

    def _note_read(self, data: bytes) -> None:
        if self._exchange and data:
            self._exchange.received = True
        if self._head is None:
            return
        self._head += data
        while end := _END_OF_HEAD.search(self._head):
            is_informational = self._head.partition(b" ")[2].startswith(b"1")  # Status 1xx.
            if not is_informational:
                self._head = None
                return
            del self._head[: end.end()]

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream knows; data after a response counts as readable.

        httpcore closes an idle connection that is readable.
        """
        if info != "is_readable":
            return self._stream.get_extra_info(info)
        if self.has_unread_data:
            return True
        # The pool asks each idle connection before each request, and to find the socket takes ten
        # times as long as to poll it.
        if self._socket is None:
            self._socket = self._stream.get_extra_info("socket")
        return _is_readable(self._socket)


def mark_unread(response: httpx.Response, body: Any) -> None:
    """Note on the connection of a response whether data after the response was read with it.

    httpcore keeps such data, and would take it for the response to the next request.
    """
    connection = response.extensions.get("network_stream")
    if isinstance(connection, _Recorder):
        try:
            state = body._httpcore_stream._stream._connection._h11_state
            connection.has_unread_data = bool(state.trailing_data[0])
        except AttributeError:  # Another httpcore: rather a new connection than a wrong answer.
            connection.has_unread_data = True


def _is_readable(connected: Any) -> bool:
    """Return whether the socket has data or is closed."""
    number = -1 if connected is None else connected.fileno()
    if number < 0:
        return True
    if not hasattr(select, "poll"):  # Windows.
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


class RecordingStream(_Recorder, httpcore.NetworkStream):
    """A network stream that records the exchange it carries."""

    current_exchange = staticmethod(_of_thread.get)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes. Raises httpcore.ReadTimeout and httpcore.ReadError."""
        data: bytes = self._stream.read(max_bytes, timeout=self._limit(timeout))
        self._note_read(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write the bytes. Raises httpcore.WriteTimeout and httpcore.WriteError."""
        self._stream.write(buffer, timeout=timeout)
        self._note_write(buffer)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "RecordingStream":
        """Return the stream inside TLS."""
        return RecordingStream(self._stream.start_tls(ssl_context, server_hostname, timeout))


class AsyncRecordingStream(_Recorder, httpcore.AsyncNetworkStream):
    """As RecordingStream, for an event loop."""

    current_exchange = staticmethod(lambda: _of_task.get(asyncio.current_task()))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes. Raises httpcore.ReadTimeout and httpcore.ReadError."""
        data: bytes = await self._stream.read(max_bytes, timeout=self._limit(timeout))
        self._note_read(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write the bytes. Raises httpcore.WriteTimeout and httpcore.WriteError."""
        await self._stream.write(buffer, timeout=timeout)
        self._note_write(buffer)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "AsyncRecordingStream":
        """Return the stream inside TLS."""
        return AsyncRecordingStream(
            await self._stream.start_tls(ssl_context, server_hostname, timeout)
        )


class RecordingBackend(httpcore.NetworkBackend):
    """Connects with the backend it is given, and records on each connection."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> RecordingStream:
        """Return a stream to the host. Raises httpcore.ConnectError and ConnectTimeout."""
        # As bytes, because for a str Python loads its IDNA codec, and httpx has encoded the name.
        name: Any = host.encode("ascii")
        stream = RecordingStream(
            self._backend.connect_tcp(name, port, timeout, local_address, socket_options)
        )
        if exchange := stream.current_exchange():
            exchange.connected = stream
        return stream


class AsyncRecordingBackend(httpcore.AsyncNetworkBackend):
    """As RecordingBackend, for an event loop."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncRecordingStream:
        """Return a stream to the host. Raises httpcore.ConnectError and ConnectTimeout."""
        stream = AsyncRecordingStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )
        if exchange := stream.current_exchange():
            exchange.connected = stream
        return stream
