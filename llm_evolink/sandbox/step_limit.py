"""Limit on the work that one request can ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_STEPS = 50_000
"""Steps of one request: schema keywords read, values generated. Some microseconds each."""

_left: ContextVar[list[int]] = ContextVar("steps left")


class StepLimitError(ValueError):
    """Raised for work that needs more than MAX_STEPS steps."""

    def __init__(self) -> None:
        super().__init__(f"needs more than {MAX_STEPS} steps, the limit of the sandbox")


@contextmanager
def step_limit() -> Iterator[None]:
    """Allow MAX_STEPS steps within the block; a block inside another shares its steps."""
    if _left.get(None) is not None:
        yield
        return
    token = _left.set([MAX_STEPS])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int = 1) -> None:
    """Count steps. Raises StepLimitError when none are left, in this block from then on."""
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise StepLimitError
