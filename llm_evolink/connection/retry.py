"""Which requests are sent again, and after which delay.

A request that a server may have worked on is not sent again: it may be billed. Once it is written,
it is sent again only if the server refuses it with one of RETRY_STATUSES, or if the connection is
dropped within DROP_SECONDS; never after a byte of a response. A reused connection that turns out to
be closed is dropped at once.
"""

import random
import time
from typing import NamedTuple

import httpx

from ..failures import is_quota_used_up
from .network import Exchange

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 521, 522, 523, 529})
"""HTTP statuses with which a server refuses a request that may succeed later.

Not 504, 520 and 524: the server behind the gateway may have worked.
"""

FAILOVER_STATUSES = frozenset({502, 503, 521, 522, 523, 529})
"""Those of RETRY_STATUSES after which another server may succeed."""

DROP_SECONDS = 1.0
"""Seconds after a request was written; if its connection drops later, it may have been billed."""

_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
_DROPPED = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class RetryPolicy(NamedTuple):
    """How often a request is sent again to a server.

    Attributes:
        retries: Attempts after the first, at each server.
        max_delay: Maximum delay before another attempt, in seconds.
    """

    retries: int
    max_delay: float

    def delay_after(self, attempt: int, outcome: httpx.Response | Exception) -> float | None:
        """Return the seconds until the next attempt after this one (1 is the first); None for none.

        The outcome must be safe to send again (see is_safe).
        """
        if attempt > self.retries:
            return None
        backoff: float = min(0.25 * 2**attempt * random.uniform(0.5, 1), self.max_delay)  # noqa: S311
        if isinstance(outcome, Exception):
            # Another attempt does not change a certificate.
            return None if "CERTIFICATE" in str(outcome) else backoff
        from ..retry_after import retry_after  # Few responses are sent again.

        advised = retry_after(outcome.headers, outcome.content)
        if advised is None:
            return backoff
        return advised if advised <= self.max_delay else None


def is_safe(outcome: httpx.Response | Exception, exchange: Exchange) -> bool:
    """Return True if the request was certainly not worked on and may be sent again."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in RETRY_STATUSES and not is_quota_used_up(outcome.content)
    if isinstance(outcome, _NOT_REACHED):
        return True
    if not isinstance(outcome, _DROPPED) or exchange.received:
        return False
    if exchange.written_at is None:
        return True
    return time.monotonic() - exchange.written_at < DROP_SECONDS
