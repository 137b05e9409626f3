"""A usage report: token counts, durations and cost, added up from groups of logged prompts."""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import groupby
from pathlib import Path
from statistics import quantiles
from typing import Any

from .log import Selection, read_groups
from .prices import Price, cost_of

PriceOf = Callable[[str], Price | None]
"""Returns the price of a model by its id, None for a model without one."""


def _week(day: str) -> str:
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02}"


LABELS: dict[str, tuple[str, Callable[[str], str]]] = {
    "day": ("period", str),
    "week": ("period", _week),
    "month": ("period", lambda day: day[:7]),
    "model": ("model", str),
    "conversation": ("conversation", str),
    "server": ("server", str),
    "batch": ("batch", str),
}
"""By what rows are grouped: the name of the label, and the label of a key that SQL returned."""

# Each count and the count that it is a part of.
_TOTAL_OF = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
    "image_tokens": "input_tokens",
}


@dataclass
class Report:
    """Sums of logged prompts.

    Attributes:
        by: By what rows are grouped, one of LABELS.
        rows: A dict for each row, as `--json` shows it; periods in time order, other rows with the
            most tokens first. Prompts that another server answered are left out if `others_apart`.
        total: The same for all rows together, without a label.
        other_servers: The same for the prompts that a server other than EvoLink's answered, which
            have no cost; they are in `total` as well unless `others_apart`.
        other_urls: URLs of those servers.
        unpriced: Models whose tokens are not in `cost`, because they have no price.
    """

    by: str
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    other_servers: dict[str, Any]
    other_urls: list[str]
    unpriced: list[str]

    @property
    def others_apart(self) -> bool:
        """Whether prompts that another server answered are left out of the rows and `total`."""
        return _others_apart(self.by)


def _others_apart(by: str) -> bool:
    return by not in ("server", "batch")


def report(
    *paths: Path,
    by: str = "day",
    selection: Selection | None = None,
    price_of: PriceOf = lambda model: None,
) -> Report:
    """Return the usage of the selected prompts in log databases, which are opened read-only.

    A period without prompts has no row. A count is None where no prompt has it; percentiles are
    interpolated, in whole milliseconds; `cost` leaves out prompts without a price, and is None if
    no prompt has one. Of each prompt only its duration is kept in memory.

    Raises ClickException when a database is missing, unreadable or not one of llm.
    """
    name, label = LABELS[by]
    total, other = _Sum(), _Sum()
    rows = []
    unpriced, other_urls = set(), set()
    groups = read_groups(paths, by, selection or Selection())
    for key, parts in groupby(groups, lambda part: part["key"] and label(part["key"])):
        row = _Sum()
        row_name = {}
        for part in parts:
            is_other = not is_evolink(part["server"])
            price = None if is_other else price_of(part["model"])
            cost = cost_of(part, price) if price else None
            durations = json.loads(part["durations"])
            if is_other:
                other_urls.add(str(part["server"]))
                other.add(part, durations, None)
            elif not price:
                unpriced.add(part["model"])
            if not (is_other and _others_apart(by)):
                row.add(part, durations, cost)
                total.add(part, durations, cost)
            if by == "conversation":
                row_name = {"name": part["name"]}
        if row.prompts:
            rows.append({name: key, **row_name, **row.as_dict()})
    if name != "period":
        rows.sort(key=tokens, reverse=True)
    return Report(by, rows, total.as_dict(), other.as_dict(), sorted(other_urls), sorted(unpriced))


def is_evolink(server: str | None) -> bool:
    """Return whether the URL is of a server of EvoLink's document; older rows have no URL."""
    return server is None or server in _evolink_servers()


@cache
def _evolink_servers() -> frozenset[str]:
    from generated_client import SERVERS  # This loads httpx.

    return frozenset(SERVERS)


class _Sum:
    """The sums of several groups."""

    def __init__(self) -> None:
        self.prompts = 0
        self.unknown_usage = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(_TOTAL_OF)
        self.cost: float | None = None
        self.durations: list[int] = []

    def add(self, group: sqlite3.Row, durations: list[int], cost: float | None) -> None:
        self.prompts += group["prompts"]
        self.unknown_usage += group["unknown_usage"]
        for name, total in _TOTAL_OF.items():
            if group[total] is not None:
                self.tokens[name] = (self.tokens[name] or 0) + _integer(group[name])
        if cost is not None:
            self.cost = (self.cost or 0) + cost
        self.durations += durations

    def as_dict(self) -> dict[str, Any]:
        tokens = self.tokens if self.prompts else dict.fromkeys(_TOTAL_OF, 0)
        p50, p95 = _percentiles(self.durations)
        return {
            "prompts": self.prompts,
            **tokens,
            "unknown_usage": self.unknown_usage,
            "duration_ms_p50": p50,
            "duration_ms_p95": p95,
            "cost": self.cost and round(self.cost, 9),
        }


def _integer(count: float | None) -> int:
    return int(count) if count and math.isfinite(count) else 0


def _percentiles(durations: list[int]) -> tuple[int | None, int | None]:
    """Return the median and the 95th percentile, interpolated; None without durations."""
    if len(durations) < 2:
        only = durations[0] if durations else None
        return only, only
    found = quantiles(durations, n=20, method="inclusive")
    return round(found[9]), round(found[18])


def tokens(row: Mapping[str, Any]) -> int:
    """Return the tokens of a row, in and out; 0 for unknown ones."""
    return (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
