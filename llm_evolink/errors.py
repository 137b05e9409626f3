"""A failure, whatever its kind, as one error that says what happened and what to do.

The statuses and the shape of an error body are those of the document (ErrorResponse).
"""

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

import click
import llm

from .redaction import Redactor

if TYPE_CHECKING:
    import httpx

MAX_TEXT = 500
"""Most characters of a server's text that are shown."""

MAX_PAGE_BYTES = 2**20
"""Most of a page that is looked at, and of any other text from a server."""


class EvolinkError(llm.ModelError, click.ClickException):
    """Why a prompt failed: what happened, then what to do about it.

    llm shows it as one line, `Error: …`, and exits with 1, at the prompt and in `llm chat`.

    Attributes:
        status_code: HTTP status, None when there was no reply.
        type: The server's kind of error, such as rate_limit_error.
        param: The parameter that the server names.
        request_id: What EvoLink's support asks for.
        fallback_suggestion: The server's own advice.
    """

    what: ClassVar[str] = ""
    advice: ClassVar[str] = ""  # In place of the server's.
    remedy: ClassVar[str] = ""  # Beside the server's.

    def __init__(
        self,
        told: str,
        *,
        status_code: int | None = None,
        type: str | None = None,  # noqa: A002  the document's own word
        param: str | None = None,
        request_id: str | None = None,
        fallback_suggestion: str | None = None,
    ) -> None:
        self.told = told
        self.status_code = status_code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.fallback_suggestion = fallback_suggestion
        suggested = fallback_suggestion and f"the server suggests: {fallback_suggestion}"
        said = (self.what + told.rstrip(". "), suggested or self.advice, self.remedy)
        facts = {"status": status_code, "param": param, "request": request_id}
        where = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)
        super().__init__("; ".join(filter(None, said)) + (f" ({where})" if where else ""))

    def completed(self, *, redactor: Redactor, request_id: str | None) -> "EvolinkError":
        """Return the error with the request's id, and fit for a terminal: a short line, no key."""

        def fit(text: str | None) -> str | None:
            # Cut last: a part of the key would not be found.
            text = text and clean(redactor.text(text))
            return text[: MAX_TEXT - 1] + "…" if text and len(text) > MAX_TEXT else text

        return type(self)(
            fit(self.told) or "",
            status_code=self.status_code,
            type=fit(self.type),
            param=fit(self.param),
            request_id=fit(self.request_id or request_id),
            fallback_suggestion=fit(self.fallback_suggestion),
        )


class MissingKeyError(EvolinkError, llm.NeedsKeyException):
    """No API key was given."""


class InvalidRequestError(EvolinkError):
    """The prompt, an option or a setting cannot be sent, or the server refuses it (400, 422)."""


class AuthenticationError(EvolinkError):
    """The key is not valid, or has expired (401)."""

    remedy = "set another key with: llm keys set evolink"


class QuotaError(EvolinkError):
    """The account's quota is used up (402)."""

    advice = "top up at https://evolink.ai/dashboard/billing"


class AccessError(EvolinkError):
    """The key may not do this (403)."""


class NotFoundError(EvolinkError):
    """The address or the model is not there (404)."""

    advice = "check EVOLINK_BASE_URL"


class TooLargeError(EvolinkError):
    """The request is too large (413)."""

    advice = "an image may have 10 MB"


class RateLimitError(EvolinkError):
    """Too many requests (429)."""

    advice = "wait, then try again"


class ServerError(EvolinkError):
    """The server, or the service behind it, failed (5xx)."""

    advice = "try again later"


class UnreachableError(EvolinkError):
    """The server could not be reached, or broke the connection before it answered."""


class CertificateError(UnreachableError):
    """The server could not show that it is the one that was asked for."""

    advice = "SSL_CERT_FILE can name the file of an authority to trust"


class TimedOutError(EvolinkError):
    """The server was silent for too long; what was shown of an answer is not the whole."""

    advice = "try again, or set EVOLINK_TIMEOUT to more seconds"


class IncompleteReplyError(EvolinkError):
    """The reply broke off: what was shown is not the whole answer."""

    what = "The answer is incomplete: "
    advice = "try again"


class BadReplyError(EvolinkError):
    """The reply is not what the document describes."""


class NoReplyError(BadReplyError):
    """What answered is not the API: a login page, say."""

    advice = "check EVOLINK_BASE_URL, and whether the network wants a login"


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
    return _build(_kind(status_code), _read_body(content), status_code)


def from_event(error: Any) -> EvolinkError:
    """Return the error of an error object inside a reply, of the class of its code, a status."""
    told = _read_error(error)
    code = str(told.get("code"))
    status_code = int(code) if re.fullmatch("[45][0-9][0-9]", code) else None
    return _build(_kind(status_code) if status_code else IncompleteReplyError, told, status_code)


def not_a_reply(content: bytes) -> EvolinkError:
    """Return the error of a body that came as if it were a reply, and is none."""
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
    fields = {name: clean(told.get(name)) for name in ("type", "param", "fallback_suggestion")}
    message = clean(told.get("message")) or "EvoLink reported an error without saying which"
    return kind(message, status_code=status_code, **fields)


def _broken(failure: "httpx.RequestError", began: bool) -> EvolinkError:
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


def _timed_out(failure: "httpx.TimeoutException", began: bool) -> EvolinkError:
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


def clean(text: Any) -> str | None:
    """Return a server's text fit for a terminal, on one line; None for no text.

    Not printable are control characters, and those that turn the direction of text.
    """
    if not isinstance(text, str):
        return None
    text = text[:MAX_PAGE_BYTES]
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(text.split()) or None
