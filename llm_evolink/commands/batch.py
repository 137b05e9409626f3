"""`llm evolink batch`."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import click
import llm
from click.globals import pop_context, push_context
from llm.cli import get_model_options

from ..batch.ask import key_of
from ..batch.display import Cost, estimate, progress_bar, summary
from ..batch.errors import BatchError
from ..batch.output import AtomicFile, Output
from ..batch.pace import Rates
from ..batch.progress import Limits
from ..batch.requests import Asked, RequestError, Requests
from ..batch.results import CUT, Tokens
from ..batch.run import Run
from ..batch.state import Reader, State
from ..batch.table import FORMATS, Table, open_table, query_table
from ..batch.template import apply_template, check_options, read_fragments, read_schema
from ..chat import MODEL_ID
from .usage import prices

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""

POSITIVE = click.FloatRange(min=0, min_open=True)
COUNT = click.IntRange(min=1)


@click.command()
@click.argument("arguments", nargs=-1, metavar="[FILE|-] [PROMPT]")
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="Format of the file.")
@click.option("--id", "id_column", metavar="COLUMN", help="Column of unique ids, not the first.")
@click.option("--sql", metavar="QUERY", help="Ask the rows of this query instead of a file.")
@click.option(
    "--attach",
    type=(str, click.Path(exists=True, dir_okay=False)),
    multiple=True,
    metavar="ALIAS FILE",
    help="SQLite database for --sql, under this alias. Repeatable.",
)
@click.option("-s", "--system", help="System prompt; columns as in the prompt.")
@click.option("-t", "--template", help="Template of llm, over the columns.")
@click.option("-m", "--model", "model_id", help=f"Model to use.  [default: {MODEL_ID}]")
@click.option("-o", "--option", "options", type=(str, str), multiple=True, help="Model option.")
@click.option("--schema", help="JSON schema, concise schema, file or id, as for llm.")
@click.option(
    "-a", "--attachment", multiple=True, help="Path or URL of an image; may hold a column."
)
@click.option("-f", "--fragment", multiple=True, help="Fragment of llm before each prompt.")
@click.option("--key", help="API key to use.")
@click.option("--name", help="Id of the batch, instead of one made from input and prompt.")
@click.option(
    "-d", "--database", type=click.Path(dir_okay=False), help="File for answers and state."
)
@click.option("--again", is_flag=True, help="Ask rows that have an answer too.")
@click.option(
    "-c", "--concurrency", type=COUNT, default=32, show_default=True, help="Most requests at once."
)
@click.option("--rpm", type=POSITIVE, help="Most requests a minute.")
@click.option("--tpm", type=POSITIVE, help="Most tokens a minute.")
@click.option("--limit", type=COUNT, help="Ask the first rows only, and estimate what all cost.")
@click.option("--max-failures", type=COUNT, help="Stop after so many failed rows.")
@click.option("--max-tokens", type=COUNT, help="Stop after so many tokens, over all runs.")
@click.option("--max-cost", type=POSITIVE, help="Stop after this cost, over all runs.")
@click.option(
    "--max-wait",
    type=POSITIVE,
    default=600,
    show_default=True,
    help="Most seconds to wait for a rate limit; a longer wait ends the run.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Output CSV instead of JSON lines.")
@click.option("-O", "--output", type=click.Path(dir_okay=False), help="File for the output.")
@click.option("--dry-run", is_flag=True, help="Show counts and the first request; ask nothing.")
def batch(**flags: Any) -> None:
    """Ask about each row of a table, and print an answer for each.

    \b
        llm evolink batch reviews.csv 'Sentiment of this review: $text' \\
          --schema 'label, confidence float' > answers.jsonl

    $NAME stands for the text of a column, $$ for a dollar sign. The same command again
    continues where the last one stopped: it asks rows that are new, changed or failed.
    Answers are kept in llm's log format, in evolink-batches/ID.db in llm's folder.

    Exit code: 0 if all rows have an answer, 1 if some have none, 130 if interrupted.
    """  # noqa: D301  # click's mark for a paragraph that keeps its lines
    with ExitStack() as stack:
        stack.enter_context(_interrupts())
        try:
            code = _batch(stack, **flags)
        except KeyboardInterrupt:
            code = INTERRUPTED
    if code:
        raise SystemExit(code)


def _batch(stack: ExitStack, **flags: Any) -> int:
    """Run the batch; return the exit code. Raises click.ClickException."""
    path, prompt = _input(flags["arguments"], flags["sql"], flags["attach"])
    asked, model = _asked(prompt, **flags)
    requests = Requests(asked)
    cost = _cost(model.model_id, needed=flags["max_cost"] is not None)
    if flags["sql"]:
        table = query_table(flags["sql"], flags["attach"], flags["id_column"])
    else:
        table = open_table(path, flags["file_format"], flags["id_column"])
    stack.callback(table.close)
    source = [flags["sql"], [(alias, os.path.abspath(file)) for alias, file in flags["attach"]]]
    batch_id = flags["name"] or _batch_id(path, source, asked)
    state_path = _state_path(flags["database"], batch_id)
    table.check(requests.columns)
    count = min(table.ids.count, flags["limit"] or table.ids.count)
    if flags["dry_run"]:
        _dry_run(table, count, requests, state_path, again=flags["again"])
        return 0

    key = key_of(model, flags["key"])
    rates = Rates(flags["rpm"], flags["tpm"])
    limits = Limits(flags["max_failures"], flags["max_tokens"], flags["max_cost"])
    limits.max_wait, limits.cost = flags["max_wait"], cost
    state = State(state_path)
    stack.callback(state.close)
    if flags["again"]:
        state.forget()
    run = Run(
        islice(table, count),
        requests,
        state,
        model,
        concurrency=flags["concurrency"],
        rates=rates,
        limits=limits,
        key=key,
    )
    file = AtomicFile(Path(flags["output"])) if flags["output"] else None
    if file:
        stack.callback(file.discard)
    target: AtomicFile | _Stdout = file or _Stdout(run)
    output = Output(target.write, state, table.ids, asked.schema, as_csv=flags["as_csv"])
    tokens, asked_rows, interrupted, failure = asyncio.run(_results(run, output, count, cost, file))
    for line in summary(run.progress, count, cost):
        click.echo(line, err=True)
    if flags["limit"] and asked_rows:
        click.echo(estimate(tokens, asked_rows, table.ids.count, cost), err=True)
    complete = run.progress.done == count
    if file and complete and not failure:
        file.replace()
    elif file:
        click.echo(f"{flags['output']} was not written", err=True)
    click.echo(f"Batch {batch_id}: {state_path}", err=True)
    if not complete or run.progress.failed:
        click.echo("To continue, run the same command again", err=True)
    if failure:
        raise failure
    if run.progress.stopped and not interrupted:
        raise click.ClickException(run.progress.stopped)
    return INTERRUPTED if interrupted else int(not complete or run.progress.failed > 0)


async def _results(
    run: Run, output: Output, count: int, cost: Cost | None, file: AtomicFile | None
) -> tuple[Tokens, int, bool, BatchError | None]:
    """Write the results.

    Return tokens and number of the rows that used some, whether the run was interrupted, and the
    error that ended it.
    """
    tokens, asked_rows, interrupted = Tokens(), 0, False
    failure = None

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            run.cancel()
        else:
            interrupted = True
            run.stop("interrupted")
            if run.pace.in_flight:
                click.echo(
                    f"\nWaiting for {run.pace.in_flight} requests in flight; "
                    "Ctrl-C again leaves them",
                    err=True,
                )

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    visible = sys.stderr.isatty() and (file is not None or not sys.stdout.isatty())
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(run, count, cost)) if visible else None
        drawing = asyncio.create_task(_draw(bar)) if bar else None
        try:
            async for portion in run.portions():
                output.add(portion, run.watermark)
                for result in portion:
                    if result.tokens:
                        tokens, asked_rows = tokens.plus(result.tokens), asked_rows + 1
        except BatchError as error:
            failure = error
        finally:
            if drawing:
                drawing.cancel()
    return tokens, asked_rows, interrupted, failure


async def _draw(bar: Any) -> None:
    while True:
        bar.update()
        await asyncio.sleep(0.2)


class _Stdout:
    """Standard output; the run ends when nobody reads it any more."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stream = sys.stdout.buffer
        self._broken = False

    def write(self, text: str) -> None:
        if self._broken:
            return
        try:
            self._stream.write(text.encode("utf-8", "replace"))
            self._stream.flush()
        except BrokenPipeError:
            self._broken = True
            self._run.stop("the output was closed")
            # Python writes what is left in the buffer when it ends.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextmanager
