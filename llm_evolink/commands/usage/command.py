"""`llm evolink usage`."""

import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import llm

from ...llm_folder import user_folder
from ..options import not_empty
from ..registered import registered_models
from . import output, prices
from .log import Selection, log_paths
from .page import as_page, read_days, write_page
from .period import period
from .report import LABELS, Report, report
from .table import as_table


def _price(value: str) -> float:
    with suppress(ValueError):
        price = float(value)
        if 0 <= price < float("inf"):
            return price
    raise click.BadParameter(f"{value!r} is not a price")


@click.command(short_help="Show how many tokens were used, and what they cost.")
@click.option(
    "--by",
    type=click.Choice(list(LABELS)),
    default="day",
    show_default=True,
    help="What to group prompts by.",
)
@click.option(
    "--since",
    metavar="WHEN",
    callback=not_empty,
    help="From this date (2026-11-23, today, yesterday) or time ago (7d, 24h).",
)
@click.option(
    "--until",
    metavar="WHEN",
    callback=not_empty,
    help="Up to and including this date (2026-11-30), or up to a time ago (7d).",
)
@click.option("--utc", is_flag=True, help="Use days of UTC instead of your time zone's.")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    callback=not_empty,
    help="Count this model instead of EvoLink's. Repeatable.",
)
@click.option("--all", "every", is_flag=True, help="Count every model.")
@click.option(
    "--price-in", type=_price, metavar="PRICE", help="Price of a million input tokens; adds cost."
)
@click.option("--price-out", type=_price, metavar="PRICE", help="Price of a million output tokens.")
@click.option(
    "--price-cached",
    type=_price,
    metavar="PRICE",
    help="Price of a million cached input tokens, if they cost less.",
)
@click.option("--json", "json_", is_flag=True, help="Output as JSON.")
@click.option("--csv", "csv_", is_flag=True, help="Output as CSV.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    callback=not_empty,
    help="Write a web page with charts by day and model to FILE, - for standard output.",
)
@click.option(
    "-d",
    "--database",
    type=click.Path(dir_okay=False),
    callback=not_empty,
    help="Path to log database.",
)
def usage(
    by: str,
    since: str | None,
    until: str | None,
    utc: bool,
    models: tuple[str, ...],
    every: bool,
    price_in: float | None,
    price_out: float | None,
    price_cached: float | None,
    json_: bool,
    csv_: bool,
    html: str | None,
    database: str | None,
) -> None:
    """Show how many tokens were used, from llm's log and the files of batches.

    Cached and image tokens are part of the input, reasoning is part of the output;
    p50 and p95 are the median and the 95th percentile of the duration of prompts.
    A prompt whose usage is unknown is counted as unknown, not as zero. A narrow
    terminal shows fewer columns; --json and --csv have all.

    Prompts that a server other than EvoLink's answered, such as the sandbox, are
    counted apart and have no cost; --by server and --by batch show them all.

    Prices can be kept in evolink-prices.json, in the folder of `llm logs path`:

    \b
        {"gemini-3.5-flash": {"in": 1, "out": 2, "cached": 0.5}}
    """  # noqa: D301  # click's mark for a paragraph that keeps its lines
    if sum([json_, csv_, html is not None]) > 1:
        raise click.UsageError("--json, --csv and --html exclude each other")
    if models and every:
        raise click.UsageError("--model and --all exclude each other")
    first, last = period(since, until, datetime.now(UTC), utc=utc)
    folder = user_folder()
    stored = prices.read_prices(folder / prices.FILE_NAME)
    flags = {"in": price_in, "out": price_out, "cached": price_cached}
    given = {name: price for name, price in flags.items() if price is not None}
    price_of = prices.pricing(stored, given)
    paths = [Path(database)] if database else log_paths(folder)
    selection = Selection([] if every else _model_ids(models), first, last, utc)

    found = report(*paths, by=by, selection=selection, price_of=price_of)
    if html:
        page = as_page(read_days(paths, selection, price_of))
        _write(html, page)
    else:
        _print(found, json_=json_, csv_=csv_)
    lines = output.notes(
        found,
        models=selection.models,
        limited=bool(first or last),
        priced=bool(stored or given),
    )
    if (folder / "logs-off").exists():
        lines.append("Logging is off, so new prompts are not counted; turn it on with: llm logs on")
    for line in lines:
        click.echo(line, err=True)


def _write(html: str, page: str) -> None:
    """Write the page to the file and print its path, or to standard output for `-`."""
    if html == "-":
        click.echo(page.encode(), nl=False)
        return
    write_page(Path(html), page)
    click.echo(html)


def _model_ids(models: tuple[str, ...]) -> list[str]:
    """Return the ids of the models with these names, of EvoLink's own if there are none."""
    if not models:
        return [model.model_id for model, _ in registered_models()]
    ids = list(models)
    for position, model in enumerate(models):
        with suppress(llm.UnknownModelError):
            ids[position] = llm.get_model(model).model_id
    return ids


def _print(found: Report, *, json_: bool, csv_: bool) -> None:
    if json_:
        click.echo(output.as_json(found))
    elif csv_:
        click.echo(output.as_csv(found))
    elif found.rows or found.other_servers["prompts"]:
        width = shutil.get_terminal_size(fallback=(120, 24)).columns
        click.echo(as_table(found, width, sys.stdout.encoding))
