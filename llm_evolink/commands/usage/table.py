"""A usage report as a table for a terminal, with bars."""

import math
from collections.abc import Sequence
from typing import Any

from ..cells import cells, padded
from .output import printable
from .report import LABELS, Report, tokens

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
# Left out when they are empty.
_OPTIONAL = _HEADINGS.keys() - {"prompts", "input_tokens", "output_tokens"}
# Left out in this order when the terminal is too narrow; the first five make room for names.
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
_MIN_BAR, _MAX_BAR = 6, 20
_MIN_NAME, _MAX_NAME = 8, 20
_ELLIPSIS = "…"


def as_table(report: Report, width: int, encoding: str = "utf-8") -> str:
    """Return the rows and the total as a table whose lines have at most `width` cells.

    In a narrow terminal bars are left out first, then columns. Bars show the cost, or tokens where
    there is no cost. Characters that the encoding lacks are shown in ASCII.
    """
    try:
        (_BAR + _ELLIPSIS).encode(encoding)
        bar, ellipsis = _BAR, _ELLIPSIS
    except UnicodeEncodeError:
        bar, ellipsis = "#", "~"
    label = LABELS[report.by][0]
    totals = {"total": report.total}
    if report.other_servers["prompts"] and report.others_apart:
        totals["other servers"] = {**report.other_servers, "cost": ""}
    labels = [report.by if label == "period" else label]
    none = "no batch" if report.by == "batch" else None
    labels += [printable(row[label] or none) for row in report.rows] + [*totals]
    rows = [*report.rows, *totals.values()]
    columns = {
        key: _right_aligned([heading, *(_number(key, row[key], report) for row in rows)])
        for key, heading in _HEADINGS.items()
        if key not in _OPTIONAL or any(row[key] for row in totals.values())
    }
    label_width = max(map(cells, labels))
    room = _drop_columns(columns, width - label_width, _name_room(report))
    label_width = min(label_width, width)
    tails = [*_tails(report, room - len(_GAP), bar, ellipsis), *[""] * len(totals)]
    lines = zip(
        [_fitted(label, label_width, ellipsis) for label in labels],
        *columns.values(),
        tails,
        strict=True,
    )
    table = "\n".join(_GAP.join(line).rstrip() for line in lines)
    return table.encode(encoding, "replace").decode(encoding)


def _name_room(report: Report) -> int:
    """Return the cells for the names of conversations and their gap; 0 without names."""
    longest = max((cells(name) for name in _names(report)), default=0)
    return min(longest, _MAX_NAME) + len(_GAP) if longest else 0


def _names(report: Report) -> list[str]:
    return [printable(row.get("name") or "") for row in report.rows]


def _drop_columns(columns: dict[str, list[str]], width: int, name_room: int) -> int:
    """Remove the columns that do not fit in the width; return the cells that are left."""

    def room() -> int:
        return width - sum(len(cells[0]) + len(_GAP) for cells in columns.values())

    for position, key in enumerate(_DISPENSABLE):
        if room() < (name_room if position < 5 else 0):
            columns.pop(key, None)
    return room()


def _tails(report: Report, room: int, bar: str, ellipsis: str) -> list[str]:
    """Return the last columns, with their heading: bars, and the names of conversations."""
    names = ["name", *_names(report)]
    name_width = min(max((cells(name) for name in names[1:]), default=0), room)
    if name_width < _MIN_NAME:
        name_width = 0
    bar_width = min(_MAX_BAR, room - name_width - (len(_GAP) if name_width else 0))
    has_cost = bool(report.total["cost"])
    measures = [row["cost"] or 0 if has_cost else tokens(row) for row in report.rows]
    longest = max(measures, default=0)
    bars = ["cost" if has_cost else "tokens"]
    bars += [_bar(measure / longest if longest else 0, bar_width, bar) for measure in measures]
    tails = []
    for drawn, name in zip(bars, names, strict=True):
        parts = [drawn.ljust(bar_width)] if bar_width >= _MIN_BAR and longest else []
        if name_width:
            parts.append(_fitted(name, name_width, ellipsis))
        tails.append(_GAP.join(parts))
    return tails


def _bar(share: float, width: int, steps: str) -> str:
    """Return a bar of up to `width` cells; any share above 0 is visible."""
    full, rest = divmod(math.ceil(share * width * len(steps)), len(steps))
    return steps[-1] * full + steps[rest - 1 : rest]


def _number(key: str, value: Any, report: Report) -> str:
    if value is None:
        return "?"
    if key == "cost" and value != "":
        return f"{value:,.{4 if (report.total[key] or 0) >= 1 else 6}f}"
    return f"{value:,}" if value != "" else ""


def _right_aligned(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _fitted(text: str, width: int, ellipsis: str) -> str:
    """Return the text cut or padded to the width."""
    if cells(text) > width:
        while cells(text) > width - 1:
            text = text[:-1]
        text += ellipsis
    return padded(text, width)
