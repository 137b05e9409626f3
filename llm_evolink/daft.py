"""Asks a model about each row of a Daft dataframe, on one machine or on a Ray cluster.

import daft
from llm_evolink.daft import ask

reviews = daft.read_csv("reviews.csv")
result = ask(daft.col("text"), prompt="Sentiment of this review: $text")
reviews.with_column("result", result).show()

Importing this module needs the extra `daft`.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import llm

try:
    import daft
except ModuleNotFoundError as error:
    if error.name != "daft":
        raise
    from .extra import install_command

    raise ModuleNotFoundError(
        f"llm_evolink.daft needs an extra: {install_command('daft')}", name="daft"
    ) from None

from .batch.ask import key_of
from .batch.errors import BatchError
from .batch.formats import cells_of
from .batch.pace import Pace, PauseTooLongError
from .batch.prompt import check_options
from .batch.rates import Rates
from .batch.requests import Request, Requests, RequestTemplate
from .batch.results import cut_error, error_text, parse
from .batch.retry import FATAL, is_refusal, retry_delay
from .batch.state import tokens_of
from .batch.table import columns_error
from .connection.clients import changed_settings
from .constants import MODEL_ID
from .errors import EvolinkError, InvalidRequestError

RESULT = daft.DataType.struct(
    {
        "answer": daft.DataType.string(),
        "error": daft.DataType.string(),
        "tokens": daft.DataType.struct(
            {name: daft.DataType.int64() for name in ("input", "output", "cached")}
        ),
        "response_id": daft.DataType.string(),
    }
)
"""Type of a result. See ask()."""

MAX_ASKERS = 8
"""Maximum number of jobs whose pace a process keeps; the least recently used is dropped."""


@dataclass(frozen=True)
class _Job:
    """What a worker needs to ask rows. It holds no key, because it is sent over the network.

    Attributes:
        id: Unique; rows of one job share a pace in each process.
        columns: Names of the columns, in the order of the arguments.
        concurrency: Maximum requests in flight in a process.
        rpm: Maximum requests a minute in a process.
    """

    id: str
    template: RequestTemplate = field(compare=False)
    columns: tuple[str, ...] = field(compare=False)
    concurrency: int = field(compare=False)
    rpm: float | None = field(compare=False)
    max_wait: float = field(compare=False)
    key_file: str | None = field(compare=False)


def ask(
    *columns: daft.Expression,
    prompt: str | None = None,
    system: str | None = None,
    model: str = MODEL_ID,
    schema: dict[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    attachments: Sequence[str] = (),
    fragments: Sequence[str] = (),
    key_file: str | None = None,
    concurrency: int = 32,
    rpm: float | None = None,
    workers: int = 1,
    max_wait: float = 600.0,
) -> daft.Expression:
    """Return an expression that asks the model about each row.

    Its value is a struct: `answer`, a text (with a schema, JSON that fits it); `error`, null for
    an answer; `tokens` with `input`, `output` and `cached`, null if unknown; and `response_id`,
    the server's. A row that cannot be answered has an error and no answer; the job continues.

    Args:
        columns: Columns of the templates. Without `prompt`, one column that holds the prompts.
        prompt: Template of the prompt over the columns, such as "Sentiment of: $text".
        system: Template of the system prompt.
        model: Model of llm.
        schema: JSON Schema of the answers.
        options: Options of the model, such as {"temperature": 0}.
        attachments: Templates of paths and URLs of images; workers read the paths.
        fragments: Texts that go before each prompt.
        key_file: File that holds the key, on each worker. Without it, workers find the key as
            llm does: in their llm's keys, or in their environment.
        concurrency: Maximum requests in flight, on all workers; each worker has at least one.
        rpm: Maximum requests a minute, on all workers; None or 0 for no limit.
        workers: Number of processes that ask at once, such as the nodes of the Ray cluster;
            concurrency and rpm are divided by it.
        max_wait: Maximum seconds of a pause that the server asks for; after a longer one, the
            rows that are left get an error.

    Raises:
        BatchError: An argument, a template, an option or the name of a column is not valid.
        llm.UnknownModelError: llm has no such model.
    """
    if min(workers, concurrency) < 1:
        raise BatchError("workers and concurrency must be at least 1")
    if prompt is None and len(columns) != 1:
        raise BatchError("Give prompt=, a template over the columns, or one column of prompts")
    names = ("prompt",) if prompt is None else tuple(column.name() for column in columns)
    template = RequestTemplate(
        model,
        "$prompt" if prompt is None else prompt,
        system,
        attachments=[(path, None) for path in attachments],
        fragments=list(fragments),
        schema=schema,
        options=check_options(llm.get_async_model(model), dict(options or {})),
    )
    requests = Requests(template)
    if missing := requests.columns - set(names):
        raise columns_error(missing, names)
    requests.refuse_constant(names)
    rpm = rpm / workers if rpm else None
    Rates(rpm, None)
    share = max(1, concurrency // workers)
    job = _Job(uuid.uuid4().hex, template, names, share, rpm, max_wait, key_file)
    # Not in a process of its own: the rows of a worker share a pace only in one event loop.
    function = daft.func(_ask_row, return_dtype=RESULT, use_process=False)
    return cast("daft.Expression", function(job, *columns))


async def _ask_row(job: _Job, *values: Any) -> dict[str, Any]:
    try:
        return await _asker(asyncio.get_running_loop(), job).ask(values)
    except Exception as error:
        return _result(error=error_text(error))


def _result(**fields: Any) -> dict[str, Any]:
    return {"answer": None, "error": None, "tokens": None, "response_id": None, **fields}


class _StoppedError(Exception):
    """No more rows are asked."""


class _Asker:
    """Asks the rows of a job that come to one event loop of one process."""

    def __init__(self, job: _Job) -> None:
        template = job.template
        self._job = job
        self._requests = Requests(template)
        self._model = llm.get_async_model(template.model_id)
        self._arguments: dict[str, Any] = {
            "schema": template.schema,
            "fragments": template.fragments,
            "stream": self._model.can_stream,
        }
        if template.options:
            self._arguments["options"] = template.options
        if key := key_of(self._model, _read_key(job.key_file)):
            self._arguments["key"] = key
        self._pace = Pace(job.concurrency, job.max_wait)
        self._rates = Rates(job.rpm, None)
        self._turn = asyncio.Lock()
        self._finished = asyncio.Event()
        self._rows = 0
        self._stopped: str | None = None

    async def ask(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the result of a row. Raises an Exception for a row that cannot be answered."""
        cells = cells_of(zip(self._job.columns, values, strict=True))
        request = self._requests.build(cells)
        self._rows += 1
        try:
            return await self._ask(request)
        finally:
            self._rows -= 1
            if not self._rows:
                # A later run of the same dataframe asks again.
                self._stopped = None

    async def _ask(self, request: Request) -> dict[str, Any]:
        """Ask until there is an answer; the tries and delays are those of a batch."""
        tries = 0
        while True:
            started = await self._start()
            try:
                response = await self._send(request)
            except FATAL as error:
                self._stopped = str(error)
                raise
            except EvolinkError as error:
                if is_refusal(error):
                    self._refused(started, error)
                    continue
                tries += 1
                if (delay := retry_delay(error, tries)) is None:
                    raise
            else:
                self._pace.answered()
                return self._answered(response)
            finally:
                self._pace.finish()
                self._finished.set()
            await asyncio.sleep(delay)

    async def _start(self) -> float:
        """Wait until a request may start; return the time. Raises _StoppedError."""
        # The rows wait in a queue: only the first of them looks at the pace.
        async with self._turn:
            if self._stopped is None:
                await self._rates.acquire(0)
            while self._stopped is None and (delay := self._pace.delay()) != 0:
                self._finished.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._finished.wait(), delay)
            if self._stopped is not None:
                raise _StoppedError(self._stopped)
            return self._pace.start()

    async def _send(self, request: Request) -> llm.AsyncResponse:
        # The job retries by itself, and needs as many connections as requests in flight.
        with changed_settings(max_retries=0, connections=self._job.concurrency):
            response = self._model.prompt(
                request.prompt,
                system=request.system,
                attachments=request.attachments,
                **self._arguments,
            )
            await response.text()
        return response

    def _refused(self, started: float, error: EvolinkError) -> None:
        try:
            self._pace.refused(started, error.retry_after)
        except PauseTooLongError as too_long:
            self._stopped = str(too_long)

    def _answered(self, response: llm.AsyncResponse) -> dict[str, Any]:
        tokens = tokens_of(response)
        facts = response.response_json or {}
        result = _result(tokens=tokens and tokens._asdict(), response_id=facts.get("id"))
        text = response.text_or_raise()
        result["error"] = cut_error(response.response_json)
        if result["error"] is None:
            try:
                parse(text, self._job.template.schema)
                result["answer"] = text
            except ValueError as error:
                result["error"] = str(error)
        return result


@lru_cache(MAX_ASKERS)
def _asker(_loop: asyncio.AbstractEventLoop, job: _Job) -> _Asker:
    return _Asker(job)


def _read_key(path: str | None) -> str | None:
    """Return the key that the file holds. Raises InvalidRequestError."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidRequestError(f"The key file {path} cannot be read: {reason}") from None
