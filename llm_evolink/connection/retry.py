"""Which requests are sent again, and after which delay."""

import asyncio
import re
import sys
import time
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz

import click
import httpx
from httpx_retries import Retry

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 530)})
"""Statuses after which the same request may succeed."""

_UNREACHABLE = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
    httpx.ReadError,
    httpx.WriteError,
)


def is_unreachable(failure: Exception) -> bool:
    """Return whether the server was not reached, or broke the connection before it answered."""
    if isinstance(failure, httpx.RemoteProtocolError):
        return "without sending a response" in str(failure)
    return isinstance(failure, _UNREACHABLE)


def retry_policy(retries: int, max_wait: float) -> Retry:
    """Return the policy: tries after the first, at most; seconds to wait for one, at most."""
    return _Policy(
        total=retries,
        allowed_methods=["POST"],
        backoff_factor=0.25,
        backoff_jitter=0.5,
        max_backoff_wait=max_wait,
        status_forcelist=RETRY_STATUSES,
    )


class WaitTooLongError(Exception):
    """Tells the transport that a server asks for a longer wait than anyone sits through."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response


class _Policy(Retry):
    """Which responses and failures are tried again, and after which wait."""

    def is_retryable_exception(self, exception: Exception) -> bool:
        """Return whether trying again can help; a certificate stays what it is."""
        return is_unreachable(exception) and "CERTIFICATE" not in str(exception)

    def sleep(self, response: httpx.Response | Exception) -> None:
        """Wait before the next try. Raises WaitTooLongError."""
        time.sleep(self._wait(response))

    async def asleep(self, response: httpx.Response | Exception) -> None:
        """As sleep, for an event loop."""
        await asyncio.sleep(self._wait(response))

    def _wait(self, response: httpx.Response | Exception) -> float:
        """Return the seconds to wait, told to a person who watches when more than one."""
        seconds, reason = self.backoff_strategy(), "The connection failed"
        if isinstance(response, httpx.Response):
            reason = f"EvoLink answered {response.status_code}"
            advised = _advised_wait(response)
            seconds = seconds if advised is None else advised
            if seconds > self.max_backoff_wait:
                raise WaitTooLongError(response)
        if seconds > 1 and click.get_current_context(silent=True) and sys.stderr.isatty():
            click.echo(f"{reason}; trying again in {seconds:.0f} s", err=True)
        return seconds


def _advised_wait(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks for, in the header or else in its advice."""
    header = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
        return float(header)
    with suppress(ValueError, OverflowError):
        if date := parsedate_tz(header):
            return max(0.0, mktime_tz(date) - time.time())
    found = re.search(rb"retry after ([0-9]{1,9}) second", response.content, re.IGNORECASE)
    return float(found[1]) if found else None
