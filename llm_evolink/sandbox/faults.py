"""Faults for a script to be tested with: what the sandbox does wrong when asked."""

from dataclasses import dataclass

from .document import documented_errors


@dataclass(frozen=True)
class Faults:
    """What to do wrong.

    Attributes:
        fail: Status and count, in order: that status answers the next so many requests.
        latency: Seconds to wait before each answer.
        chunk_delay: Seconds to wait after each event of a stream.
        cut_after: Chunks of a stream after which the connection is dropped; None for never.
        garble: Whether the third chunk of a stream is not JSON.
    """

    fail: tuple[tuple[int, int], ...] = ()
    latency: float = 0.0
    chunk_delay: float = 0.0
    cut_after: int | None = None
    garble: bool = False

    def failures(self) -> list[int]:
        """Return the statuses to answer the first requests with, first first.

        Raises ValueError for a status that is not an error of the document.
        """
        unknown = {status for status, _ in self.fail} - documented_errors().keys()
        if unknown:
            raise ValueError(
                f"{min(unknown)} is not a documented error; those are "
                f"{', '.join(map(str, sorted(documented_errors())))}"
            )
        return [status for status, count in self.fail for _ in range(count)]
