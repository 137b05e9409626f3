"""What a run shows on stderr: a progress bar while it lasts, a summary at its end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from .progress import Progress
from .results import Tokens
from .run import Run

REDRAW = 0.2
"""Seconds between two drawings of the bar."""

Cost = Callable[[Tokens], float]


class Bar:
    """click's progress bar with failures, rate, tokens, cost and pauses beside it."""

    def __init__(self, bar: Any, run: Run, cost: Cost | None, clock: Callable[[], float]) -> None:
        self._bar = bar
        self._run = run
        self._cost = cost
        self._clock = clock
        self._began = self._drawn = clock()
        self._shown = 0

    def update(self, *, at_once: bool = False) -> None:
        """Draw the bar if the last drawing is some time ago."""
        now = self._clock()
        if at_once or now - self._drawn >= REDRAW:
            self._drawn = now
            done = self._run.progress.done
            self._bar.update(done - self._shown, status(self._run, now - self._began, self._cost))
            self._shown = done


@contextmanager
def progress_bar(run: Run, count: int, cost: Cost | None) -> Iterator[Bar | None]:
    """Show a bar if stderr is a terminal and the results go elsewhere; yield it, or None."""
    bar = click.progressbar(
        length=count,
        file=sys.stderr,
        show_pos=True,
        show_eta=True,
        item_show_func=lambda text: text,
        width=20,
    )
    with bar:
        shown = Bar(bar, run, cost, time.monotonic)
        yield shown
        shown.update(at_once=True)


def status(run: Run, seconds: float, cost: Cost | None) -> str:
    """Return what is shown beside the bar."""
    progress = run.progress
    asked = progress.done - progress.reused
    parts = [f"{progress.failed:,} failed"] if progress.failed else []
    parts.append(f"{asked / seconds if seconds else 0:.1f} rows/s")
    parts.append(f"{progress.tokens.input + progress.tokens.output:,} tokens")
    if cost:
        parts.append(f"cost {cost(progress.tokens):.4g}")
    if seconds := run.pace.pause():
        parts.append(f"waiting {seconds:.0f} s for the rate limit")
    return ", ".join(parts)


def summary(progress: Progress, count: int, cost: Cost | None) -> Iterator[str]:
    """Yield the lines that are shown at the end."""
    reused = f", reused {progress.reused:,}" if progress.reused else ""
    left = count - progress.done
    not_asked = f", not asked {left:,}" if left else ""
    yield (
        f"Answered {progress.answered:,}{reused}, failed {progress.failed:,}{not_asked} "
        f"of {count:,} rows"
    )
    for failure, number in progress.failures.items():
        row_id, error = progress.examples[failure]
        yield f"  {number:,} {failure}, such as row {row_id}: {error}"
    yield tokens_line("Tokens", progress.tokens, cost)
    if progress.total_tokens != progress.tokens:
        yield tokens_line("All runs", progress.total_tokens, cost)


def tokens_line(label: str, tokens: Tokens, cost: Cost | None) -> str:
    """Return counts of tokens, with their cost if there is a price."""
    text = f"{label}: {tokens.input:,} input, {tokens.output:,} output"
    return f"{text}; cost {cost(tokens):.4g}" if cost else text


def estimate(tokens: Tokens, asked: int, count: int, cost: Cost | None) -> str:
    """Return what all rows would use by the mean of those that were asked."""
    each = [round(number * count / asked) for number in tokens]
    return tokens_line(f"All {count:,} rows would use about", Tokens(*each), cost)
