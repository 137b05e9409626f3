"""Faults that the sandbox simulates, to test how a client handles them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .document import documented_errors

MAX_SECONDS = 86400
"""Maximum latency and chunk delay."""


@dataclass(frozen=True)
class Faults:
    """Faults that the sandbox simulates.

    Attributes:
        fail: Pairs of status and count, in order: that status answers the next count requests.
        latency: Seconds before each answer, 0 to MAX_SECONDS.
        chunk_delay: Seconds after each event of a stream, 0 to MAX_SECONDS.
        cut_after: Number of chunks after which a stream's connection is dropped; None for never.
        garble: Whether the third chunk of a stream is invalid JSON.

    Raises ValueError for a status that the document does not have, and for seconds out of range.
    """

    fail: tuple[tuple[int, int], ...] = ()
    latency: float = 0.0
    chunk_delay: float = 0.0
    cut_after: int | None = None
    garble: bool = False

    def __post_init__(self) -> None:
        """Check the fields."""
        unknown = {status for status, _ in self.fail} - documented_errors().keys()
        if unknown:
            raise ValueError(
                f"{min(unknown)} is not a documented error; those are "
                f"{', '.join(map(str, sorted(documented_errors())))}"
            )
        for seconds in (self.latency, self.chunk_delay):
            if not (math.isfinite(seconds) and 0 <= seconds <= MAX_SECONDS):
                raise ValueError(f"{seconds} is not a number of seconds from 0 to {MAX_SECONDS}")

    def failures(self) -> Iterator[int]:
        """Yield the statuses that answer the first requests, in order."""
        return (status for status, count in self.fail for _ in range(count))
