"""What a run shows on stderr: a progress bar, and a summary at its end."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import click

from .progress import Progress
from .results import Tokens
from .run import Run

REDRAW = 0.2
"""Seconds between two drawings of the bar."""

Cost = Callable[[Tokens], float]
"""Returns the cost of tokens."""


@asynccontextmanager
async def progress_bar(run: Run, count: int, cost: Cost | None) -> AsyncIterator[None]:
    """Show click's progress bar of a run on stderr, with failures, rate, tokens and pauses."""
    began = time.monotonic()
    shown = 0

    def draw() -> None:
        nonlocal shown
        done = run.progress.done
        bar.update(done - shown, status(run, time.monotonic() - began, cost))
        shown = done

    async def keep_drawing() -> None:
        while True:
            draw()
            await asyncio.sleep(REDRAW)

    with click.progressbar(
        length=count,
        file=sys.stderr,
        show_pos=True,
        show_eta=True,
        item_show_func=lambda text: text,
        width=20,
    ) as bar:
        drawing = asyncio.create_task(keep_drawing())
        try:
            yield
        finally:
            drawing.cancel()
            draw()


def status(run: Run, seconds: float, cost: Cost | None) -> str:
    """Return the text beside the bar."""
    progress = run.progress
    parts = [f"{progress.failed:,} failed"] if progress.failed else []
    parts.append(f"{progress.asked / seconds if seconds else 0:.1f} rows/s")
    parts.append(f"{progress.tokens.input + progress.tokens.output:,} tokens")
    if cost:
        parts.append(f"cost {cost(progress.tokens):.4g}")
    if seconds := run.pace.pause():
        parts.append(f"waiting {seconds:.0f} s for the rate limit")
    return ", ".join(parts)


def summary(progress: Progress, count: int, cost: Cost | None) -> Iterator[str]:
    """Yield the lines of the summary of a run over `count` rows."""
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
    """Return a line with counts of tokens, and their cost if there is a price."""
    text = f"{label}: {tokens.input:,} input, {tokens.output:,} output"
    return f"{text}; cost {cost(tokens):.4g}" if cost else text


def estimate(tokens: Tokens, asked: int, count: int, cost: Cost | None) -> str:
    """Return the tokens and cost of `count` rows by the mean of the `asked` ones."""
    each = [round(number * count / asked) for number in tokens]
    return tokens_line(f"All {count:,} rows would use about", Tokens(*each), cost)
