"""Limits the requests in flight by what the server accepts."""

import random
import time
from collections.abc import Callable

from .errors import BatchError

FIRST_LIMIT = 4
"""Requests in flight at the start."""

MAX_BACKOFF = 60.0
"""Maximum seconds of a pause after a refusal without Retry-After."""

JITTER = 0.1
"""Maximum share that is added to a pause, so that two batches do not resume together."""


class PauseTooLongError(BatchError):
    """The next pause, or pauses in a row without an answer, would last over max_wait seconds."""


class Pace:
    """Decides when the next request may start.

    The limit of requests in flight doubles each round until the first refusal (429 or 503), then
    grows by one a round; a refusal halves it, at most once a round. After a refusal no request
    starts until the time in its Retry-After. Times are seconds of the clock.

    Attributes:
        limit: Requests that may be in flight, rounded down.
        in_flight: Requests in flight.
        pauses: Number of pauses so far.
        paused: Seconds of all pauses.
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
        """Return the seconds until a request may start; None if one in flight has to end first."""
        if self.in_flight >= int(self.limit):
            return None
        return self.pause()

    def pause(self) -> float:
        """Return the remaining seconds of the pause, 0 without one."""
        return max(0.0, self._until - self._clock())

    def start(self) -> float:
        """Count a request as in flight; return the time, for refused()."""
        self.in_flight += 1
        return self._clock()

    def finish(self) -> None:
        """Count a request as ended."""
        self.in_flight -= 1

    def answered(self) -> None:
        """Raise the limit after an answer."""
        self._waiting_since = None
        self._refusals = 0
        grown = self.limit + (1 if self._slow_start else 1 / self.limit)
        self.limit = min(float(self._ceiling), grown)

    def refused(self, started: float, retry_after: float | None) -> None:
        """Lower the limit and pause after the refusal of a request that started at that time.

        `retry_after` is the delay in seconds that the server asks for. Raises PauseTooLongError.
        """
        now = self._clock()
        if self._waiting_since is None:
            self._waiting_since = now
        self._slow_start = False
        if started > self._halved:
            # Refusals of other requests that started before this one do not halve it again.
            self._halved = now
            self.limit = max(1.0, self.limit / 2)
            self._refusals += 1
        backoff = min(MAX_BACKOFF, 2.0 ** min(self._refusals - 1, 10))
        seconds = backoff if retry_after is None else retry_after
        until = now + seconds * (1 + self._uniform(0, JITTER))
        if until - self._waiting_since > self._max_wait:
            raise PauseTooLongError(
                f"The server asks to wait {seconds:,.0f} s, longer than the "
                f"maximum wait of {self._max_wait:g} s"
                if seconds > self._max_wait
                else "The server refuses every request, and the next pause would be longer than "
                f"the maximum wait of {self._max_wait:g} s"
            )
        if until > self._until:
            paused_from = max(now, self._until)
            self.pauses += self._until <= now
            self.paused += until - paused_from
            self._until = until
