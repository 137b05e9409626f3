"""`llm evolink`: commands beside the model."""

from pathlib import Path
from typing import Any

import click


@click.group()
def evolink() -> None:
    """Commands for EvoLink; llm_evolink registers them, with their help, as `llm evolink`."""


def _failure(value: str) -> tuple[int, int]:
    status, _, count = value.partition(":")
    if not (status.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a status and a count, such as 429:2")
    return int(status), int(count)


_SECONDS = click.FloatRange(min=0)


@evolink.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--backend",
    metavar="MODEL",
    help="Let this model of llm answer; made-up text is the default.",
)
@click.option(
    "--reply",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Replies of your own: a YAML or JSON list of objects, each with a prompt (a regular "
    "expression) and a reply. The first that fits is given.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append each request to FILE as a line of JSON, without its key.",
)
@click.option(
    "--fail",
    type=_failure,
    metavar="STATUS:COUNT",
    multiple=True,
    help="Answer the first COUNT requests with the error STATUS. Repeatable.",
)
@click.option(
    "--latency", type=_SECONDS, metavar="SECONDS", default=0, help="Wait before each answer."
)
@click.option(
    "--chunk-delay",
    type=_SECONDS,
    metavar="SECONDS",
    default=0,
    help="Wait after each event of a stream.",
)
@click.option(
    "--cut-after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Drop the connection after N chunks of a stream.",
)
@click.option("--garble", is_flag=True, help="Send a chunk that is not JSON in each stream.")
def sandbox(**settings: Any) -> None:
    """Run a local server that answers as EvoLink would.

    It checks each request against EvoLink's document, takes any key, and answers
    with made-up text that echoes the prompt. A prompt that names an offered tool has
    it called, with the JSON object that follows the name. With --reply the answers are
    yours, with --backend those of a model that is installed in llm.

    It prints the two lines to paste into another shell, and then a line for each
    request: its status, tokens in and out, milliseconds. Ctrl-C stops it.
    """
    try:
        from .sandbox.command import run
    except ModuleNotFoundError:
        raise click.ClickException(
            "the sandbox needs its extra: llm install 'llm-evolink[sandbox]'"
        ) from None
    run(**settings)


def _price(value: str) -> float:
    from contextlib import suppress

    with suppress(ValueError):
        price = float(value)
        if 0 <= price < float("inf"):
            return price
    raise click.BadParameter(f"{value!r} is not a price")


@evolink.command()
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
    import shutil
    import sys
    from contextlib import suppress
    from datetime import UTC, datetime
    from pathlib import Path

    import llm

    from . import usage as log
    from . import usage_display

    if json_ and csv_:
        raise click.UsageError("--json and --csv exclude each other")
    if models and every:
        raise click.UsageError("--model and --all exclude each other")
    now = datetime.now(UTC)
    bounds: dict[str, datetime] = {}
    for name, text in (("since", since), ("until", until)):
        if text:
            try:
                bounds[name] = log.moment(text, now, utc=utc, end=name == "until")
            except ValueError as error:
                raise click.BadParameter(str(error), param_hint=f"'--{name}'") from None
    if len(bounds) == 2 and bounds["since"] >= bounds["until"]:
        raise click.UsageError("--since is not before --until")

    folder = llm.user_dir()  # type: ignore[no-untyped-call]
    stored = log.read_prices(folder / "evolink-prices.json")
    flags = {"in": price_in, "out": price_out, "cached": price_cached}
    given = {name: price for name, price in flags.items() if price is not None}
    if given and not stored and not {"in", "out"} <= given.keys():
        raise click.UsageError("cost needs both --price-in and --price-out")

    ids = [] if every else list(models) or list(log.OURS)
    for place, model in enumerate(ids):
        with suppress(llm.UnknownModelError):
            ids[place] = llm.get_model(model).model_id
    report = log.report(
        Path(database) if database else folder / "logs.db",
        by=by,
        models=ids,
        utc=utc,
        price_of=log.pricing(stored, given),
        **bounds,
    )
    if json_:
        click.echo(usage_display.as_json(report))
    elif csv_:
        click.echo(usage_display.as_csv(report))
    elif report.rows:
        width = shutil.get_terminal_size(fallback=(120, 24)).columns
        click.echo(usage_display.as_table(report, width, sys.stdout.encoding))
    notes = usage_display.notes(
        report, models=ids, bounded=bool(bounds), priced=bool(stored or given)
    )
    if (folder / "logs-off").exists():
        notes.append("Logging is off, so new prompts are not counted; turn it on with: llm logs on")
    for note in notes:
        click.echo(note, err=True)


@evolink.command()
@click.option("--json", "json_", is_flag=True, help="Output as JSON.")
def doctor(json_: bool) -> None:
    """Check what a prompt needs: key, servers, log and so on.

    Each check is a line: ok; note, for what works and may surprise you; or broken,
    with what to do. Exits with 1 if something is broken. --json gives a list of
    objects with check, status and message.

    Each server is sent a request without messages, which it has to refuse: that
    tells whether it accepts the key, and nothing is generated or billed. The key
    is never shown but for its last four characters.
    """
    import shutil
    import sys

    from . import doctor as checks

    findings = []
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for finding in checks.examine():
        findings.append(finding)
        if not json_:
            click.echo(checks.as_lines(finding, width, sys.stdout.encoding))
    if json_:
        click.echo(checks.as_json(findings))
    if any(finding.status == "broken" for finding in findings):
        raise click.exceptions.Exit(1)
