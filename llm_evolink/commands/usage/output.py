"""A usage report as JSON or CSV, and notes on it."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from .report import LABELS, Report, tokens


def notes(report: Report, *, models: Sequence[str], limited: bool, priced: bool) -> list[str]:
    """Return the notes on a report, a line each.

    Args:
        report: The report.
        models: Ids of the models it is limited to; none means all.
        limited: Whether it is limited to a time.
        priced: Whether there are prices.
    """
    lines = []
    other = report.other_servers
    if not report.rows and not other["prompts"]:
        named = f" of {', '.join(models)}" if models else ""
        period = " in that time" if limited else ""
        others = "; --all counts every model" if models else ""
        lines.append(f"No prompts{named} are logged{period}{others}")
    if unknown := report.total["unknown_usage"]:
        lines.append(f"The server did not report the complete usage of {unknown:,} prompts")
    if report.other_urls:
        apart = " and are counted apart; see --by server" if report.others_apart else ""
        lines.append(
            f"{other['prompts']:,} prompts with {tokens(other):,} tokens were answered by servers "
            f"other than EvoLink's ({', '.join(map(printable, report.other_urls))}), which are not "
            f"priced{apart}"
        )
    if priced and report.unpriced:
        lines.append(f"Not in the cost, because they have no price: {', '.join(report.unpriced)}")
    return lines


def as_json(report: Report) -> str:
    """Return the rows, the total and the other servers' total as JSON."""
    found = {
        "rows": report.rows,
        "total": report.total,
        "other_servers": {**report.other_servers, "urls": report.other_urls},
    }
    return json.dumps(found, indent=2)


def as_csv(report: Report) -> str:
    """Return the rows as CSV with a header; an unknown value is an empty cell."""
    names = ["name"] if report.by == "conversation" else []
    lines = io.StringIO()
    columns = [LABELS[report.by][0], *names, *report.total]
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in report.rows)
    return lines.getvalue().removesuffix("\n")


def _cell(value: Any) -> Any:
    """Return the value so that a spreadsheet shows text and does not run it as a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def printable(text: str | None) -> str:
    """Return the text with a space for each control character; "unknown" for None."""
    if text is None:
        return "unknown"
    return "".join(character if character.isprintable() else " " for character in text)
