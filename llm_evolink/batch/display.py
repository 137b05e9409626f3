"""What a run shows on stderr: a progress bar, and a summary at its end."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import click

from .progress import Progress
from .results import Tokens
from .run import Run

REDRAW = 0.2
"""Seconds between two drawings of the bar."""

WIDTH = 20
"""Columns of the bar itself."""

MIN_WIDTH = 4
"""Columns of the bar in a narrow terminal."""

Cost = Callable[[Tokens], float]
"""Returns the cost of tokens."""


@asynccontextmanager
async def progress_bar(run: Run, count: int, cost: Cost | None) -> AsyncIterator[None]:
    """Show click's progress bar of a run on stderr, with failures, rate, tokens and pauses."""
    began = time.monotonic()
    shown = 0

    def draw() -> None:
        nonlocal shown
        bar.make_step(run.progress.done - shown)
        shown = run.progress.done
        text = status(run, time.monotonic() - began, cost)
        bar.width, bar.current_item = WIDTH, text
        columns = _columns()
        if (excess := len(bar.format_progress_line()) - columns) > 0:
            bar.width = max(MIN_WIDTH, WIDTH - excess)
            bar.current_item = text[: max(0, len(text) + WIDTH - excess - bar.width)]
        bar.max_width = min(bar.max_width or 0, columns)  # It fills up to the longest line.
        bar.render_progress()

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
        width=WIDTH,
    ) as bar:
        drawing = asyncio.create_task(keep_drawing())
        try:
            yield
        finally:
            drawing.cancel()
            draw()


def _columns() -> int:
    """Return the columns of the terminal, 80 if they are unknown."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    return 80


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
