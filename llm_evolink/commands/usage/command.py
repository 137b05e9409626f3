"""`llm evolink usage`."""

import re
import shutil
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import click
import llm

from ...constants import MODEL_ID
from . import output, prices
from .report import report as read_report


def _price(value: str) -> float:
    with suppress(ValueError):
        price = float(value)
        if 0 <= price < float("inf"):
            return price
    raise click.BadParameter(f"{value!r} is not a price")


@click.command()
@click.option(
    "--by",
    type=click.Choice(["day", "week", "month", "model", "conversation"]),
    default="day",
    show_default=True,
    help="What a row stands for.",
)
@click.option("--since", metavar="WHEN", help="From this date (2026-11-23) or time ago (7d, 24h).")
@click.option("--until", metavar="WHEN", help="To this date, included, or time ago.")
@click.option("--utc", is_flag=True, help="Days of UTC, not of your time zone.")
@click.option(
    "-m", "--model", "models", multiple=True, help="Count this model, not ours. Repeatable."
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
@click.option("-d", "--database", type=click.Path(dir_okay=False), help="Path to log database.")
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
    database: str | None,
) -> None:
    """Show the tokens that were used, from llm's log.

    Cached and image tokens are part of the input, reasoning is part of the output;
    p50 and p95 are the median and the 95th percentile of how long prompts took.
    A prompt whose usage is unknown is counted as unknown, not as zero. A narrow
    terminal shows fewer columns; --json and --csv have all.

    Prices can be kept in evolink-prices.json, in the folder of `llm logs path`:

    \b
        {"gemini-3.5-flash": {"in": 1, "out": 2, "cached": 0.5}}
    """  # noqa: D301  # click's mark for a paragraph that keeps its lines
    if json_ and csv_:
        raise click.UsageError("--json and --csv exclude each other")
    if models and every:
        raise click.UsageError("--model and --all exclude each other")
    now = datetime.now(UTC)
    bounds: dict[str, datetime] = {}
    for name, text in (("since", since), ("until", until)):
        if text:
            try:
                bounds[name] = moment(text, now, utc=utc, end=name == "until")
            except ValueError as error:
                raise click.BadParameter(str(error), param_hint=f"'--{name}'") from None
    if len(bounds) == 2 and bounds["since"] >= bounds["until"]:
        raise click.UsageError("--since is not before --until")

    folder = llm.user_dir()  # type: ignore[no-untyped-call]
    stored = prices.read_prices(folder / "evolink-prices.json")
    flags = {"in": price_in, "out": price_out, "cached": price_cached}
    given = {name: price for name, price in flags.items() if price is not None}
    if given and not stored and not {"in", "out"} <= given.keys():
        raise click.UsageError("cost needs both --price-in and --price-out")

    ids = [] if every else list(models) or [MODEL_ID]
    for place, model in enumerate(ids):
        with suppress(llm.UnknownModelError):
            ids[place] = llm.get_model(model).model_id
    report = read_report(
        Path(database) if database else folder / "logs.db",
        by=by,
        models=ids,
        utc=utc,
        price_of=prices.pricing(stored, given),
        **bounds,
    )
    if json_:
        click.echo(output.as_json(report))
    elif csv_:
        click.echo(output.as_csv(report))
    elif report.rows:
        width = shutil.get_terminal_size(fallback=(120, 24)).columns
        click.echo(output.as_table(report, width, sys.stdout.encoding))
    notes = output.notes(report, models=ids, bounded=bool(bounds), priced=bool(stored or given))
    if (folder / "logs-off").exists():
        notes.append("Logging is off, so new prompts are not counted; turn it on with: llm logs on")
    for note in notes:
        click.echo(note, err=True)


def moment(text: str, now: datetime, *, utc: bool = False, end: bool = False) -> datetime:
    """Return the moment that a date (2026-11-23) or a time ago (7d, 24h) names, in UTC.

    A date is its first moment, or with `end` the first of the next day, in the system's time zone
    or in UTC. Raises ValueError for anything else.
    """
    try:
        if ago := re.fullmatch(r"([0-9]+)([hd])", text):
            return now - timedelta(hours=int(ago[1]) * {"h": 1, "d": 24}[ago[2]])
        day = date.fromisoformat(text) + timedelta(days=end)
        return datetime.combine(day, time(), UTC if utc else None).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a date such as 2026-11-23, nor 7d or 24h") from None
