"""How a response is read: JSON bodies, and streams of server-sent events."""

import asyncio
import json
import socket
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource

from . import errors
from .client import AuthenticatedClient, Client

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 2**20
"""Most of a body that is read where an event stream was expected."""

MAX_EVENT_BYTES = 16 * 2**20
"""Most bytes that may come without a complete event."""

DRAIN_BYTES = 2**16
DRAIN_SECONDS = 0.5

# What reading JSON of the wrong shape raises in json.loads and in from_dict.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in the body

    Raises:
        ValueError: If the body is anything else.
    """
    data = response.json()
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def parse_or_none(
    parse: Callable[..., T],
    *,
    client: AuthenticatedClient | Client,
    response: httpx.Response,
) -> T | None:
    """The parsed response, or None for a body that does not fit the document

    Raises:
        errors.UnexpectedResponse: If the body does not fit and Client.raise_on_unexpected_status is True.
        errors.UnexpectedStatus: If the status is not in the document and Client.raise_on_unexpected_status is True.
    """
    try:
        return parse(client=client, response=response)
    except _UNREADABLE:
        if client.raise_on_unexpected_status:
            raise errors.UnexpectedResponse(
                response.status_code, response.headers, response.content
            ) from None
        return None


def check_event_stream(response: httpx.Response) -> None:
    """Read nothing of an event stream with status 200

    Raises:
        errors.UnexpectedResponse: If the response is anything else; its body is read.
    """
    if not _is_event_stream(response):
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) >= MAX_BODY_BYTES:
                break
        raise errors.UnexpectedResponse(
            response.status_code, response.headers, bytes(content[:MAX_BODY_BYTES])
        )


async def acheck_event_stream(response: httpx.Response) -> None:
    """As check_event_stream, for an event loop"""
    if not _is_event_stream(response):
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) >= MAX_BODY_BYTES:
                break
        raise errors.UnexpectedResponse(
            response.status_code, response.headers, bytes(content[:MAX_BODY_BYTES])
        )


def iter_events(
    response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
) -> Generator[T, None, None]:
    """The stream's events as models, to [DONE]; then what little follows is read, so that the connection can be used again

    Raises:
        errors.InvalidEvent, errors.EventTooLarge, errors.IncompleteStream, httpx.TransportError
    """
    stream = _BoundedStream(response)
    events = EventSource(response).iter_sse()
    for event in events:
        stream.allow(MAX_EVENT_BYTES)
        if event.data == "[DONE]":
            break
        if event.data:
            yield _read_event(event.data, from_dict)
    else:
        raise errors.IncompleteStream("The stream ended without [DONE]")
    stream.allow(DRAIN_BYTES)
    # A blocked read cannot be given a new timeout; shutting its socket down ends it.
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network else None
    timer = threading.Timer(DRAIN_SECONDS, _shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        for _ in events:
            pass
    except (httpx.HTTPError, errors.StreamError):
        pass  # All that was asked for has come; the connection is not used again.
    finally:
        timer.cancel()


async def aiter_events(
    response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
) -> AsyncGenerator[T, None]:
    """As iter_events, for an event loop"""
    stream = _BoundedStream(response)
    events = EventSource(response).aiter_sse()
    async for event in events:
        stream.allow(MAX_EVENT_BYTES)
        if event.data == "[DONE]":
            break
        if event.data:
            yield _read_event(event.data, from_dict)
    else:
        raise errors.IncompleteStream("The stream ended without [DONE]")
    stream.allow(DRAIN_BYTES)
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in events:
                pass
    except (httpx.HTTPError, errors.StreamError, TimeoutError):
        pass


class _BoundedStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Takes the place of the response's stream and counts what comes through."""

    def __init__(self, response: httpx.Response) -> None:
        self._stream: Any = response.stream
        self._left = MAX_EVENT_BYTES
        response.stream = self
        # Server-sent events are UTF-8 whatever the header says, with or without a byte order mark.
        response.encoding = "utf-8-sig"

    def allow(self, count: int) -> None:
        self._left = count

    def _count(self, part: bytes) -> bytes:
        self._left -= len(part)
        if self._left < 0:
            raise errors.EventTooLarge("Too many bytes came without a complete event")
        return part

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            yield self._count(part)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield self._count(part)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _is_event_stream(response: httpx.Response) -> bool:
    content_type = (
        response.headers.get("content-type", "").partition(";")[0].strip().lower()
    )
    return response.status_code == 200 and content_type == "text/event-stream"


def _read_event(data: str, from_dict: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        value = json.loads(data)
        if isinstance(value, dict):
            return from_dict(value)
    except _UNREADABLE:
        pass
    raise errors.InvalidEvent(data)


def _shut_down(connection: socket.socket | None) -> None:
    if connection is not None:
        try:
            # Of the class: a TLS socket's own shutdown would drop its state under the reader.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError:
            pass
