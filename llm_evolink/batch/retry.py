"""Which failed requests of a batch are sent again, and when."""

import random

from ..errors import (
    AccessError,
    AuthenticationError,
    EvolinkError,
    InvalidRequestError,
    NotFoundError,
    QuotaError,
    TooLargeError,
)

TRIES = 3
"""Requests for a row before it fails; those refused with 429 or 503 do not count."""

BACKOFF = 0.5
"""Minimum seconds before the second try of a row, doubled before the third."""

FATAL = (AuthenticationError, QuotaError, AccessError, NotFoundError)
"""Errors that every row would get: they end the run."""

FINAL = (InvalidRequestError, TooLargeError)
"""Errors that the same request would get again."""

REFUSALS = (429, 503)
"""Statuses that ask for a pause of all requests."""


def is_refusal(error: Exception) -> bool:
    """Return whether the server asks for a pause, without having worked on the request."""
    refused = getattr(error, "status_code", None) in REFUSALS
    return refused and not getattr(error, "may_be_billed", False)


def retry_delay(error: Exception, tries: int) -> float | None:
    """Return the seconds before the next try of a row, None if it has failed.

    A request that may be billed is not sent again.
    """
    if not isinstance(error, EvolinkError) or isinstance(error, FINAL):
        return None
    if error.may_be_billed or tries >= TRIES:
        return None
    return BACKOFF * float(2 ** (tries - 1)) * random.uniform(1, 1.5)  # noqa: S311
