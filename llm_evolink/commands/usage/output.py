"""A usage report as a table, JSON or CSV, and what to say beside it."""

import csv
import io
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from .report import LABELS, Report, tokens


def notes(report: Report, *, models: Sequence[str], bounded: bool, priced: bool) -> list[str]:
    """Return what a reader of the report should know besides.

    `bounded` tells that it was limited in time, `priced` that there were prices.
    """
    lines = []
    if not report.rows:
        named = f" of {', '.join(models)}" if models else ""
        period = " in that time" if bounded else ""
        others = "; --all counts every model" if models else ""
        lines.append(f"No prompts{named} are logged{period}{others}")
    if unknown := report.total["unknown_usage"]:
        lines.append(f"The server did not say all that it used for {unknown:,} of the prompts")
    if priced and report.unpriced:
        lines.append(f"Not in the cost, for want of a price: {', '.join(report.unpriced)}")
    return lines


def as_json(report: Report) -> str:
    """Return the rows and the total as JSON."""
    return json.dumps({"rows": report.rows, "total": report.total}, indent=2)


def as_csv(report: Report) -> str:
    """Return the rows as CSV below the names of their columns; what is not known is empty."""
    names = ["name"] if report.by == "conversation" else []
    lines = io.StringIO()
    writer = csv.DictWriter(
        lines, [LABELS[report.by][0], *names, *report.total], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(report.rows)
    return lines.getvalue().removesuffix("\n")


_HEADINGS = {
    "prompts": "prompts",
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_tokens": "cached",
    "reasoning_tokens": "reasoning",
    "image_tokens": "image",
    "unknown_usage": "unknown",
    "duration_ms_p50": "p50 ms",
    "duration_ms_p95": "p95 ms",
    "cost": "cost",
}
# Left out when there is nothing in them.
_OPTIONAL = _HEADINGS.keys() - {"prompts", "input_tokens", "output_tokens"}
# Left out in this order when the terminal is too narrow.
_DISPENSABLE = (
    "image_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "duration_ms_p95",
    "duration_ms_p50",
    "unknown_usage",
    "prompts",
    "output_tokens",
    "input_tokens",
    "cost",
)
_GAP = "  "
_BAR = "▏▎▍▌▋▊▉█"
_ELLIPSIS = "…"


def as_table(report: Report, width: int, encoding: str = "utf-8") -> str:
    """Return the rows and the total as a table, no line of which is wider than `width` cells.

    Bars go first for want of room, then columns. They show the cost, or tokens where that is not
    known. What the encoding has not is shown in ASCII. Needs at least a row.
    """
    try:
        (_BAR + _ELLIPSIS).encode(encoding)
        bar, ellipsis = _BAR, _ELLIPSIS
    except UnicodeEncodeError:
        bar, ellipsis = "#", "~"
    rows = [*report.rows, report.total]
    labels = [LABELS[report.by][0] if report.by in ("model", "conversation") else report.by]
    labels += [_printable(row[LABELS[report.by][0]]) for row in report.rows] + ["total"]
    columns = {
        key: _right([heading, *(_number(key, row, report) for row in rows)])
        for key, heading in _HEADINGS.items()
        if key not in _OPTIONAL or report.total[key]
    }

    longest_name = max(_cells(_printable(row.get("name") or "")) for row in rows)
    name_room = min(longest_name, 20) + len(_GAP) if longest_name else 0

    def room() -> int:
        used = sum(len(cells[0]) + len(_GAP) for cells in columns.values())
        return width - max(map(_cells, labels)) - used

    for key in _DISPENSABLE:
        # Names are worth more than what else a conversation can do without.
        if room() < (name_room if key in _DISPENSABLE[:5] else 0):
            columns.pop(key, None)
    label_width = min(max(map(_cells, labels)), width)
    cells = [
        [_fit(label, label_width, ellipsis) for label in labels],
        *columns.values(),
        _tails(report, room() - len(_GAP), bar, ellipsis),
    ]
    table = "\n".join(_GAP.join(line).rstrip() for line in zip(*cells, strict=True))
    return table.encode(encoding, "replace").decode(encoding)


def _tails(report: Report, room: int, bar: str, ellipsis: str) -> list[str]:
    """Return what stands right of the numbers: bars, and the names of conversations."""
    names = [_printable(row.get("name") or "") for row in report.rows]
    name_width = min(max(map(_cells, names)), room)
    if name_width < 8:
        name_width = 0
    bar_width = min(20, room - name_width - (len(_GAP) if name_width else 0))
    measures = [row["cost"] or 0 if report.total["cost"] else tokens(row) for row in report.rows]
    longest = max(measures)
    tails = []
    for name, measure in zip(names, measures, strict=True):
        parts = []
        if bar_width >= 4:
            share = measure / longest if longest else 0
            parts.append(_bar(share, bar_width, bar).ljust(bar_width))
        if name_width:
            parts.append(_fit(name, name_width, ellipsis))
        tails.append(_GAP.join(parts))
    return ["", *tails, ""]


def _bar(share: float, width: int, steps: str) -> str:
    """Return a bar of up to `width` cells; one that stands for something is seen."""
    full, rest = divmod(math.ceil(share * width * len(steps)), len(steps))
    return steps[-1] * full + steps[rest - 1 : rest]


def _number(key: str, row: Mapping[str, Any], report: Report) -> str:
    value = row[key]
    if value is None:
        return "?"
    if key == "cost":
        return f"{value:,.{4 if report.total[key] >= 1 else 6}f}"
    return f"{value:,}"


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _printable(text: str | None) -> str:
    """Return what a terminal shows as it is: a log may hold anything."""
    if text is None:
        return "unknown"
    return "".join(character if character.isprintable() else " " for character in text)


def _cells(text: str) -> int:
    """Return the cells that text takes in a terminal, at most."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def _fit(text: str, width: int, ellipsis: str) -> str:
    if _cells(text) > width:
        while _cells(text) > width - 1:
            text = text[:-1]
        text += ellipsis
    return text + " " * (width - _cells(text))
