"""Counts of a run, and the limits that end it early."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import BatchError
from .results import Result, Tokens

FIRST_ROWS = 10
"""New rows after which a run ends if they have all failed with the same type of failure."""


@dataclass
class Limits:
    """What ends a run early. None: no limit.

    Attributes:
        max_failures: Rows that fail in this run.
        max_tokens: Tokens, input and output, over all runs of the batch.
        max_cost: Cost over all runs of the batch, in the currency of `cost`.
        max_wait: Seconds to wait for a rate limit.
        cost: Returns the cost of tokens; needed for max_cost.
    """

    max_failures: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    max_wait: float = 600.0
    cost: Callable[[Tokens], float] | None = None

    def __post_init__(self) -> None:
        """Raise BatchError for max_cost without cost."""
        if self.max_cost is not None and self.cost is None:
            raise BatchError("max_cost needs cost, a function that returns the cost of tokens")

    def used_up(self, spent: Tokens) -> str | None:
        """Return why the tokens of all runs end this one, None if they do not."""
        if self.max_tokens is not None and spent.input + spent.output >= self.max_tokens:
            return f"the limit of tokens, {self.max_tokens}, is reached"
        if self.max_cost is not None and self.cost and self.cost(spent) >= self.max_cost:
            return f"the limit of cost, {self.max_cost:g}, is reached"
        return None


@dataclass
class Progress:
    """Counts of a run so far.

    Attributes:
        asked: Rows asked in this run, with an answer or a failure.
        failures: Rows by type of failure, also those of earlier runs that are not asked again.
        examples: Id and error of the first row of each type.
        tokens: Tokens of this run.
        total_tokens: Tokens of all runs of the batch.
        stopped: Why the run ended early, None if it did not.
    """

    asked: int = 0
    answered: int = 0
    reused: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=Tokens)
    total_tokens: Tokens = field(default_factory=Tokens)
    stopped: str | None = None
    _failed_now: int = 0
    _new: int = 0
    _first_failures: set[str | None] = field(default_factory=set)

    @property
    def failed(self) -> int:
        """Rows that failed."""
        return sum(self.failures.values())

    @property
    def done(self) -> int:
        """Rows with an answer or a failure."""
        return self.answered + self.reused + self.failed

    def count(self, result: Result, *, is_new: bool) -> None:
        """Count a finished row; `is_new` if no earlier run has asked the same."""
        if result.failure:
            self.failures[result.failure] = self.failures.get(result.failure, 0) + 1
            self.examples.setdefault(result.failure, (result.id, result.error or ""))
        elif result.reused:
            self.reused += 1
        else:
            self.answered += 1
        if result.reused:
            return
        self.asked += 1
        self._failed_now += result.failure is not None
        if is_new and self._new < FIRST_ROWS:
            self._new += 1
            self._first_failures.add(result.failure)
        if result.tokens:
            self.tokens = self.tokens.plus(result.tokens)
            self.total_tokens = self.total_tokens.plus(result.tokens)

    def failing(self, limits: Limits) -> str | None:
        """Return why the failures end the run, None if they do not."""
        if limits.max_failures is not None and self._failed_now >= limits.max_failures:
            return f"the limit of failed rows, {limits.max_failures}, is reached"
        if self._new == FIRST_ROWS and len(self._first_failures) == 1:
            (failure,) = self._first_failures
            if failure:
                return f"the first {FIRST_ROWS} rows all failed: {self.examples[failure][1]}"
        return None
