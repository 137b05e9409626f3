"""How a request is sent and its response read: JSON bodies, and streams of server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import httpx

from . import errors
from . import models as _models
from .client import AuthenticatedClient, Client

if TYPE_CHECKING:
    from .models.chat_completion_chunk import ChatCompletionChunk
    from .models.chat_completion_response import ChatCompletionResponse

T = TypeVar("T")
E = TypeVar("E", bound=errors.APIError)

MAX_BODY_BYTES = 64 * 2**20
"""Most bytes of a body that are read where an event stream was expected."""

MAX_EVENT_BYTES = 16 * 2**20
"""Most bytes that may arrive without a complete event."""

MAX_MESSAGE_LENGTH = 500
"""Most characters of a server's message in the message of an error."""

DRAIN_BYTES = 2**16
DRAIN_SECONDS = 0.5
"""How much may follow [DONE], and how long it may take, before the connection is closed."""

_DONE = "[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_decode = (
    json.JSONDecoder().raw_decode
)  # json.loads looks for white space around the value first.

# What decoding JSON of another shape raises in json.loads and in from_dict.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def send(
    client: AuthenticatedClient | Client, request: dict[str, Any]
) -> httpx.Response:
    """Send the request and return its response, read.

    Raises:
        httpx.RequestError: If the connection fails.
    """
    http = client.get_httpx_client()
    return http.send(client.build_request(http, **request))


async def asend(
    client: AuthenticatedClient | Client, request: dict[str, Any]
) -> httpx.Response:
    """As send, for an event loop."""
    http = client.get_async_httpx_client()
    return await http.send(client.build_request(http, **request))


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in the body.

    Raises:
        ValueError: If the body is anything else, or an error with a status of success.
    """
    data = response.json()
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if response.is_success and data.get("error") is not None:
        raise ValueError("an error")
    return data


def parse_or_none(
    parse: Callable[..., T],
    *,
    client: AuthenticatedClient | Client,
    response: httpx.Response,
) -> T | None:
    """Return the parsed response; None for a status or a body that the API description does not describe."""
    try:
        return parse(client=client, response=response)
    except (errors.UnexpectedStatus, *_UNREADABLE):
        return None


def parse_or_raise(
    parse: Callable[..., T],
    *,
    client: AuthenticatedClient | Client,
    response: httpx.Response,
) -> T | None:
    """Return the parsed response, as parse_or_none if Client.raise_on_unexpected_status is False.

    Raises:
        errors.UnexpectedStatus: If the status is not in the API description.
        errors.UnexpectedResponse: If the body cannot be decoded as the API description says.
    """
    try:
        return parse(client=client, response=response)
    except _UNREADABLE:
        if not client.raise_on_unexpected_status:
            return None
    raise unexpected(errors.UnexpectedResponse, client, response)


def unexpected(
    kind: type[E],
    client: AuthenticatedClient | Client,
    response: httpx.Response,
    content: bytes | None = None,
) -> E:
    """Return an error of this class for the response, whose body is content, by default all of it."""
    content = response.content if content is None else content
    content_type = response.headers.get("content-type", "no content type")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = (
            content.decode(errors="replace")
            if content_type.startswith("text/plain")
            else None
        )
    what = f"Unexpected response: status {response.status_code}, {content_type}, {len(content)} bytes"
    return _failure(kind, what, data, client, response, content=content)


def _failure(
    kind: type[E],
    what: str,
    reported: Any,
    client: AuthenticatedClient | Client,
    response: httpx.Response,
    **attributes: Any,
) -> E:
    """Return an error of this class: what happened, then the server's message in the JSON that it reported."""
    said = _shown(client, _message(reported), MAX_MESSAGE_LENGTH)
    if isinstance(reported, dict) and (
        response.is_error or reported.get("error") is not None
    ):
        try:
            attributes["parsed"] = _models.ErrorResponse.from_dict(reported)
        except _UNREADABLE:
            pass
    attributes |= {"status_code": response.status_code, "headers": response.headers}
    found = kind(
        f"{_shown(client, what, MAX_MESSAGE_LENGTH)}{': ' if said else ''}{said}",
        **attributes,
    )
    if found.request_id:
        found.args = (f"{found} (request {_shown(client, found.request_id, 100)})",)
    return found


def _message(data: Any) -> str:
    """Return the server's message in what it sent as an error; empty for none."""
    for _ in range(4):
        if isinstance(data, list):
            data = data[0] if data else None
        elif isinstance(data, dict):
            inner = data.get("error")
            # Text under `error` can be a label, with the message beside it.
            names = ("message", "detail", "msg", "error")
            data = (
                inner
                if isinstance(inner, (dict, list))
                else next(filter(None, map(data.get, names)), None)
            )
    return data if isinstance(data, str) else ""


