"""How a request reaches a server: tried again when that is safe, then at the next server.

Nothing is tried again once a byte of an answer was passed on, nor after a read timeout: the
server may be working on the request, and bill it.
"""

import asyncio
import re
import sys
import time
from contextlib import suppress

import click
import httpx
from httpx_retries import Retry, RetryTransport

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504, *range(520, 530)})
"""Statuses after which the same request may succeed."""

FAILOVER_STATUSES = frozenset({502, 503, 504, *range(520, 530)})
"""Statuses after which another server may succeed."""

_UNREACHABLE = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)

# Which of a list of servers answered last, for the life of the process.
_answered: dict[tuple[str, ...], str] = {}


def retry_policy(retries: int, max_wait: float, *, asynchronous: bool) -> Retry:
    """Return the policy: tries after the first, at most; seconds to wait for one, at most."""
    return _Policy(
        total=retries,
        allowed_methods=["POST"],
        retry_on_exceptions=(*_UNREACHABLE, _TryAgainError),
        backoff_factor=0.25,
        backoff_jitter=0.5,
        max_backoff_wait=max_wait,
        validate_response=_ajudge if asynchronous else _judge,
    )


class _TryAgainError(Exception):
    """Tells the policy that a response, now read, is one to try again after."""


class _WaitTooLongError(Exception):
    """Tells the transport that a server asks for a longer wait than anyone sits through."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response


class _Policy(Retry):
    """Which responses and failures are tried again, and after which wait."""

    def is_retryable_status_code(self, status_code: int) -> bool:
        """Leave it to validate_response: the advice in the body has to be read."""
        return False

    def is_retryable_exception(self, exception: Exception) -> bool:
        """Return whether trying again can help; a certificate stays what it is."""
        return super().is_retryable_exception(exception) and "CERTIFICATE" not in str(exception)

    def sleep(self, response: httpx.Response | Exception) -> None:
        """Wait before the next try. Raises _WaitTooLongError."""
        time.sleep(self._wait(response))

    async def asleep(self, response: httpx.Response | Exception) -> None:
        """As sleep, for an event loop."""
        await asyncio.sleep(self._wait(response))

    def _wait(self, response: httpx.Response | Exception) -> float:
        """Return the seconds to wait, told to a person who watches when more than one."""
        seconds, reason = self.backoff_strategy(), "The connection failed"
        if isinstance(response, httpx.Response):
            reason = f"EvoLink answered {response.status_code}"
            seconds = self._advised(response, seconds)
            if seconds > self.max_backoff_wait:
                raise _WaitTooLongError(response)
        if seconds > 1 and sys.stderr.isatty() and click.get_current_context(silent=True):
            click.echo(f"{reason}; trying again in {seconds:.0f} s", err=True)
        return seconds

    def _advised(self, response: httpx.Response, default: float) -> float:
        """Return the seconds that the server asks for, in the header or else in its advice."""
        if header := response.headers.get("retry-after"):
            with suppress(ValueError):
                return self.parse_retry_after(header)
        found = re.search(r"retry after (\d{1,9}) second", response.text[:10_000])
        return float(found[1]) if found else default


def _judge(response: httpx.Response) -> None:
    if response.status_code in RETRY_STATUSES:
        response.read()
        raise _TryAgainError


async def _ajudge(response: httpx.Response) -> None:
    if response.status_code in RETRY_STATUSES:
        await response.aread()
        raise _TryAgainError


class _Servers:
    """The servers of a request, and what both transports do around sending it to one."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self._servers = servers

    def _in_order(self) -> list[str]:
        """Return the servers, the one that answered last first."""
        first = _answered.get(self._servers)
        return sorted(self._servers, key=lambda server: server != first)

    def _aim(self, request: httpx.Request, server: str) -> None:
        url = httpx.URL(server)
        request.url = request.url.copy_with(scheme=url.scheme, host=url.host, port=url.port)
        request.headers["Host"] = url.netloc.decode("ascii")

    def _answers(self, server: str, response: httpx.Response) -> bool:
        """Return whether the response is an answer, not a reason to try another server."""
        if response.status_code in FAILOVER_STATUSES:
            return False
        _answered[self._servers] = server
        return True


class Transport(_Servers, httpx.BaseTransport):
    """Sends a request to the servers in turn, until one answers."""

    def __init__(self, inner: httpx.HTTPTransport, servers: tuple[str, ...], retry: Retry) -> None:
        super().__init__(servers)
        self._retrying = RetryTransport(inner, retry)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer, else what the last server says. Raises httpx.TransportError."""
        *others, last = self._in_order()
        for server in others:
            with suppress(*_UNREACHABLE):
                response = self._send(request, server)
                if self._answers(server, response):
                    return response
                response.close()
        response = self._send(request, last)
        self._answers(last, response)
        return response

    def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        self._aim(request, server)
        try:
            return self._retrying.handle_request(request)
        except _WaitTooLongError as too_long:
            return too_long.response

    def close(self) -> None:
        """Close the connections."""
        self._retrying.close()


class AsyncTransport(_Servers, httpx.AsyncBaseTransport):
    """As Transport, for an event loop."""

    def __init__(
        self, inner: httpx.AsyncHTTPTransport, servers: tuple[str, ...], retry: Retry
    ) -> None:
        super().__init__(servers)
        self._retrying = RetryTransport(inner, retry)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer, else what the last server says. Raises httpx.TransportError."""
        *others, last = self._in_order()
        for server in others:
            with suppress(*_UNREACHABLE):
                response = await self._send(request, server)
                if self._answers(server, response):
                    return response
                await response.aclose()
        response = await self._send(request, last)
        self._answers(last, response)
        return response

    async def _send(self, request: httpx.Request, server: str) -> httpx.Response:
        self._aim(request, server)
        try:
            return await self._retrying.handle_async_request(request)
        except _WaitTooLongError as too_long:
            return too_long.response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._retrying.aclose()
