"""Turns an exception or an error response into one EvolinkError."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .constants import REQUEST_ID_HEADERS
from .errors import (
    AccessError,
    AuthenticationError,
    BadReplyError,
    CertificateError,
    EvolinkError,
    IncompleteReplyError,
    InvalidRequestError,
    NoReplyError,
    NotFoundError,
    QuotaError,
    RateLimitError,
    ServerError,
    TimedOutError,
    TooLargeError,
    UnreachableError,
)
from .retry_after import retry_after
from .text import MAX_PAGE_BYTES, clean

if TYPE_CHECKING:
    import httpx


_BY_STATUS: dict[int, type[EvolinkError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: QuotaError,
    403: AccessError,
    404: NotFoundError,
    413: TooLargeError,
    422: InvalidRequestError,
    429: RateLimitError,
}


def explain(failure: Exception, *, began: bool) -> EvolinkError:
    """Return the failure of a prompt as one error; one that is a defect of ours is raised.

    `began` tells whether some of the reply was read.
    """
    import httpx

    from generated_client import errors as wire

    if isinstance(failure, wire.ErrorEvent):
        failure = from_event(failure.error)
    if isinstance(failure, EvolinkError):
        return _incomplete(failure) if began else failure
    if isinstance(failure, httpx.TimeoutException):
        return _timed_out(failure, began)
    if isinstance(failure, httpx.RequestError):
        return _broken(failure, began)
    if isinstance(failure, wire.EventTooLarge):
        return IncompleteReplyError("the server sent data without an end")
    if isinstance(failure, wire.InvalidEvent):
        return IncompleteReplyError("the server sent what cannot be read")
    if isinstance(failure, wire.IncompleteStream):
        return IncompleteReplyError("the server stopped before it said that it had finished")
    if isinstance(failure, UnicodeEncodeError):
        return InvalidRequestError(
            "The prompt holds half of a surrogate pair, which cannot be sent"
        )
    raise failure


def from_status(status_code: int, headers: Any, content: bytes) -> EvolinkError:
    """Return the error of a reply with this status, not 200, these headers and this body."""
    if status_code < 300:
        return not_a_reply(content)
    if status_code < 400:
        target = clean(headers.get("location")) or "another address"
        redirects = f"The server redirects to {target}; redirects are not followed"
        return NoReplyError(redirects, status_code=status_code)
    error = _build(_kind(status_code), _read_body(content), status_code)
    error.retry_after = retry_after(headers, content)
    return error


def from_event(error: Any) -> EvolinkError:
    """Return the error of an error object inside a reply, of the class of its code, a status."""
    told = _read_error(error)
    code = str(told.get("code"))
    status_code = int(code) if re.fullmatch("[45][0-9][0-9]", code) else None
    return _build(_kind(status_code) if status_code else IncompleteReplyError, told, status_code)


def unread_reply(content: bytes) -> EvolinkError:
    """Return the error that a body with status 200 holds, or that it is not a reply."""
    with suppress(ValueError, RecursionError):
        data = json.loads(content)
        if isinstance(data, dict) and data.get("error") is not None:
            return from_event(data["error"])
    return not_a_reply(content)


def not_a_reply(content: bytes) -> EvolinkError:
    """Return the error of a body of a successful response that is not a reply."""
    nothing = "a body without a message" if content.strip() else "an empty body"
    said = clean(_read_body(content).get("message")) or nothing
    return NoReplyError(f"The server answered with something that is no reply: {said}")


def _kind(status_code: int) -> type[EvolinkError]:
    return _BY_STATUS.get(status_code, ServerError if status_code >= 500 else BadReplyError)


def _incomplete(error: EvolinkError) -> EvolinkError:
    """Return the error as one that came after a part of the reply."""
    if isinstance(error, (IncompleteReplyError, TimedOutError)):
        return error
    return IncompleteReplyError(
        error.told,
        status_code=error.status_code,
        type=error.type,
        param=error.param,
        fallback_suggestion=error.fallback_suggestion,
    )


def _build(kind: type[EvolinkError], told: dict[str, Any], status_code: int | None) -> EvolinkError:
    fields: dict[str, Any] = {
        name: clean(told.get(name)) for name in ("type", "param", "fallback_suggestion")
    }
    message = clean(told.get("message")) or "EvoLink reported an error without saying which"
    return kind(message, status_code=status_code, **fields)


def _broken(failure: httpx.RequestError, began: bool) -> EvolinkError:
    import httpx

    reason = clean(str(failure)) or type(failure).__name__
    host = failure.request.url.netloc.decode("ascii")
    if began:
        return IncompleteReplyError(f"the connection broke ({reason})")
    if "CERTIFICATE" in reason:
        return CertificateError(f"Cannot reach {host}: {reason}")
    if isinstance(failure, httpx.ProxyError):
        return UnreachableError(f"Cannot reach {host} through the proxy: {reason}")
    if isinstance(failure, httpx.ConnectError):
        return UnreachableError(f"Cannot reach {host}: {reason}")
    return UnreachableError(f"The connection to {host} broke: {reason}")


def _timed_out(failure: httpx.TimeoutException, began: bool) -> EvolinkError:
    import httpx

    url, limits = failure.request.url, failure.request.extensions["timeout"]
    if isinstance(failure, httpx.ConnectTimeout):
        return UnreachableError(f"Cannot reach {url.host} within {limits['connect']:g} s")
    silence = f"{url.host} was silent for {limits['read']:g} s"
    return TimedOutError(f"The answer is incomplete: {silence}" if began else silence)


def _read_body(content: bytes) -> dict[str, Any]:
    """Return what the body says of the error, under the names of ErrorResponse's error."""
    try:
        return _read_error(json.loads(content))
    except (ValueError, RecursionError):
        text = content[:MAX_PAGE_BYTES].decode("utf-8", "replace")
        title = re.search("<title[^<>]*>([^<]+)", text, re.IGNORECASE)
        page = f"The server answered with a web page: {title[1]}" if title else None
        return {"message": page or re.sub("<[^<>]*>", " ", text)}


def _read_error(data: Any) -> dict[str, Any]:
    """Return the error object within: under `error` or `detail`, the first of a list.

    Text under these is a label, or more words, where there is a message beside it.
    """
    for _ in range(5):
        if isinstance(data, list) and data:
            data = data[0]
        elif isinstance(data, dict) and (inner := data.get("error") or data.get("detail")):
            if data.get("message") and not isinstance(inner, (dict, list)):
                break
            data = inner
    if isinstance(data, dict):
        return {**data, "message": data.get("message") or data.get("msg")}
    return {"message": data}


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id of the request that these headers answer; None for none."""
    return next(filter(None, map(headers.get, REQUEST_ID_HEADERS)), None)
