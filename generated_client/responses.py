"""How a response is read: JSON bodies, and streams of server-sent events."""

import json
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from typing import Any, Generic, TypeVar, cast

import httpx
from httpx_sse import EventSource, ServerSentEvent

from . import errors
from .client import AuthenticatedClient, Client

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 2**20
"""Most of a body that is read where an event stream was expected."""

MAX_EVENT_BYTES = 16 * 2**20
"""Most bytes that may come without a complete event."""

DRAIN_BYTES = 2**16
DRAIN_SECONDS = 0.5
"""How much may follow [DONE], and how long it may take, before the connection is given up."""

_DONE = "[DONE]"

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


class EventStream(Generic[T]):
    """The events of a response as models, to be iterated over once

    Attributes:
        headers: The response's headers.
    """

    def __init__(
        self, response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
    ) -> None:
        self.headers = response.headers
        self._events = iter_events(response, from_dict)

    def __iter__(self) -> Iterator[T]:
        return self._events

    def close(self) -> None:
        self._events.close()


class AsyncEventStream(Generic[T]):
    """As EventStream, for an event loop"""

    def __init__(
        self, response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
    ) -> None:
        self.headers = response.headers
        self._events = aiter_events(response, from_dict)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._events

    async def aclose(self) -> None:
        await self._events.aclose()


def iter_events(
    response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
) -> Generator[T, None, None]:
    """The stream's events as models, to [DONE]; then what little follows is read, so that the connection can be used again

    Raises:
        errors.InvalidEvent, errors.EventTooLarge, errors.IncompleteStream, httpx.RequestError
    """
    body = _EventStream(response)
    # Named, because the response is closed as soon as nothing refers to the iterator.
    events = body.source().iter_sse()
    for event in events:
        data = body.data(event)
        if data == _DONE:
            break
        if data:
            yield _read_event(data, from_dict)
    else:
        raise errors.IncompleteStream("The stream ended without [DONE]")
    _drain(response)


async def aiter_events(
    response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
) -> AsyncGenerator[T, None]:
    """As iter_events, for an event loop"""
    import asyncio  # Here, because the sync functions should not wait for it to load.

    body = _EventStream(response)
    events = body.source().aiter_sse()
    async for event in events:
        data = body.data(event)
        if data == _DONE:
            break
        if data:
            yield _read_event(data, from_dict)
    else:
        raise errors.IncompleteStream("The stream ended without [DONE]")
    body.allow(DRAIN_BYTES)
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in events:
                pass
    except (httpx.HTTPError, errors.StreamError, TimeoutError):
        pass  # All that was asked for has come; the connection is not used again.


class _EventStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The decompressed bytes of a response, counted, and a blank line after the last: a [DONE] at
    the very end counts without one."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._left = MAX_EVENT_BYTES
        self._ended = False

    def source(self) -> EventSource:
        # Server-sent events are UTF-8 whatever the header says, with or without a byte order mark.
        return EventSource(
            httpx.Response(
                200,
                headers={"Content-Type": "text/event-stream"},
                stream=self,
                default_encoding="utf-8-sig",
            )
        )

    def allow(self, count: int) -> None:
        self._left = count

    def data(self, event: ServerSentEvent) -> str:
        """The data of the event; empty for one that the end of the stream cut"""
        self.allow(MAX_EVENT_BYTES)
        data = event.data.strip()
        return data if data == _DONE or not self._ended else ""

    def _count(self, part: bytes) -> bytes:
        self._left -= len(part)
        if self._left < 0:
            raise errors.EventTooLarge("Too many bytes came without a complete event")
        return part

    def _end(self) -> bytes:
        self._ended = True
        return b"\n\n"

    def __iter__(self) -> Iterator[bytes]:
        for part in self._response.iter_bytes():
            yield self._count(part)
        yield self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_bytes():
            yield self._count(part)
        yield self._end()


def _drain(response: httpx.Response) -> None:
    """Read what little follows [DONE]; a response that does not end soon is left to be closed"""
    # Closed, it was read to its end, and its connection may be another request's by now.
    if response.is_closed:
        return
    # A second iteration goes on where the first stopped, and is what takes a new read timeout.
    response.request.extensions["timeout"]["read"] = DRAIN_SECONDS
    end = time.monotonic() + DRAIN_SECONDS
    left = DRAIN_BYTES
    try:
        for part in cast(httpx.SyncByteStream, response.stream):
            left -= len(part)
            if left < 0 or time.monotonic() > end:
                break
    except (httpx.HTTPError, httpx.StreamError):
        pass  # All that was asked for has come; the connection is not used again.


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