def _shown(client: AuthenticatedClient | Client, text: str, most: int) -> str:
    """Return the text on one line, printable, without the token, most characters long."""
    # Cut last: a part of the token would not be found.
    text = client.hide_credentials(text)
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


class _Stream(Generic[T]):
    """What both streams have in common: the request, the client that sends it, and how an event is read."""

    _HOW = "with"

    def __init__(
        self,
        client: AuthenticatedClient | Client,
        request: dict[str, Any],
        from_dict: Callable[[Mapping[str, Any]], T],
    ) -> None:
        self._client = client
        self._request = request
        self._from_dict = from_dict
        self._response: httpx.Response | None = None

    @property
    def headers(self) -> httpx.Headers:
        """Headers of the response."""
        return self._opened().headers

    def _opened(self) -> httpx.Response:
        if self._response is None:
            raise RuntimeError(
                f"the request is not sent yet: open the stream with `{self._HOW} stream as events:`, "
                "and iterate over events inside"
            )
        return self._response

    def _read(self, data: str, *, is_error: bool) -> T:
        """Return the event as a model. Raises errors.ErrorEvent and errors.InvalidEvent."""
        try:
            value, end = _decode(data)
            if (
                end == len(data)
                and isinstance(value, dict)
                and value.get("error") is None
                and not is_error
            ):
                return self._from_dict(value)
        except _UNREADABLE:
            pass
        raise self._unread(data, is_error)

    def _unread(self, data: str, is_error: bool) -> errors.StreamError:
        """Return why the event is not what was asked for."""
        value: Any = data
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            pass  # Text is an error too, in an event that is named so.
        inner = value[0] if isinstance(value, list) and value else value
        error = inner.get("error") if isinstance(inner, dict) else None
        if error is None and is_error:
            error = inner
        if error is not None:
            what = "The server reported an error inside the stream"
            return self._failure(errors.ErrorEvent, what, {"error": error}, error=error)
        what = (
            f"An event of the stream is not what was expected ({len(data)} characters)"
        )
        return self._failure(errors.InvalidEvent, what, data=data)

    def _failure(
        self, kind: type[E], what: str, reported: Any = None, **attributes: Any
    ) -> E:
        return _failure(
            kind, what, reported, self._client, self._opened(), **attributes
        )


class EventStream(_Stream[T]):
    """The events of a response as models: a context manager that sends the request, to be iterated over once.

    Raises:
        errors.APIError, httpx.RequestError: When entered or iterated over; see the function that
            returned it.
    """

    def __enter__(self) -> Self:
        """Send the request, and return self once the response has begun."""
        http = self._client.get_httpx_client()
        response = http.send(
            self._client.build_request(http, **self._request), stream=True
        )
        try:
            if not _is_event_stream(response):
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) >= MAX_BODY_BYTES:
                        break
                raise unexpected(
                    errors.UnexpectedResponse,
                    self._client,
                    response,
                    bytes(content[:MAX_BODY_BYTES]),
                )
        except BaseException:
            response.close()
            raise
        self._response = response
        self._events = self._iterate(response)
        return self

    def __exit__(self, *args: object) -> None:
        """Close the response, and its connection if it was left before its end."""
        self._events.close()
        self._opened().close()

    def __iter__(self) -> Iterator[T]:
        """Return the iterator over the events; a second loop continues where the first stopped."""
        self._opened()
        return self._events

    def _iterate(self, response: httpx.Response) -> Generator[T, None, None]:
        reader = EventReader(self._failure)
        # Named, because the response is closed as soon as nothing refers to the iterator.
        parts = response.iter_bytes()
        for part in parts:
            for data in reader.feed(part):
                yield self._read(data, is_error=reader.is_error)
            if reader.done:
                break
        else:
            reader.end()
        _drain(response)


class AsyncEventStream(_Stream[T]):
    """As EventStream, for an event loop.

    It is not an asynchronous generator: a loop that shuts down closes all of these at once, and one
    that waits for another then fails.
    """

    _HOW = "async with"

    async def __aenter__(self) -> Self:
        """Send the request, and return self once the response has begun."""
        http = self._client.get_async_httpx_client()
        response = await http.send(
            self._client.build_request(http, **self._request), stream=True
        )
        try:
            if not _is_event_stream(response):
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) >= MAX_BODY_BYTES:
                        break
                raise unexpected(
                    errors.UnexpectedResponse,
                    self._client,
                    response,
                    bytes(content[:MAX_BODY_BYTES]),
                )
        except BaseException:
            await response.aclose()
            raise
        self._response = response
        self._parts = response.aiter_bytes()
        self._reader = EventReader(self._failure)
        self._found: Iterator[str] = iter(())
        self._is_over = False
        return self

    async def __aexit__(self, *args: object) -> None:
        """Close the response, and its connection if it was left before its end."""
        self._is_over = True
        await self._opened().aclose()

    def __aiter__(self) -> Self:
        """Return self; a second loop continues where the first stopped."""
        self._opened()
        return self

    async def __anext__(self) -> T:
        """Return the next event."""
        self._opened()
        if self._is_over:
            raise StopAsyncIteration
        self._is_over = True  # Unless there is another event: none follows an error.
        while not self._reader.done:
            for data in self._found:
                event = self._read(data, is_error=self._reader.is_error)
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


