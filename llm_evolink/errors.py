"""Errors of the plugin, one class for each type of failure.

The statuses and the form of an error body are those of the document (ErrorResponse).
"""

from typing import Any, ClassVar

import click
import llm

from .redaction import Redactor
from .text import clean

MAX_TEXT = 500
"""Maximum number of characters of a server's text that are shown."""

DOCTOR = "check with: llm evolink doctor"
"""Instruction of errors whose cause can be in the installation or the network."""


class EvolinkError(llm.ModelError, click.ClickException):
    """A prompt failed. The message says what happened, then what to do about it.

    llm prints it as one line, `Error: …`, and exits with status 1, for a prompt and in `llm chat`.

    Attributes:
        reason: What happened, without what to do about it.
        note: What the plugin knows besides, such as that the request may have been billed.
        status_code: HTTP status, None when there was no response.
        type: The server's type of error, such as rate_limit_error.
        param: Name of the request parameter that the server objects to.
        request_id: Id of the request, which EvoLink's support asks for.
        fallback_suggestion: The server's own suggestion.
        retry_after: Delay in seconds that the server asks for before a retry; None without one.
        may_be_billed: Whether the server may have worked on the request.
    """

    prefix: ClassVar[str] = ""
    suggestion: ClassVar[str] = ""  # Shown unless the server makes its own.
    instruction: ClassVar[str] = ""  # Shown beside the server's suggestion.
    may_be_billed = False

    def __init__(
        self,
        reason: str,
        *,
        note: str | None = None,
        status_code: int | None = None,
        type: str | None = None,  # noqa: A002  the document's own word
        param: str | None = None,
        request_id: str | None = None,
        fallback_suggestion: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.reason = reason
        self.note = note
        self.status_code = status_code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.fallback_suggestion = fallback_suggestion
        self.retry_after = retry_after
        suggested = fallback_suggestion and f"the server suggests: {fallback_suggestion}"
        parts = (
            self.prefix + reason.rstrip(". "),
            note,
            suggested or self.suggestion,
            self.instruction,
        )
        facts = {"status": status_code, "param": param, "request": request_id}
        where = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)
        super().__init__("; ".join(filter(None, parts)) + (f" ({where})" if where else ""))

    def __reduce__(self) -> Any:  # noqa: D105  pickle and copy would build the message again
        return Exception.__new__, (type(self), *self.args), vars(self)

    def completed(self, *, redactor: Redactor, request_id: str | None) -> "EvolinkError":
        """Return the error with the id of its request, each text redacted, printable and short."""

        def shown(text: str | None) -> str | None:
            # Cut last: a part of the key would not be recognized. Each text by itself: a server's
            # can end inside the key.
            text = text and clean(redactor.excerpt(text))
            return text[: MAX_TEXT - 1] + "…" if text and len(text) > MAX_TEXT else text

        completed = type(self)(
            shown(self.reason) or "",
            note=shown(self.note),
            status_code=self.status_code,
            type=shown(self.type),
            param=shown(self.param),
            request_id=shown(self.request_id or request_id),
            fallback_suggestion=shown(self.fallback_suggestion),
            retry_after=self.retry_after,
        )
        completed.may_be_billed = self.may_be_billed
        return completed


class MissingKeyError(EvolinkError, llm.NeedsKeyException):
    """No API key was given."""

    instruction = DOCTOR


class InvalidRequestError(EvolinkError):
    """The prompt, an option or a setting cannot be sent, or the server refuses it (400, 422)."""


class AuthenticationError(EvolinkError):
    """The key is not valid, or has expired (401)."""

    instruction = f"set another key with: llm keys set evolink; {DOCTOR}"


class QuotaError(EvolinkError):
    """The account's quota is used up (402)."""

    suggestion = "top up at https://evolink.ai/dashboard/billing"


class AccessError(EvolinkError):
    """The key has no permission for the request (403)."""


class NotFoundError(EvolinkError):
    """The server has no such URL or model (404)."""

    suggestion = "check EVOLINK_BASE_URL"


class TooLargeError(EvolinkError):
    """The request is too large (413)."""

    suggestion = "an image may have 10 MB"


class RateLimitError(EvolinkError):
    """Too many requests (429)."""

    suggestion = "try again later"


class ServerError(EvolinkError):
    """The server, or the service behind it, failed (5xx)."""

    suggestion = "try again later"


class UnreachableError(EvolinkError):
    """The server could not be reached, or broke the connection before it answered."""

    instruction = DOCTOR


class CertificateError(UnreachableError):
    """The server's certificate is not trusted, or not for this server."""

    suggestion = "SSL_CERT_FILE can name a file with the CA certificate to trust"


class TimedOutError(EvolinkError):
    """The server sent no data for too long; what was shown of an answer is incomplete."""

    suggestion = "try again, or allow more seconds with -o timeout or EVOLINK_TIMEOUT"
    may_be_billed = True


class IncompleteReplyError(EvolinkError):
    """The reply ended early: what was shown is not the complete answer."""

    prefix = "The answer is incomplete: "
    suggestion = "try again"
    may_be_billed = True


class ContentFilterError(EvolinkError):
    """A content filter withheld the answer."""

    suggestion = "rephrase the prompt"
    may_be_billed = True


class BadReplyError(EvolinkError):
    """The reply is not what the document describes."""

    may_be_billed = True


class NoReplyError(BadReplyError):
    """The response is not from the API; it can be a login page."""

    suggestion = "check EVOLINK_BASE_URL, and whether the network wants a login"
    may_be_billed = False
