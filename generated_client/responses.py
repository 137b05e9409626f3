"""How a response is read: JSON bodies, and streams of server-sent events."""

import json
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar, cast

import httpx

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
_FIRST_DATA = b"\xef\xbb\xbfdata:"  # A byte order mark may come before the first line.
_decode = (
    json.JSONDecoder().raw_decode
)  # Which does not look for white space around the value.

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


class _Stream(Generic[T]):
    """What a stream is made of: the request to send, by which client, and how an event is read"""

    def __init__(
        self,
        client: AuthenticatedClient | Client,
        request: dict[str, Any],
        from_dict: Callable[[Mapping[str, Any]], T],
    ) -> None:
        self._client = client
        self._request = request
        self._from_dict = from_dict


class EventStream(_Stream[T]):
    """The events of a response as models: a context manager that sends the request, to be iterated over once

    Attributes:
        headers: The response's headers.
    """

    def __enter__(self) -> Self:
        client = self._client.get_httpx_client()
        self._response = client.send(client.build_request(**self._request), stream=True)
        try:
            check_event_stream(self._response)
        except BaseException:
            self._response.close()
            raise
        self.headers = self._response.headers
        self._events = iter_events(self._response, self._from_dict)
        return self

    def __exit__(self, *args: object) -> None:
        self._events.close()
        self._response.close()

    def __iter__(self) -> Iterator[T]:
        return self._events


class AsyncEventStream(_Stream[T]):
    """As EventStream, for an event loop

    It is no asynchronous generator: a loop that shuts down closes all of these at once, and one that
    waits for another then fails.
    """

    async def __aenter__(self) -> Self:
        client = self._client.get_async_httpx_client()
        self._response = await client.send(
            client.build_request(**self._request), stream=True
        )
        try:
            await acheck_event_stream(self._response)
        except BaseException:
            await self._response.aclose()
            raise
        self.headers = self._response.headers
        self._parts = self._response.aiter_bytes()
        self._reader = _EventReader()
        self._found: Iterator[str] = iter(())
        self._is_over = False
        return self

    async def __aexit__(self, *args: object) -> None:
        self._is_over = True
        await self._response.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._is_over:
            raise StopAsyncIteration
        self._is_over = True  # Unless there is another event: none follows an error.
        while not self._reader.done:
            for data in self._found:
                event = _read_event(data, self._from_dict)
                self._is_over = False
                return event
            if not self._reader.done:
                part = await anext(self._parts, None)
                if part is None:
                    self._reader.end()
                else:
                    self._found = self._reader.feed(part)
        await _adrain(self._parts)
        raise StopAsyncIteration


def iter_events(
    response: httpx.Response, from_dict: Callable[[Mapping[str, Any]], T]
) -> Generator[T, None, None]:
    """The stream's events as models, to [DONE]; then what little follows is read, so that the connection can be used again

    Raises:
        errors.InvalidEvent, errors.EventTooLarge, errors.IncompleteStream, httpx.RequestError
    """
    reader = _EventReader()
    # Named, because the response is closed as soon as nothing refers to the iterator.
    parts = response.iter_bytes()
    for part in parts:
        for data in reader.feed(part):
            yield _read_event(data, from_dict)
        if reader.done:
            break
    else:
        reader.end()
    _drain(response)


class _EventReader:
    """Finds the data of server-sent events in bytes, however these are split

    Comments and all fields but data say nothing here. The format is that of the HTML standard.

    Attributes:
        done: Whether [DONE] came; nothing counts after it.
    """

    def __init__(self) -> None:
        self.done = False
        self._line: list[bytes] = []  # Pieces of a line that goes on.
        self._data: list[bytes] = []  # Data lines of an event that goes on.
        self._after_return = False
        self._left = MAX_EVENT_BYTES

    def feed(self, part: bytes) -> Iterator[str]:
        """The data of each event that the part completes"""
        self._left -= len(part)
        if self._left < 0:
            raise errors.EventTooLarge("Too many bytes came without a complete event")
        if self._after_return or b"\r" in part:
            part = self._with_newlines(part)
        lines = part.split(b"\n")
        if len(lines) == 1:
            self._line.append(part)
            return
        lines[0] = b"".join([*self._line, lines[0]])
        self._line = [lines.pop()]
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif line.startswith(_FIRST_DATA):
                self._data.append(line[8:])
            elif self._data and not line:
                data = b"\n".join(self._data).decode("utf-8", "replace").strip()
                self._data.clear()
                self._left = MAX_EVENT_BYTES
                if data == _DONE:
                    self.done = True
                    return
                if data:
                    yield data

    def end(self) -> None:
        """Check that the stream may end here: after a [DONE] without the blank line that ends an event"""
        for _ in self.feed(b"\n\n"):
            break
        if not self.done:
            raise errors.IncompleteStream("The stream ended without [DONE]")

    def _with_newlines(self, part: bytes) -> bytes:
        """The part with a newline for each end of line; a return may be half of one"""
        if self._after_return:
            part = part.removeprefix(b"\n")
        self._after_return = part.endswith(b"\r")
        return part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


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


async def _adrain(parts: AsyncIterator[bytes]) -> None:
    """As _drain, for an event loop"""
    import asyncio  # Here, because the sync functions should not wait for it to load.

    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in parts:
                left -= len(part)
                if left < 0:
                    break
    except (httpx.HTTPError, httpx.StreamError, TimeoutError):
        pass  # All that was asked for has come; the connection is not used again.


def _is_event_stream(response: httpx.Response) -> bool:
    content_type = (
        response.headers.get("content-type", "").partition(";")[0].strip().lower()
    )
    return response.status_code == 200 and content_type == "text/event-stream"


def _read_event(data: str, from_dict: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        value, end = _decode(data)
        if end == len(data) and isinstance(value, dict):
            return from_dict(value)
    except _UNREADABLE:
        pass
    raise errors.InvalidEvent(data)