class EventReader:
    """Finds the data of server-sent events in bytes, wherever these are split.

    The format is that of the HTML standard. Of the fields, only data and the name `error` count.

    Args:
        fail: Returns the error of a class with a message.

    Attributes:
        done: Whether [DONE] arrived. What follows it is ignored.
        is_error: Whether the event whose data was yielded last is named `error`.
    """

    def __init__(
        self, fail: Callable[[type[errors.StreamError], str], errors.StreamError]
    ) -> None:
        self.done = False
        self.is_error = False
        self._fail = fail
        self._line: list[bytes] = []  # Parts of a line that is not complete.
        self._data: list[bytes] = []  # Data lines of an event that is not complete.
        self._at_start = True
        self._after_return = False
        self._left = MAX_EVENT_BYTES

    def feed(self, part: bytes) -> Iterator[str]:
        """Yield the data of each event that the part completes."""
        self._left -= len(part)
        if self._left < 0:
            raise self._fail(
                errors.EventTooLarge, "Too many bytes arrived without a complete event"
            )
        if self._after_return or b"\r" in part:
            part = self._with_newlines(part)
        lines = part.split(b"\n")
        if len(lines) == 1:
            self._line.append(part)
            return
        lines[0] = b"".join([*self._line, lines[0]])
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        self._line = [lines.pop()]
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line:
                if self._data:
                    data = b"\n".join(self._data).decode("utf-8", "replace").strip()
                    self._data.clear()
                    self._left = MAX_EVENT_BYTES
                    if data == _DONE:
                        self.done = True
                        return
                    if data:
                        yield data
                self.is_error = False
            elif line.startswith(b"event:"):
                self.is_error = line[6:].strip() == b"error"

    def end(self) -> None:
        """Check that the stream may end here: after [DONE], with or without the blank line that ends an event."""
        for _ in self.feed(b"\n\n"):
            break
        if not self.done:
            raise self._fail(errors.IncompleteStream, "The stream ended without [DONE]")

    def _with_newlines(self, part: bytes) -> bytes:
        """Return the part with a newline for each end of line; a return may be half of one."""
        if not part:
            return part  # It says nothing of what follows a return.
        if self._after_return:
            part = part.removeprefix(b"\n")
        self._after_return = part.endswith(b"\r")
        return part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _drain(response: httpx.Response) -> None:
    """Read what little follows [DONE]. A response that does not end soon is left to be closed."""
    # A closed response was read to its end; another request may use its connection by now.
    if response.is_closed:
        return
    # Only a new iteration takes the new read time-out; it continues where the first stopped.
    response.request.extensions["timeout"]["read"] = DRAIN_SECONDS
    end = time.monotonic() + DRAIN_SECONDS
    left = DRAIN_BYTES
    try:
        for part in cast(httpx.SyncByteStream, response.stream):
            left -= len(part)
            if left < 0 or time.monotonic() > end:
                break
    except (httpx.HTTPError, httpx.StreamError):
        pass  # The reply is complete; the connection is not used again.


async def _adrain(parts: AsyncIterator[bytes]) -> None:
    """As _drain, for an event loop."""
    import asyncio  # Here, because the sync functions do not need it.

    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in parts:
                left -= len(part)
                if left < 0:
                    break
    except (httpx.HTTPError, httpx.StreamError, TimeoutError):
        pass  # The reply is complete; the connection is not used again.


def _is_event_stream(response: httpx.Response) -> bool:
    content_type = (
        response.headers.get("content-type", "").partition(";")[0].strip().lower()
    )
    return response.status_code == 200 and content_type == "text/event-stream"


def text(reply: ChatCompletionResponse | ChatCompletionChunk) -> str:
    """Return the text of a reply, or what a chunk adds to it; of several, the first reply. Empty for no text.

    Example:
        with sync_stream(client=client, body=body) as chunks:
            for chunk in chunks:
                print(text(chunk), end="")
    """
    for choice in reply.choices or ():
        if not choice.index:
            part: Any = getattr(choice, "message", None) or getattr(
                choice, "delta", None
            )
            found = part.content if part else None
            return found if isinstance(found, str) else ""
    return ""
