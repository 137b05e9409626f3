"""What was spent: token counts, durations and cost, read from llm's log."""

import json
import math
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from ...constants import MODEL_ID
from .log import MalformedError, read_groups
from .prices import Price, cost_of


def _week(day: str) -> str:
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


# What a row can stand for: the name of its label, and the label of a group that SQL summed.
LABELS: dict[str, tuple[str, Callable[[str], str]]] = {
    "day": ("period", str),
    "week": ("period", _week),
    "month": ("period", lambda day: day[:7]),
    "model": ("model", str),
    "conversation": ("conversation", str),
}
# Which count each of the others is a part of.
_WHOLE = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
    "image_tokens": "input_tokens",
}


@dataclass
class Report:
    """What `report` found.

    Attributes:
        by: What a row stands for, one of LABELS.
        rows: A dict a row, as `--json` shows it; periods in time order, else most tokens first.
        total: The same of all rows together, without a label.
        unpriced: Models whose tokens are not in `cost`, for want of a price.
    """

    by: str
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    unpriced: list[str]


def report(
    path: Path,
    *,
    by: str = "day",
    models: Sequence[str] = (MODEL_ID,),
    since: datetime | None = None,
    until: datetime | None = None,
    utc: bool = False,
    price_of: Callable[[str], Price | None] = lambda model: None,
) -> Report:
    """Add up the prompts in a log database, which is opened so that it cannot be written.

    Days are those of the system's time zone, or of UTC; a period without prompts has no row.
    `since` is included, `until` is not; both need a time zone. No `models` means all. `price_of`
    a model is as in the file that `read_prices` reads. Memory grows with the rows of the report,
    not with the prompts.

    A count is None where no prompt said it; percentiles are interpolated, in whole milliseconds;
    `cost` leaves out what has no price, and is None where nothing has one.

    Raises ClickException when the database is missing, unreadable or not one of llm.
    """
    ask = partial(_report, path, by, models, since, until, utc, price_of)
    try:
        # To have SQLite check all JSON costs a tenth of the time; llm writes none that is bad.
        return ask(checked=False)
    except MalformedError:
        return ask(checked=True)


# Adding up


def _report(
    path: Path,
    by: str,
    models: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    utc: bool,
    price_of: Callable[[str], Price | None],
    *,
    checked: bool,
) -> Report:
    name, label = LABELS[by]
    total = _Sum()
    rows = []
    unpriced = set()
    groups = read_groups(path, by, models, since, until, utc, checked)
    for key, group in groupby(groups, lambda part: part["key"] and label(part["key"])):
        row = _Sum()
        row_name = {}
        for part in group:
            price = price_of(part["model"])
            cost = cost_of(part, price) if price else None
            if not price:
                unpriced.add(part["model"])
            durations = json.loads(part["durations"])
            for target in (row, total):
                target.add(part, durations, cost)
            if by == "conversation":
                row_name = {"name": part["name"]}
        rows.append({name: key, **row_name, **row.as_dict()})
    if name != "period":
        rows.sort(key=tokens, reverse=True)
    return Report(by, rows, total.as_dict(), sorted(unpriced))


class _Sum:
    """What several groups come to."""

    def __init__(self) -> None:
        self.prompts = 0
        self.unknown_usage = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(_WHOLE)
        self.cost: float | None = None
        self.durations = _Durations()

    def add(self, group: sqlite3.Row, durations: list[int], cost: float | None) -> None:
        self.prompts += group["prompts"]
        self.unknown_usage += group["unknown_usage"]
        for name, whole in _WHOLE.items():
            if group[whole] is not None:
                self.tokens[name] = (self.tokens[name] or 0) + int(group[name] or 0)
        if cost is not None:
            self.cost = (self.cost or 0) + cost
        self.durations.add(durations)

    def as_dict(self) -> dict[str, Any]:
        tokens = self.tokens if self.prompts else dict.fromkeys(_WHOLE, 0)
        p50, p95 = self.durations.percentiles(0.5, 0.95)
        return {
            "prompts": self.prompts,
            **tokens,
            "unknown_usage": self.unknown_usage,
            "duration_ms_p50": p50,
            "duration_ms_p95": p95,
            "cost": self.cost and round(self.cost, 9),
        }


class _Durations:
    """Milliseconds, for their percentiles: beyond some, only how often each came."""

    def __init__(self) -> None:
        self._some: list[int] = []
        self._counts: Counter[int] = Counter()

    def add(self, durations: list[int]) -> None:
        self._some += durations
        if len(self._some) > 20_000:
            self._counts.update(self._some)
            self._some.clear()

    def percentiles(self, *shares: float) -> list[int | None]:
        """Return the duration below which each share of them lies; None when there are none."""
        if self._counts:
            self._counts.update(self._some)
            lengths = sorted(self._counts)
            ends = list(accumulate(map(self._counts.__getitem__, lengths)))
            return [
                _interpolated(lambda rank: lengths[bisect_right(ends, rank)], ends[-1], share)
                for share in shares
            ]
        ordered = sorted(self._some)
        return [_interpolated(ordered.__getitem__, len(ordered), share) for share in shares]


def _interpolated(at: Callable[[int], int], count: int, share: float) -> int | None:
    if not count:
        return None
    below, rest = divmod(share * (count - 1), 1)
    low, high = at(int(below)), at(math.ceil(share * (count - 1)))
    return round(low + (high - low) * rest)


def tokens(row: Mapping[str, Any]) -> int:
    """Return the tokens of a row, in and out; 0 for unknown ones."""
    return (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
