"""Python API of a batch: asks a model about each row of an iterable, sync and async."""

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, aclosing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypedDict, Unpack
from weakref import WeakSet

import llm

from ..constants import MODEL_ID
from ..errors import EvolinkError
from .errors import BatchError
from .formats import cells_of
from .progress import Limits
from .prompt import check_options
from .rates import Rates
from .requests import Requests, RequestTemplate, server_of
from .results import Result
from .row_ids import Ids
from .run import NOT_READ, Run
from .state import State
from .table import Row, columns_error

_unfinished: WeakSet[Generator[Result, None, None]] = WeakSet()
"""Results of ask() that are referenced."""


class Options(TypedDict, total=False):
    """Keyword arguments of ask() and ask_async(); only `database` is required.

    Attributes:
        database: State file with the answers; created if it does not exist.
        id: Column of unique ids; the first one by default.
        model: Model of llm.
        system: Template of the system prompt.
        schema: JSON Schema of the answers, which are then parsed as JSON.
        options: Options of the model, such as {"temperature": 0}.
        attachments: Templates of paths and URLs of images.
        fragments: Texts before each prompt.
        key: API key; the one that llm finds by default.
        concurrency: Maximum requests in flight, at least 1; 32 by default.
        rpm: Maximum requests a minute; 0, the default, is no limit.
        tpm: Maximum tokens a minute; 0, the default, is no limit.
        again: Whether to ask the given rows that have an answer too.
        limits: What ends the run early.
    """

    database: str | os.PathLike[str]
    id: str
    model: str
    system: str
    schema: dict[str, Any]
    options: dict[str, Any]
    attachments: Sequence[str]
    fragments: Sequence[str]
    key: str
    concurrency: int
    rpm: float
    tpm: float
    again: bool
    limits: Limits


async def ask_async(
    rows: Iterable[Mapping[str, Any]], prompt: str, **options: Unpack[Options]
) -> AsyncGenerator[Result, None]:
    """Ask the prompt, a template over the columns, of each row; yield results as they come.

    Rows that `database` holds an answer for are not asked again. Closing the generator waits for
    the requests in flight and saves their answers: use contextlib.aclosing() to leave the loop
    early. Cancelling the task cancels them.

    Raises BatchError, llm.UnknownModelError for a model that llm lacks, and EvolinkError for a
    missing key, which is a BatchError for a model of another plugin.
    """
    with ExitStack() as stack:
        run = _open(stack, rows, prompt, options)
        try:
            async with aclosing(run.portions()) as portions:
                async for portion in portions:
                    for result in portion:
                        yield result
        finally:
            # In a thread, since it waits for the disk.
            await asyncio.to_thread(stack.close)
        run.check()


def ask(
    rows: Iterable[Mapping[str, Any]], prompt: str, **options: Unpack[Options]
) -> Iterator[Result]:
    """Ask the prompt of each row, as ask_async() does, with an event loop in a thread.

    Leaving the loop early, Ctrl-C, or the end of the program waits for the requests in flight and
    saves their answers; a second Ctrl-C cancels them.

    `rows` is iterated in that thread: a SQLite connection that they come from needs
    `check_same_thread=False`.
    """
    results = _results(rows, prompt, options)
    _unfinished.add(results)
    return results


def _results(
    rows: Iterable[Mapping[str, Any]], prompt: str, options: Options
) -> Generator[Result, None, None]:
    with ExitStack() as stack:
        run = _open(stack, rows, prompt, options)
        loop = stack.enter_context(_loop_in_thread())
        portions = run.portions()

        def next_portion() -> Future[list[Result] | None]:
            return asyncio.run_coroutine_threadsafe(anext(portions, None), loop)

        pending = next_portion()
        try:
            while portion := pending.result():
                pending = next_portion()
                yield from portion
        except BaseException:
            loop.call_soon_threadsafe(run.stop, NOT_READ)
            while not pending.exception() and pending.result():
                pending = next_portion()
            raise
        run.check()


@atexit.register
def _close_all() -> None:
    """Save the answers in flight of the loops that were left and are still referenced."""
    for results in list(_unfinished):
        with suppress(ValueError):  # A thread that is still running has the generator.
            results.close()


def _open(
    stack: ExitStack, rows: Iterable[Mapping[str, Any]], prompt: str, options: Options
) -> Run:
    """Return a run; the stack closes its files. Raises what ask_async() does."""
    if "database" not in options:
        raise BatchError("ask() needs database=, the file that keeps the answers")
    concurrency = options.get("concurrency", 32)
    if concurrency < 1:
        raise BatchError("concurrency must be at least 1")
    template = RequestTemplate(
        options.get("model", MODEL_ID),
        prompt,
        options.get("system"),
        attachments=[(path, None) for path in options.get("attachments", ())],
        fragments=list(options.get("fragments", ())),
        schema=options.get("schema"),
        options=options.get("options", {}),
    )
    model = llm.get_async_model(template.model_id)
    # One hash for an alias and the id, and for 0 and 0.0.
    template.model_id = model.model_id
    template.options = check_options(model, template.options)
    requests = Requests(template, server_of(model))
    key = key_of(model, options.get("key"))
    rates = Rates(options.get("rpm"), options.get("tpm"))
    state = State(Path(options["database"]))
    stack.callback(state.close)
    ids = Ids()
    stack.callback(ids.close)
    return Run(
        _rows(rows, options.get("id"), requests, ids),
        requests,
        state,
        model,
        concurrency=concurrency,
        rates=rates,
        limits=options.get("limits"),
        key=key,
        again=options.get("again", False),
    )


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread; cancel its tasks and wait for it at the end."""
    started: Future[asyncio.AbstractEventLoop] = Future()

    def run() -> None:
        # While Python 3.12 ends, the thread that stops the loop's executor cannot be started.
        with suppress(RuntimeError), asyncio.Runner() as runner:
            started.set_result(runner.get_loop())
            runner.get_loop().run_forever()

    # Python waits for other threads before it calls _close_all().
    thread = threading.Thread(target=run, name="evolink-batch", daemon=True)
    thread.start()
    loop = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def key_of(model: Any, key: str | None) -> str | None:
    """Return the key of the model, None if it needs none.

    Raises EvolinkError, or BatchError for a model of another plugin, if there is no key.
    """
    if not getattr(model, "needs_key", None):
        return None
    try:
        found: str | None = model.get_key(key)
    except EvolinkError:
        raise
    except llm.NeedsKeyException as error:
        raise BatchError(str(error)) from None
    return found


def _rows(
    rows: Iterable[Mapping[str, Any]], id_column: str | None, requests: Requests, ids: Ids
) -> Iterator[Row]:
    """Yield the rows with their ids. Raises BatchError for a row that cannot be asked."""
    for position, row in enumerate(rows):
        try:
            cells = cells_of(row.items())
        except BatchError as error:
            raise BatchError(f"row {position + 1}: {error}") from None
        if not cells:
            raise BatchError(f"row {position + 1} is empty")
        column = id_column or next(iter(cells))
        if missing := (requests.columns | {column}) - cells.keys():
            raise columns_error(missing, cells)
        if position == 0:
            requests.refuse_constant(list(cells))
        ids.add(position + 1, cells[column], "row")
        yield Row(position, cells[column], cells)
