"""How many requests are in flight, and when: adapts to the server's rate limit."""

import asyncio
import random
import time
from collections.abc import Callable

from .errors import BatchError

FIRST_LIMIT = 4
"""Requests in flight at the start."""

MAX_BACKOFF = 60.0
"""Maximum seconds to wait after a refusal that names no time."""

JITTER = 0.1
"""Maximum share by which a pause is made longer, so that two batches do not return together."""


class PauseTooLongError(BatchError):
    """The server names a time that is further away than anyone wants to wait."""


class Pace:
    """Decides when the next request may start.

    The limit of requests in flight doubles each round until the first refusal (429 or 503), then
    grows by one a round; a refusal halves it, at most once a round. All wait together until the
    time that a refusal names. Times are seconds of the clock.

    Attributes:
        limit: Requests that may be in flight; a fraction on its way to the next number.
        pauses: Number of pauses so far, and
        paused: their seconds.
    """

    def __init__(
        self,
        ceiling: int,
        max_wait: float,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._ceiling = ceiling
        self._max_wait = max_wait
        self._clock = clock
        self._uniform = uniform
        self.limit = float(min(FIRST_LIMIT, ceiling))
        self.in_flight = 0
        self.pauses = 0
        self.paused = 0.0
        self._until = 0.0
        self._halved = float("-inf")
        self._slow_start = True
        self._refusals = 0
        self._waiting_since: float | None = None

    def delay(self) -> float | None:
        """Return the seconds until a request may start, None if one has to finish first."""
        if self.in_flight >= int(self.limit):
            return None
        return max(0.0, self._until - self._clock())

    def pause(self) -> float:
        """Return the seconds left of a pause."""
        return max(0.0, self._until - self._clock())

    def start(self) -> float:
        """Count a request in flight; return the time, for refused()."""
        self.in_flight += 1
        return self._clock()

    def finish(self) -> None:
        """Count a request in flight no more."""
        self.in_flight -= 1

    def answered(self) -> None:
        """Raise the limit after an answer."""
        self._waiting_since = None
        self._refusals = 0
        grown = self.limit + (1 if self._slow_start else 1 / self.limit)
        self.limit = min(float(self._ceiling), grown)

    def refused(self, started: float, retry_after: float | None) -> None:
        """Lower the limit and pause after a refusal of a request started at that time.

        `retry_after` are the seconds that the server names. Raises PauseTooLongError.
        """
        now = self._clock()
        if self._waiting_since is None:
            self._waiting_since = now
        self._slow_start = False
        if started > self._halved:
            # Requests of this round that are refused too tell nothing new.
            self._halved = now
            self.limit = max(1.0, self.limit / 2)
            self._refusals += 1
        backoff = min(MAX_BACKOFF, 2.0 ** min(self._refusals - 1, 10))
        seconds = backoff if retry_after is None else retry_after
        until = now + seconds * (1 + self._uniform(0, JITTER))
        if until - self._waiting_since > self._max_wait:
            raise PauseTooLongError(
                f"The server asks to wait {seconds:,.0f} s, longer than --max-wait "
                f"{self._max_wait:g}"
                if seconds > self._max_wait
                else f"The server has refused every request for --max-wait {self._max_wait:g} s"
            )
        if until > self._until:
            paused_from = max(now, self._until)
            self.pauses += self._until <= now
            self.paused += until - paused_from
            self._until = until


class Rates:
    """Keeps requests and tokens a minute below what a caller sets. Needs aiolimiter."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        """Raise BatchError if a rate is set and aiolimiter is not installed."""
        self._requests = self._tokens = None
        if not rpm and not tpm:
            return
        try:
            from aiolimiter import AsyncLimiter
        except ModuleNotFoundError:
            raise BatchError(
                "--rpm and --tpm need an extra: llm install 'llm-evolink[batch]'"
            ) from None
        if rpm:
            # With AsyncLimiter(rpm, 60), twice as many would start in the first minute.
            self._requests = AsyncLimiter(1, 60 / rpm)
        if tpm:
            self._portion = max(1.0, tpm / 60)
            self._tokens = AsyncLimiter(self._portion, self._portion * 60 / tpm)
            self._turn = asyncio.Lock()
            self._owed = 0.0

    async def acquire(self, tokens: float) -> None:
        """Wait until a request of about so many tokens may be sent."""
        if self._tokens:
            # In portions: a request above the rate waits alone, for as long as it takes.
            async with self._turn:
                left = max(0.0, tokens + self._owed)
                self._owed = min(0.0, tokens + self._owed)
                while left > 0:
                    await self._tokens.acquire(min(left, self._portion))
                    left -= self._portion
        if self._requests:
            await self._requests.acquire()

    def correct(self, estimate: float, tokens: float) -> None:
        """Count the tokens that a request has used in place of its estimate."""
        if self._tokens:
            self._owed += tokens - estimate
