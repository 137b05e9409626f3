"""Turns an exception or an error response into an EvolinkError."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .constants import FAILED_HEADER, REQUEST_ID_HEADERS
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
from .text import MAX_PAGE_BYTES, clean, shorten

# Imported on use, because every prompt imports this module: error_report, retry_after.
if TYPE_CHECKING:
    import httpx

    from .error_report import ErrorReport


MAY_BE_BILLED = "evolink_may_be_billed"
"""Name of the request extension that is true if the server may have worked on the request."""

FAILED = "evolink_failed"
"""Name of the request extension that lists the servers that failed before the last, and why."""

BILLED = "the request may have been billed"
"""What the message of an error adds when nothing of the answer arrived."""

# The server behind a gateway may have worked.
_BILLED_STATUSES = (504, 520, 524)

# Compiled when it is needed: every prompt imports this module.
_QUOTA = (
    rb"(?i)insufficient[_ ](?:user[_ ])?(?:quota|balance|credit)|exceeded your current quota|"
    rb"per_?day|daily (?:limit|quota)|quota[_ ](?:exhausted|not[_ ]enough)|billing_hard_limit"
)

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
    """Return the EvolinkError of an exception; one that is a defect of the plugin is raised.

    Args:
        failure: What ended the prompt.
        began: Whether a part of the reply was read.
    """
    import httpx

    from generated_client import errors as client_errors

    if isinstance(failure, EvolinkError):
        return _incomplete(failure) if began else failure
    if isinstance(failure, httpx.RequestError):
        is_timeout = isinstance(failure, httpx.TimeoutException)
        error_class, reason = (_timed_out if is_timeout else _broken)(failure, began)
        failed = failure.request.extensions.get(FAILED)
        may_be_billed = bool(failure.request.extensions.get(MAY_BE_BILLED))
        error = error_class(
            reason, note=_note(may_be_billed and not began, "; ".join(failed or ()))
        )
        error.may_be_billed = began or may_be_billed
        return error
    if isinstance(failure, client_errors.EventTooLarge):
        return IncompleteReplyError("the server sent an event that is too large")
    if isinstance(failure, client_errors.InvalidEvent):
        return IncompleteReplyError("the server sent an event that cannot be decoded")
    if isinstance(failure, client_errors.IncompleteStream):
        return IncompleteReplyError("the server stopped before it reported the end")
    if isinstance(failure, RecursionError):
        return IncompleteReplyError("the server sent data that is nested too deep")
    if isinstance(failure, UnicodeEncodeError):
        return InvalidRequestError(
            "The prompt contains an unpaired surrogate, which is not valid Unicode"
        )
    if isinstance(failure, ValueError) and "JSON compliant" in str(failure):
        return InvalidRequestError(
            "A tool, the schema or an option holds NaN or infinity, which JSON has no number for"
        )
    raise failure


def from_status(
    status_code: int, headers: Any, content: bytes, *, is_billable: bool = True
) -> EvolinkError:
    """Return the error of a response with this status, these headers and this body.

    With a status of 2xx, the error is that the response is not a reply. A request that is not
    billable, such as a GET, is not reported as possibly billed.
    """
    if status_code < 300:
        return not_a_reply(content)
    if status_code < 400:
        target = clean(headers.get("location")) or "another URL"
        redirects = f"The server redirects to {target}; redirects are not followed"
        return NoReplyError(redirects, status_code=status_code)
    from .retry_after import retry_after

    is_quota = status_code in (402, 403, 429, 503) and is_quota_used_up(content)
    may_be_billed = is_billable and status_code in _BILLED_STATUSES
    error = _build(
        QuotaError if is_quota else _class_of(status_code),
        _read_body(content),
        status_code,
        delay=retry_after(headers, content),
        note=_note(may_be_billed, headers.get(FAILED_HEADER)),
    )
    error.may_be_billed = may_be_billed
    return error


def is_quota_used_up(content: bytes) -> bool:
    """Return True if the body of an error reports a quota that waiting does not restore."""
    return bool(re.search(_QUOTA, content))


def from_report(error: Any) -> EvolinkError:
    """Return the error that JSON in a reply reports, of the class of the status in its code."""
    from .error_report import read_error

    report = read_error(error)
    status_code = report.status_code
    return _build(
        _class_of(status_code) if status_code else IncompleteReplyError, report, status_code
    )


def not_a_reply(content: bytes) -> EvolinkError:
    """Return the error of a body with status 2xx that is not a reply."""
    default = "a body without a message" if content.strip() else "an empty body"
    message = clean(_read_body(content).message) or default
    return NoReplyError(f"The server answered with something that is not a reply: {message}")


def _class_of(status_code: int) -> type[EvolinkError]:
    return _BY_STATUS.get(status_code, ServerError if status_code >= 500 else BadReplyError)


def _incomplete(error: EvolinkError) -> EvolinkError:
    """Return the error as one that occurred after a part of the reply."""
    if isinstance(error, (IncompleteReplyError, TimedOutError)):
        error.may_be_billed = True
        return error
    return IncompleteReplyError(
        error.reason,
        note=error.note,
        status_code=error.status_code,
        type=error.type,
        param=error.param,
        fallback_suggestion=error.fallback_suggestion,
        retry_after=error.retry_after,
    )


def _build(
    error_class: type[EvolinkError],
    report: ErrorReport,
    status_code: int | None,
    *,
    delay: float | None = None,
    note: str | None = None,
) -> EvolinkError:
    error = error_class(
        clean(report.message) or "EvoLink reported an error without a message",
        note=note,
        status_code=status_code,
        type=report.type,
        param=report.param,
        fallback_suggestion=report.fallback_suggestion,
        retry_after=delay,
    )
    # A server that reports an error and no part of an answer did no work.
    error.may_be_billed = status_code in _BILLED_STATUSES
    return error


def _note(may_be_billed: bool, failed: str | None) -> str:
    """Return that the request may have been billed, and which servers failed before, and why."""
    notes = (BILLED if may_be_billed else None, f"before that {failed}" if failed else None)
    return "; ".join(filter(None, notes))


def _broken(failure: httpx.RequestError, began: bool) -> tuple[type[EvolinkError], str]:
    import httpx

    reason = clean(str(failure)) or type(failure).__name__
    host = failure.request.url.netloc.decode("ascii")
    if began:
        return IncompleteReplyError, f"the connection broke ({reason})"
    if "CERTIFICATE" in reason:
        return CertificateError, f"Cannot reach {host}: {reason}"
    if isinstance(failure, httpx.ProxyError):
        return UnreachableError, f"Cannot reach {host} through the proxy: {reason}"
    if isinstance(failure, httpx.ConnectError):
        return UnreachableError, f"Cannot reach {host}: {reason}"
    return UnreachableError, f"The connection to {host} broke: {reason}"


def _timed_out(failure: httpx.RequestError, began: bool) -> tuple[type[EvolinkError], str]:
    import httpx

    url, limits = failure.request.url, failure.request.extensions["timeout"]
    if isinstance(failure, httpx.ConnectTimeout):
        return UnreachableError, f"Cannot reach {url.host} within {limits['connect']:g} s"
    no_progress = f"no progress from {url.host} for {limits['read']:g} s"
    if began:
        return TimedOutError, f"The answer is incomplete: {no_progress}"
    return TimedOutError, f"N{no_progress[1:]}"


def _read_body(content: bytes) -> ErrorReport:
    """Return the report of a body: JSON, the title of a web page, or text."""
    from .error_report import ErrorReport, read_error

    try:
        return read_error(json.loads(content))
    except (ValueError, RecursionError):
        text = shorten(content[: MAX_PAGE_BYTES + 1].decode("utf-8", "replace"))
        title = re.search("<title[^<>]*>([^<]+)", text, re.IGNORECASE)
        report = ErrorReport()
        report.message = re.sub("<[^<>]*>", " ", text)
        if title:
            report.message = f"The server answered with a web page: {title[1]}"
        return report


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id of the request from the response's headers, None without one."""
    return next(filter(None, map(headers.get, REQUEST_ID_HEADERS)), None)
