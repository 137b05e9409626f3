"""Errors that the API functions raise"""

import httpx


class UnexpectedStatus(Exception):
    """Raised by api functions when the response status an undocumented status and Client.raise_on_unexpected_status is True"""

    def __init__(self, status_code: int, content: bytes):
        self.status_code = status_code
        self.content = content

        super().__init__(
            f"Unexpected status code: {status_code}\n\nResponse content:\n{content.decode(errors='ignore')}"
        )


class UnexpectedResponse(Exception):
    """Raised for a response that is not what was asked for: by the streaming functions for any
    that is not an event stream with status 200, by the others, when
    Client.raise_on_unexpected_status is True, for a body that does not fit the document.

    Attributes:
        status_code: The HTTP status.
        headers: The response's headers.
        content: The response's body, at most responses.MAX_BODY_BYTES of it.
    """

    def __init__(self, status_code: int, headers: httpx.Headers, content: bytes):
        self.status_code = status_code
        self.headers = headers
        self.content = content

        # What the server said is left to the caller: it can hold what must not be shown.
        super().__init__(
            f"Unexpected response: status {status_code}, {headers.get('content-type', 'no content type')}, {len(content)} bytes"
        )


class StreamError(Exception):
    """Base class of what can go wrong inside an event stream"""


class InvalidEvent(StreamError):
    """Raised for an event that does not fit the document.

    Attributes:
        data: The event's data.
    """

    def __init__(self, data: str):
        self.data = data
        super().__init__(
            f"An event of the stream is not what was expected ({len(data)} characters)"
        )


class EventTooLarge(StreamError):
    """Raised when more than responses.MAX_EVENT_BYTES came without a complete event"""


class IncompleteStream(StreamError):
    """Raised when the stream ended without [DONE]"""


__all__ = [
    "EventTooLarge",
    "IncompleteStream",
    "InvalidEvent",
    "StreamError",
    "UnexpectedResponse",
    "UnexpectedStatus",
]
