"""`llm evolink batch`."""

import asyncio
import os
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ..batch.ask import key_of
from ..batch.command_run import StandardOutput, ask_rows, sigterm_as_ctrl_c, without_notices
from ..batch.display import Cost, estimate, summary
from ..batch.errors import BatchError
from ..batch.formats import FORMATS
from ..batch.location import batch_id, check_output, state_path
from ..batch.output import AtomicFile, Output
from ..batch.preview import preview
from ..batch.progress import Limits
from ..batch.prompt import read_prompt
from ..batch.query import query_table
from ..batch.rates import Rates
from ..batch.requests import Requests, server_of
from ..batch.results import CUT, Tokens
from ..batch.run import Run
from ..batch.state import State
from ..batch.table import open_table
from ..constants import MODEL_ID
from ..llm_folder import user_folder
from .options import not_empty
from .usage import prices

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""

QUOTES = "; put the prompt in single quotes, so that the shell leaves {} alone"
"""What to do where the shell may have replaced a column."""

POSITIVE = click.FloatRange(min=0, min_open=True)
COUNT = click.IntRange(min=1)


def _file(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the path, None for "-". Raises click.BadParameter for an empty one."""
    return None if not_empty(context, option, value) == "-" else value


@click.command()
@click.argument("arguments", nargs=-1, metavar="[FILE|-] [PROMPT]")
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="Format of the file.")
@click.option(
    "--id",
    "id_column",
    metavar="COLUMN",
    callback=not_empty,
    help="Column of unique ids.  [default: the first]",
)
@click.option(
    "--sql",
    metavar="QUERY",
    callback=not_empty,
    help="Ask about the rows of this query instead of a file.",
)
@click.option(
    "--attach",
    type=(str, click.Path(exists=True, dir_okay=False)),
    multiple=True,
    metavar="ALIAS FILE",
    help="SQLite database for --sql, under this alias. Repeatable.",
)
@click.option("-s", "--system", help="System prompt, with columns as in the prompt.")
@click.option(
    "-t", "--template", callback=not_empty, help="Template of llm; its variables are columns."
)
@click.option(
    "-m",
    "--model",
    "model_id",
    callback=not_empty,
    help=f"Model to use.  [default: {MODEL_ID}]",
)
@click.option("-o", "--option", "options", type=(str, str), multiple=True, help="Model option.")
@click.option(
    "--schema",
    callback=not_empty,
    help="JSON schema, concise schema, file or schema id, as in llm.",
)
@click.option(
    "-a",
    "--attachment",
    multiple=True,
    help="Path or URL of an image; may contain columns. Repeatable.",
)
@click.option(
    "-f", "--fragment", multiple=True, help="Fragment of llm before each prompt. Repeatable."
)
@click.option("--key", callback=not_empty, help="API key to use.")
@click.option(
    "--name", callback=not_empty, help="Id of the batch.  [default: a hash of input and request]"
)
@click.option(
    "-d",
    "--database",
    type=click.Path(dir_okay=False),
    callback=not_empty,
    help="State file with the answers.",
)
@click.option("--again", is_flag=True, help="Also ask the rows that have an answer.")
@click.option(
    "-c",
    "--concurrency",
    type=COUNT,
    default=32,
    show_default=True,
    help="Maximum requests in flight.",
)
@click.option("--rpm", type=POSITIVE, help="Maximum requests a minute.")
@click.option("--tpm", type=POSITIVE, help="Maximum tokens a minute.")
@click.option(
    "--limit", type=COUNT, help="Ask only the first N rows, and estimate the cost of all."
)
@click.option("--max-failures", type=COUNT, help="Stop after N failed rows.")
@click.option("--max-tokens", type=COUNT, help="Stop after N tokens in all runs of the batch.")
@click.option("--max-cost", type=POSITIVE, help="Stop after this cost in all runs of the batch.")
@click.option(
    "--max-wait",
    type=POSITIVE,
    default=600,
    show_default=True,
    help="Maximum seconds of pauses in a row; the run ends before longer ones.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Output CSV instead of JSON lines.")
@click.option(
    "-O",
    "--output",
    type=click.Path(dir_okay=False),
    callback=_file,
    help="Replace this file by the output when all rows are done.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print counts and the first request, and send nothing."
)
def batch(**flags: Any) -> None:
    """Ask about each row of a table, and print an answer for each.

    \b
        llm evolink batch reviews.csv 'Sentiment of this review: $text' \\
          --schema 'label, confidence float' > answers.jsonl

    $NAME or ${ANY NAME} is the text of a column, $$ a dollar sign. Put the prompt in single
    quotes: in double quotes, the shell replaces $NAME. The same command again asks only the
    rows that are new, changed or failed. The answers are stored in llm's log format in
    evolink-batches/ID.db in llm's folder.

    Exit code: 0 if all rows have an answer, 1 if some have none, 130 if interrupted.
    """  # noqa: D301  # click's mark for a paragraph that keeps its lines
    with ExitStack() as stack:
        stack.enter_context(sigterm_as_ctrl_c())
        stack.enter_context(without_notices())
        try:
            code = _run(stack, **flags)
        except KeyboardInterrupt:
            click.echo("Interrupted; to continue, run the same command again", err=True)
            code = INTERRUPTED
    if code:
        raise SystemExit(code)


def _run(stack: ExitStack, **flags: Any) -> int:
    """Run the batch; return the exit code. Raises click.ClickException."""
    path, prompt = _input(flags["arguments"], flags["sql"], flags["attach"], flags["template"])
    template, model = read_prompt(
        prompt,
        system=flags["system"],
        template=flags["template"],
        model_id=flags["model_id"],
        attachments=flags["attachment"],
        fragments=flags["fragment"],
        schema=flags["schema"],
        options=dict(flags["options"]),
    )
    requests = Requests(template, server_of(model))
    cost = _cost(model.model_id, needed=flags["max_cost"] is not None)
    if flags["sql"]:
        table = query_table(flags["sql"], flags["attach"], flags["id_column"])
    else:
        table = open_table(path, flags["file_format"], flags["id_column"])
    stack.callback(table.close)
    name = flags["name"] or batch_id(path, flags["sql"], flags["attach"], template)
    database = state_path(flags["database"], name)
    if flags["output"]:
        check_output(flags["output"], path, flags["attach"], database)
    table.check(requests.columns)
    requests.refuse_constant(table.columns, QUOTES)
    count = min(table.ids.count, flags["limit"] or table.ids.count)
    if flags["dry_run"]:
        for line in preview(islice(table, count), requests, database, again=flags["again"]):
            click.echo(line)
        return 0

    key = key_of(model, flags["key"])
    rates = Rates(flags["rpm"], flags["tpm"])
    numbers = {name: flags[name] for name in ("max_failures", "max_tokens", "max_cost", "max_wait")}
    limits = Limits(**numbers, cost=cost)
    state = State(database)
    stack.callback(state.close)
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
    target = file or StandardOutput(run)
    output = Output(target.write, state, table.ids, template.schema, as_csv=flags["as_csv"])
    if flags["again"]:
        state.forget(map(table.ids.at, range(count)))
    show_bar = sys.stderr.isatty() and (file is not None or not sys.stdout.isatty())
    outcome = asyncio.run(ask_rows(run, output, count, cost, show_bar=show_bar))

    progress = run.progress
    lines = list(summary(progress, count, cost))
    if flags["limit"] and outcome.rows:
        lines.append(estimate(outcome.tokens, outcome.rows, table.ids.count, cost))
    complete = progress.done == count and not outcome.error
    if file and complete:
        file.replace()
    elif file:
        lines.append(f"{flags['output']} was not written")
    lines.append(f"Batch {name}: {database}")
    # Rows whose answer was cut are not asked again.
    if not complete or progress.failed > progress.failures.get(CUT, 0):
        lines.append("To continue, run the same command again")
    click.echo("\n".join(lines), err=True)
    if outcome.error:
        raise outcome.error
    if outcome.interrupted:
        return INTERRUPTED
    if progress.stopped:
        raise BatchError(progress.stopped)
    return int(not complete or progress.failed > 0)


def _input(
    arguments: tuple[str, ...],
    sql: str | None,
    attach: tuple[tuple[str, str], ...],
    template: str | None,
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
    path, prompt = arguments[0], arguments[1] if len(arguments) > 1 else None
    if not prompt and not template and path != "-" and not os.path.exists(path):
        raise click.UsageError(
            f"{path!r} was taken as the FILE, and there is no such file: give FILE, or - for "
            "standard input, and PROMPT"
        )
    return path, prompt


def _cost(model_id: str, *, needed: bool) -> Cost | None:
    """Return the cost of tokens by llm evolink's prices, None without a price."""
    path = user_folder() / prices.FILE_NAME
    price = prices.pricing(prices.read_prices(path), {})(model_id)
    if price is None:
        if needed:
            raise click.ClickException(f"--max-cost needs a price of {model_id} in {path}")
        return None

    def cost(tokens: Tokens) -> float:
        counts: Any = {f"{name}_tokens": number for name, number in tokens._asdict().items()}
        return prices.cost_of(counts, price) or 0.0

    return cost
