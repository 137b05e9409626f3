"""Asks the rows of a batch: many at once, at the pace of the server; saves each answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import llm

from ..connection.clients import changed_settings
from .errors import BatchError
from .pace import Pace
from .progress import Limits, Progress
from .rates import Rates
from .requests import Request, RequestError, Requests
from .results import CUT, NOT_LOGGED, NOT_PARSED, Result, cut_error, error_text, failure_name, parse
from .retry import FATAL, is_refusal, retry_delay
from .reuse import is_answered, stored_result
from .state import State, tokens_of
from .table import Row
from .writer import Entry

PORTION = 256
"""Maximum number of results that the caller gets at a time."""

NOT_READ = "the caller has stopped reading the results"
"""Why a run ends whose generator is closed."""

READ_SECONDS = 0.02
"""Maximum seconds of reading rows at a time; then answers and signals are handled."""

MAX_REFUSALS = 5
"""Refusals after which a row fails, if each time a row that was sent later had an answer.

When only refused rows are left, a row that was sent after the first refusal is enough.
"""


@dataclass
class _Asking:
    """A row that is being asked.

    Attributes:
        is_new: Whether no earlier run has a result of this request.
        started: Time at which its turn came, for Pace.refused().
        estimate: Tokens that it is expected to use.
        sent: Whether its request was sent.
        refusals: Refusals that count for MAX_REFUSALS.
        refused: Time at which the turn of its last refused request came.
        first_refused: The same of its first one.
    """

    row: Row
    request: Request
    is_new: bool
    tries: int = 0
    started: float = 0.0
    estimate: float = 0.0
    sent: bool = False
    refusals: int = 0
    refused: float = math.inf
    first_refused: float = math.inf


class Run:
    """One run of a batch.

    Attributes:
        progress: Counts so far.
        pace: Control of the requests in flight.
        error: The error that ended the run: that of reading a row, or a BatchError; else None.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        requests: Requests,
        state: State,
        model: llm.AsyncModel | llm.AsyncKeyModel,
        *,
        concurrency: int = 32,
        rates: Rates | None = None,
        limits: Limits | None = None,
        key: str | None = None,
        again: bool = False,
    ) -> None:
        self._rows = iter(rows)
        self._requests = requests
        self._state = state
        self._model = model
        self._again = again
        self._limits = limits or Limits()
        self._rates = rates or Rates(None, None)
        self.pace = Pace(concurrency, self._limits.max_wait)
        self.progress = Progress(total_tokens=state.totals())
        options = requests.template.options
        self._arguments: dict[str, Any] = {"options": options} if options else {}
        self._arguments |= {"schema": requests.template.schema, "stream": model.can_stream}
        self._arguments["fragments"] = requests.template.fragments
        self._arguments["system_fragments"] = requests.template.system_fragments
        if key:
            self._arguments["key"] = key
        # The batch retries by itself, and needs as many connections as requests in flight.
        with changed_settings(max_retries=0, connections=concurrency):
            self._context = copy_context()
        self._stopping = False
        self.error: BaseException | None = None
        self._next = 0  # Position of the next row to read.
        self._all_read = False
        self._open: set[int] = set()  # Positions read and not finished.
        self._tasks: dict[asyncio.Task[None], _Asking] = {}
        self._finished: list[Result] = []
        self._retries: list[tuple[float, int, _Asking]] = []  # A heap by the time of the retry.
        # Refused rows wait for the answer to another row: one that is always refused blocks none.
        self._refused: list[_Asking] = []
        self._last_answered = -math.inf  # Latest turn of a request that was answered.
        self._changed: asyncio.Future[None] | None = None

    @property
    def watermark(self) -> int:
        """Position before which every row is finished."""
        return min(self._open, default=self._next)

    def stop(self, reason: str) -> None:
        """Ask no more rows; wait for the requests in flight."""
        if not self._stopping:
            self._stopping = True
            self.progress.stopped = reason
            for task, asking in self._tasks.items():
                if not asking.sent:
                    task.cancel()
        self._wake()

    def cancel(self) -> None:
        """Ask no more rows, and cancel the requests in flight."""
        self.stop("interrupted")
        for task in self._tasks:
            task.cancel()

    async def portions(self) -> AsyncGenerator[list[Result], None]:
        """Yield lists of results as soon as they are there.

        Closing the generator waits for the requests in flight and saves their answers; cancelling
        the task cancels them. After an early end, check() raises the reason.
        """
        try:
            while True:
                with self._state.snapshot():
                    delay = self._start_rows()
                if self._finished:
                    finished, self._finished = self._finished, []
                    yield finished
                    await asyncio.sleep(0)  # Handles answers and signals.
                elif self._tasks or delay is not None:
                    await self._wait_for_change(delay)
                else:
                    break
        except GeneratorExit:
            self.stop(NOT_READ)
            while self._tasks:
                await asyncio.wait(self._tasks)
            raise
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise the error that ended the run, BatchError if it ended early without one.

        It is apart from portions(), since SystemExit in a task would end the event loop.
        """
        if self.error:
            raise self.error
        if self.progress.stopped:
            raise BatchError(self.progress.stopped)

    def _start_rows(self) -> float | None:
        """Start requests while the pace allows it; return the seconds until another may start.

        None: not before a request in flight ends, or never.
        """
        until = time.monotonic() + READ_SECONDS
        while not self._stopping and len(self._finished) < PORTION:
            delay = self.pace.delay()
            if delay != 0:
                return delay
            now = time.monotonic()
            if now > until:
                return 0.0
            if self._retries and self._retries[0][0] <= now:
                self._start(heappop(self._retries)[2])
            elif self._read():
                continue
            elif self._refused and not self._tasks:
                self._start(self._refused.pop(0))
            else:
                return self._retries[0][0] - now if self._retries else None
        return None

    def _read(self) -> bool:
        """Read a row and start its request if it needs one; return False at the end of the table.

        A row that cannot be read ends the run.
        """
        try:
            row = next(self._rows, None)
            if row is not None:
                self._prepare(row)
        except BaseException as error:  # A caller's row may be read in another thread.
            self._end(error)
            return True
        self._all_read = row is None
        return row is not None

    def _prepare(self, row: Row) -> None:
        """Ask the row, unless it has an answer."""
        self._next = row.position + 1
        self._open.add(row.position)
        record = None if self._again else self._state.find(row.id)
        try:
            request = self._requests.build(row.cells)
        except RequestError as error:
            # Not saved: it would replace the answer to the request of an earlier run.
            result = Result(row.position, row.id, failure="invalid request", error=str(error))
            self._finish(result)
            return
        if is_answered(record, request):
            self._finish(stored_result(row, record, self._requests.template.schema))
        elif reason := self._limits.used_up(self.progress.total_tokens):
            self.stop(reason)
        else:
            is_new = record is None or record.request_hash != request.hash
            self._start(_Asking(row, request, is_new))

    def _start(self, asking: _Asking) -> None:
        asking.started = self.pace.start()
        asking.sent = False
        task = asyncio.create_task(self._ask(asking), context=self._context)
        self._tasks[task] = asking
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        asking = self._tasks.pop(task)
        self.pace.finish()
        if task.cancelled():
            if not self._stopping:
                self._end(BatchError(f"The request for row {asking.row.id} was cancelled"))
        elif failure := task.exception():
            known = isinstance(failure, BatchError)
            self._end(failure if known else BatchError(f"{type(failure).__name__}: {failure}"))
        self._wake()

    def _end(self, error: BaseException) -> None:
        """Ask no more rows because of the error."""
        self.error = self.error or error
        self.stop(str(error))

    async def _ask(self, asking: _Asking) -> None:
        """Send one request for the row; finish the row or plan a retry."""
        request = asking.request
        asking.estimate = self._rates.estimate(request.prompt)
        await self._rates.acquire(asking.estimate)
        while seconds := self.pace.pause():  # noqa: ASYNC110
            await asyncio.sleep(seconds)
        asking.sent = True
        asking.tries += 1
        try:
            response = self._model.prompt(
                request.prompt,
                system=request.system,
                attachments=request.attachments,
                **self._arguments,
            )
            await response.text()
        except Exception as error:
            await self._failed(asking, error)
        else:
            self.pace.answered()
            self._last_answered = max(self._last_answered, asking.started)
            while self._refused:
                self._retry(self._refused.pop(0), 0.0)
            await self._answered(asking, response)

    async def _answered(self, asking: _Asking, response: llm.AsyncResponse) -> None:
        tokens = tokens_of(response)
        if tokens:
            self._rates.correct(asking.estimate, tokens)
        text = response.text_or_raise()
        result = Result(asking.row.position, asking.row.id, text=text, tokens=tokens)
        if cut := cut_error(response.response_json):
            result.failure, result.error = CUT, cut
        else:
            try:
                result.answer = parse(text, self._requests.template.schema)
            except ValueError as error:
                result.failure, result.error = NOT_PARSED, str(error)
        result.turn_id = response.id
        await self._save(asking, result, await response.to_sync_response())

    async def _failed(self, asking: _Asking, error: Exception) -> None:
        if isinstance(error, FATAL):
            self.stop(str(error))
            return
        if is_refusal(error):
            asking.tries -= 1
            only_refused_left = self._all_read and len(self._tasks) == 1 and not self._retries
            since = asking.first_refused if only_refused_left else asking.refused
            asking.refusals += self._last_answered > since
            asking.refused = asking.started
            asking.first_refused = min(asking.first_refused, asking.started)
            if asking.refusals < MAX_REFUSALS:
                # May raise PauseTooLongError, which ends the run.
                self.pace.refused(asking.started, getattr(error, "retry_after", None))
                self._refused.append(asking)
                return
        elif (delay := retry_delay(error, asking.tries)) is not None:
            self._retry(asking, delay)
            return
        result = Result(asking.row.position, asking.row.id, failure=failure_name(error))
        result.error = error_text(error)
        await self._save(asking, result, None)

    def _retry(self, asking: _Asking, delay: float) -> None:
        heappush(self._retries, (time.monotonic() + delay, asking.row.position, asking))

    async def _save(self, asking: _Asking, result: Result, response: llm.Response | None) -> None:
        """Write the result; the row counts as in flight until it is on disk."""
        result.tries = asking.tries
        entry = Entry(
            result.id, asking.request.hash, response, result.failure, result.error, result.tries
        )
        if problem := await self._state.save(entry):
            result.failure, result.error = NOT_LOGGED, problem
            result.turn_id = result.answer = None
        self._finish(result, is_new=asking.is_new)

    def _finish(self, result: Result, *, is_new: bool = False) -> None:
        self._open.discard(result.position)
        self._finished.append(result)
        self.progress.count(result, is_new=is_new)
        if not result.reused and (reason := self.progress.failing(self._limits)):
            self.stop(reason)
        self._wake()

    async def _wait_for_change(self, delay: float | None) -> None:
        """Wait until a request ends, the run stops or the delay in seconds is over."""
        loop = asyncio.get_running_loop()
        self._changed = loop.create_future()
        timer = None if delay is None else loop.call_later(max(0.0, delay), self._wake)
        try:
            await self._changed
        finally:
            if timer:
                timer.cancel()

    def _wake(self) -> None:
        if self._changed and not self._changed.done():
            self._changed.set_result(None)
