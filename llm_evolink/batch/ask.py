"""Asks the rows of any iterable: the Python interface, sync and async."""

import asyncio
import os
import queue
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypedDict, Unpack

import llm

from ..constants import MODEL_ID
from .errors import BatchError
from .pace import Rates
from .progress import Limits
from .requests import Asked, Requests
from .results import Result
from .run import Run
from .state import State
from .table import Cells, Ids, Row, cell_text, columns_error


class Options(TypedDict, total=False):
    """Keyword arguments of ask() and ask_async(), all but `database` optional.

    Attributes:
        database: File that keeps the answers and what is asked already; created if need be.
        id: Column of unique ids; the first one by default.
        model: Model of llm.
        system: Template of the system prompt.
        schema: JSON Schema of the answers, which are then JSON values.
        options: Options of the model, such as {"temperature": 0}.
        attachments: Templates of paths and URLs of images.
        fragments: Texts that go before each prompt.
        key: API key, if not the one that llm finds.
        concurrency: Maximum requests in flight, 32 by default.
        rpm: Maximum requests a minute.
        tpm: Maximum tokens a minute.
        again: Whether to ask rows that have an answer.
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

    Rows that `database` holds an answer for are not asked again. Leaving the loop early ends the
    run; what was answered stays. Raises BatchError, and EvolinkError for a missing key.
    """
    if "database" not in options:
        raise BatchError("ask() needs database=, the file that keeps the answers")
    asked = Asked(
        options.get("model", MODEL_ID),
        prompt,
        options.get("system"),
        attachments=[(path, None) for path in options.get("attachments", ())],
        fragments=list(options.get("fragments", ())),
        schema=options.get("schema"),
        options=options.get("options", {}),
    )
    requests = Requests(asked)
    model = llm.get_async_model(asked.model_id)
    key = key_of(model, options.get("key"))
    rates = Rates(options.get("rpm"), options.get("tpm"))
    state = State(Path(options["database"]))
    ids = Ids()
    try:
        if options.get("again"):
            state.forget()
        run = Run(
            _rows(rows, options.get("id"), requests.columns, ids),
            requests,
            state,
            model,
            concurrency=options.get("concurrency", 32),
            rates=rates,
            limits=options.get("limits"),
            key=key,
        )
        async with aclosing(run.results()) as results:
            async for result in results:
                yield result
        if run.progress.stopped:
            raise BatchError(run.progress.stopped)
    finally:
        # It waits for the disk: not in the event loop.
        await asyncio.to_thread(state.close)
        ids.close()


def ask(
    rows: Iterable[Mapping[str, Any]], prompt: str, **options: Unpack[Options]
) -> Iterator[Result]:
    """As ask_async(), without an event loop: one runs in a thread of its own."""
    results: queue.Queue[Result | BaseException | None] = queue.Queue(maxsize=256)
    left = threading.Event()

    async def put_all() -> None:
        ending: BaseException | None = None
        try:
            async with aclosing(ask_async(rows, prompt, **options)) as answers:
                async for result in answers:
                    if left.is_set():
                        break
                    if results.full():
                        await asyncio.to_thread(results.put, result)
                    else:
                        results.put_nowait(result)
        except BaseException as error:
            ending = error
        if not left.is_set():
            await asyncio.to_thread(results.put, ending)

    thread = threading.Thread(target=lambda: asyncio.run(put_all()), name="evolink-batch")
    thread.start()
    try:
        while (item := results.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        while thread.is_alive():
            with suppress(queue.Empty):
                results.get_nowait()
            thread.join(0.05)


def key_of(model: Any, key: str | None) -> str | None:
    """Return the key for the model, looked up once; None if it needs none. Raises EvolinkError."""
    return model.get_key(key) if getattr(model, "needs_key", None) else None


def _rows(
    rows: Iterable[Mapping[str, Any]], id_column: str | None, needed: set[str], ids: Ids
) -> Iterator[Row]:
    for position, row in enumerate(rows):
        cells: Cells = {str(name): cell_text(value) for name, value in row.items()}
        if not cells:
            raise BatchError(f"row {position + 1} is empty")
        column = id_column or next(iter(cells))
        if missing := (needed | {column}) - cells.keys():
            raise columns_error(missing, cells)
        ids.add_all([(position + 1, cells[column])], "row")
        yield Row(position, cells[column], cells)
