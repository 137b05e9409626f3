"""Errors of the API functions. All are APIError; failures of the connection are httpx's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from .models.error_response import ErrorResponse

REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
"""Headers that can hold the id of a request, in order of preference."""


class APIError(Exception):
    """Base class: the server sent something else than the reply that was asked for.

    The message holds at most 500 characters of the server's own message, and never the client's
    token. The attributes are as the server sent them.

    Attributes:
        status_code (int): HTTP status; 200 for an error inside a stream.
        headers (httpx.Headers): Headers of the response.
        content (bytes): Body of the response, at most responses.MAX_BODY_BYTES; empty for a stream.
        parsed (ErrorResponse | None): The error as the API description has it; None
            for anything else.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: httpx.Headers,
        content: bytes = b"",
        parsed: ErrorResponse | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self.parsed = parsed

    @property
    def request_id(self) -> str | None:
        """Id of the request, from the headers; None without one. Support asks for it."""
        return next(filter(None, map(self.headers.get, REQUEST_ID_HEADERS)), None)

    def __reduce__(self) -> Any:
        # Exception's own way calls __init__ with the message alone.
        return Exception.__new__, (type(self), *self.args), vars(self)


class UnexpectedResponse(APIError):
    """The response is not what was asked for.

    The streaming functions raise it for anything but an event stream with status 200. The others
    raise it, unless Client.raise_on_unexpected_status is False, for a body that cannot be decoded as
    the API description says.
    """


class UnexpectedStatus(UnexpectedResponse):
    """The status of the response is not in the API description."""


class StreamError(APIError):
    """Base class of what can go wrong inside an event stream. The events before it were delivered."""


class ErrorEvent(StreamError):
    """The server reported an error inside the stream: the reply is incomplete.

    Attributes:
        error (Any): The error as decoded JSON, an object or text: the event's member `error`, or the
            data of an event that is named `error`.
    """

    def __init__(self, message: str, *, error: Any, **response: Any) -> None:
        super().__init__(message, **response)
        self.error = error


class InvalidEvent(StreamError):
    """An event cannot be decoded as the API description says.

    Attributes:
        data (str): Data of the event.
    """

    def __init__(self, message: str, *, data: str, **response: Any) -> None:
        super().__init__(message, **response)
        self.data = data


class EventTooLarge(StreamError):
    """More than responses.MAX_EVENT_BYTES arrived without a complete event."""


class IncompleteStream(StreamError):
    """The stream ended without [DONE]."""


__all__ = [
    "APIError",
    "ErrorEvent",
    "EventTooLarge",
    "IncompleteStream",
    "InvalidEvent",
    "StreamError",
    "UnexpectedResponse",
    "UnexpectedStatus",
]