def _interrupts() -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does, and keep the model's notices off the terminal.

    The model prints a notice for a person who waits for one prompt: those with a click context.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    contexts = []
    while context := click.get_current_context(silent=True):
        contexts.append(context)
        pop_context()
    try:
        yield
    finally:
        for context in reversed(contexts):
            push_context(context)
        signal.signal(signal.SIGTERM, previous)


def _input(
    arguments: tuple[str, ...], sql: str | None, attach: tuple[tuple[str, str], ...]
) -> tuple[str, str | None]:
    """Return the path, "" with --sql, and the prompt. Raises click.UsageError."""
    if attach and not sql:
        raise click.UsageError("--attach needs --sql")
    expected = 1 if sql else 2
    if len(arguments) > expected:
        wanted = "PROMPT alone, beside --sql" if sql else "FILE and PROMPT"
        raise click.UsageError(f"Too many arguments: give {wanted}, the prompt in quotes")
    if sql:
        return "", arguments[0] if arguments else None
    if not arguments:
        raise click.UsageError("Give a FILE, - for standard input, or --sql")
    return arguments[0], arguments[1] if len(arguments) > 1 else None


def _asked(prompt: str | None, **flags: Any) -> tuple[Asked, Any]:
    """Return what is asked of every row, and the model."""
    asked = Asked(
        flags["model_id"] or "",
        prompt,
        flags["system"],
        attachments=[(path, None) for path in flags["attachment"]],
        fragments=list(flags["fragment"]),
        schema=read_schema(flags["schema"]),
        options=dict(flags["options"]),
    )
    if flags["template"]:
        apply_template(asked, flags["template"])
    try:
        model = llm.get_async_model(asked.model_id or MODEL_ID)
    except llm.UnknownModelError as error:
        raise click.ClickException(str(error)) from None
    if asked.schema and not model.supports_schema:
        raise click.ClickException(f"{model.model_id} does not support schemas")
    asked.model_id = model.model_id
    asked.options = check_options(model, {**get_model_options(model.model_id), **asked.options})
    asked.fragments = read_fragments(asked.fragments)
    asked.system_fragments = read_fragments(asked.system_fragments)
    return asked, model


