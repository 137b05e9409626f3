"""Runs a batch for the command: signals, a progress bar, and where the results go."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import click
from click.globals import pop_context, push_context

from .display import Cost, progress_bar
from .errors import BatchError
from .output import Output
from .results import Tokens
from .run import Run


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        tokens: Tokens of the answers that the run printed, also of earlier runs.
        rows: Number of those answers.
        interrupted: Whether Ctrl-C or SIGTERM ended the run.
        error: The error that ended the run; None without one.
    """

    tokens: Tokens = field(default_factory=Tokens)
    rows: int = 0
    interrupted: bool = False
    error: BatchError | None = None


async def ask_rows(
    run: Run, output: Output, count: int, cost: Cost | None, *, show_bar: bool
) -> Outcome:
    """Ask all rows and write their results, with a progress bar on stderr if `show_bar`."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _interrupt, run, outcome)
    async with progress_bar(run, count, cost) if show_bar else nullcontext():
        try:
            # When the output cannot be written, the answers in flight are still saved.
            async with aclosing(run.portions()) as portions:
                async for portion in portions:
                    output.add(portion, run.watermark)
                    for result in portion:
                        if result.tokens:
                            outcome.tokens = outcome.tokens.plus(result.tokens)
                            outcome.rows += 1
            if run.error:
                raise run.error
        except BatchError as error:
            outcome.error = error
    return outcome


def _interrupt(run: Run, outcome: Outcome) -> None:
    if outcome.interrupted:
        run.cancel()
        return
    outcome.interrupted = True
    run.stop("interrupted")
    if run.pace.in_flight:
        click.echo(
            f"\nWaiting for {run.pace.in_flight} requests in flight; Ctrl-C again cancels them",
            err=True,
        )


class StandardOutput:
    """Standard output; a run stops when it cannot be written."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stream = sys.stdout.buffer
        self._closed = False

    def write(self, text: str) -> None:
        """Write the text; stop the run if that fails, because a pipe is closed, say."""
        if self._closed:
            return
        try:
            self._stream.write(text.encode("utf-8", "replace"))
            self._stream.flush()
        except OSError as error:
            self._closed = True
            broken = isinstance(error, BrokenPipeError)
            reason = "was closed" if broken else f"cannot be written: {error.strerror}"
            self._run.stop(f"Standard output {reason}")
            # Python flushes the rest of the buffer when it ends, which would fail again.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM too, within the block."""
    previous: Any = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def without_notices() -> Iterator[None]:
    """Hide click's contexts within the block: the model prints notices only where there is one."""
    contexts = []
    while context := click.get_current_context(silent=True):
        contexts.append(context)
        pop_context()
    try:
        yield
    finally:
        for context in reversed(contexts):
            push_context(context)
