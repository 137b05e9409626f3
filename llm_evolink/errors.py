"""A failure, whatever its kind, as one error that says what happened and what to do.

The statuses and the shape of an error body are those of the document (ErrorResponse).
"""

from typing import ClassVar

import click
import llm

from .redaction import Redactor
from .text import clean

MAX_TEXT = 500
"""Most characters of a server's text that are shown."""


class EvolinkError(llm.ModelError, click.ClickException):
    """Why a prompt failed: what happened, then what to do about it.

    llm shows it as one line, `Error: …`, and exits with 1, at the prompt and in `llm chat`.

    Attributes:
        status_code: HTTP status, None when there was no reply.
        type: The server's kind of error, such as rate_limit_error.
        param: The parameter that the server names.
        request_id: What EvoLink's support asks for.
        fallback_suggestion: The server's own advice.
        retry_after: Seconds after which the server asks to be tried again; None if it names none.
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
        retry_after: float | None = None,
    ) -> None:
        self.told = told
        self.status_code = status_code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.fallback_suggestion = fallback_suggestion
        self.retry_after = retry_after
        suggested = fallback_suggestion and f"the server suggests: {fallback_suggestion}"
        said = (self.what + told.rstrip(". "), suggested or self.advice, self.remedy)
        facts = {"status": status_code, "param": param, "request": request_id}
        where = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)
        super().__init__("; ".join(filter(None, said)) + (f" ({where})" if where else ""))

    def completed(self, *, redactor: Redactor, request_id: str | None) -> "EvolinkError":
        """Return the error with the request's id, and fit for a terminal: a short line, no key."""

        def fit(text: str | None) -> str | None:
            # Cut last: a part of the key would not be found.
            text = text and clean(redactor.excerpt(text))
            return text[: MAX_TEXT - 1] + "…" if text and len(text) > MAX_TEXT else text

        return type(self)(
            fit(self.told) or "",
            status_code=self.status_code,
            type=fit(self.type),
            param=fit(self.param),
            request_id=fit(self.request_id or request_id),
            fallback_suggestion=fit(self.fallback_suggestion),
            retry_after=self.retry_after,
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