def _cost(model_id: str, *, needed: bool) -> Cost | None:
    """Return the cost of tokens by llm evolink's prices, None without a price."""
    path = llm.user_dir() / "evolink-prices.json"  # type: ignore[no-untyped-call]
    price = prices.pricing(prices.read_prices(path), {})(model_id)
    if price is None:
        if needed:
            raise click.ClickException(f"--max-cost needs a price of {model_id} in {path}")
        return None

    def cost(tokens: Tokens) -> float:
        counts: Any = {f"{name}_tokens": number for name, number in tokens._asdict().items()}
        return prices.cost_of(counts, price) or 0.0

    return cost


def _batch_id(path: str, query: list[Any], asked: Asked) -> str:
    source = "-" if path == "-" else os.path.abspath(path) if path else query
    digest = blake2b(json.dumps(source).encode(), digest_size=6)
    digest.update(asked.identity())
    return digest.hexdigest()


def _state_path(database: str | None, batch_id: str) -> Path:
    """Return the path of the state. Raises click.UsageError for a name that is none of a file."""
    folder: Path = llm.user_dir()  # type: ignore[no-untyped-call]
    if database:
        if Path(database).resolve() == (folder / "logs.db").resolve():
            raise click.UsageError(
                "-d cannot be logs.db: a batch keeps other prompts from using it"
            )
        return Path(database)
    if not batch_id.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise click.UsageError("--name may hold letters, digits, and - _ .")
    return folder / "evolink-batches" / f"{batch_id}.db"


def _dry_run(
    table: Table, count: int, requests: Requests, state_path: Path, *, again: bool
) -> None:
    """Print how many rows would be asked, and the first request."""
    state = Reader(state_path, read_only=True)
    reused, first = 0, None
    for row in islice(table, count):
        record = None if again else state.find(row.id)
        try:
            request = requests.build(row.cells)
        except RequestError as error:
            raise click.ClickException(f"row {row.id}: {error}") from None
        if record and record.request_hash == request.hash and record.failure in (None, CUT):
            reused += 1
        elif first is None:
            first = row.id, request
    state.close()
    click.echo(f"{count:,} rows, {count - reused:,} to ask, {reused:,} asked already")
    if first:
        row_id, request = first
        shown: dict[str, Any] = {
            "id": row_id,
            "model": requests.asked.model_id,
            "system": request.system,
        }
        shown |= {"fragments": requests.asked.fragments, "prompt": request.prompt}
        shown |= {"attachments": [each.path or each.url for each in request.attachments]}
        shown |= {"schema": requests.asked.schema, "options": requests.asked.options}
        text = {name: value for name, value in shown.items() if value}
        click.echo(json.dumps(text, indent=2, ensure_ascii=False))
