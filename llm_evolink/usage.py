"""What was spent: token counts, durations and cost, read from llm's log."""

import json
import math
import re
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import click

Price = Mapping[str, float]

OURS = ("gemini-3.5-flash",)


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

# Where token_details holds each count. The first path of each is the shape of chat completions,
# which we and llm's OpenAI models write; then OpenAI's responses, then llm-gemini.
_DETAILS = {
    "cached_tokens": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cachedContentTokenCount",
    ),
    "reasoning_tokens": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "thoughtsTokenCount",
    ),
    "image_tokens": ("prompt_tokens_details.image_tokens",),
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
    models: Sequence[str] = OURS,
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
    except _MalformedError:
        return ask(checked=True)


def pricing(stored: Mapping[str, Price], given: Price) -> Callable[[str], Price | None]:
    """Return the price of a model by its id: as stored, with `given` in the place of its parts."""

    def price_of(model: str) -> Price | None:
        price = {**stored.get(model, {}), **given}
        return price if {"in", "out"} <= price.keys() else None

    return price_of


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


def read_prices(path: Path) -> dict[str, dict[str, float]]:
    """Read prices per million tokens, {"gemini-3.5-flash": {"in": 1, "out": 2, "cached": 0.5}}.

    `cached` may be left out: a cached token then costs what any input token does. No file means
    no prices. Raises ClickException for a file that is not like this.
    """
    try:
        prices = json.loads(path.read_text(encoding="utf-8-sig"))
        for model, price in prices.items():
            if not {"in", "out"} <= price.keys() <= {"in", "out", "cached"}:
                raise ValueError(f'{model} needs "in" and "out", and may have "cached"')
            for name, amount in price.items():
                if isinstance(amount, bool) or not 0 <= amount < math.inf:
                    raise ValueError(f"{model}: {name} is not a price")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path} cannot be used: {error}") from None
    except (AttributeError, TypeError):
        example = '{"MODEL": {"in": 1, "out": 2, "cached": 0.5}}'
        raise click.ClickException(f"{path} cannot be used: it is not like {example}") from None
    return prices  # type: ignore[no-any-return]  # checked above


# The database


class _MalformedError(Exception):
    """There are token details that are not JSON."""


def _groups(
    path: Path,
    by: str,
    models: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    utc: bool,
    checked: bool,
) -> Iterator[sqlite3.Row]:
    """Yield sums by day and model, or conversation and model; those of one row together."""
    if not path.exists():
        raise click.ClickException(f"No log database at {path}: run a prompt first")
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            columns = _columns(connection)
            if not columns.keys() & {"turns", "responses"}:
                raise click.ClickException(f"{path} is not a log database of llm")
            where, parameters = _where(models, since, until)
            query = _query(columns, where, by, models, utc, checked)
            yield from connection.execute(query, parameters)
    except sqlite3.Error as error:
        if not checked and "malformed JSON" in str(error):
            raise _MalformedError from None
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the columns of each table of llm's; older versions of llm had fewer of both."""
    found = {}
    for table in ("turns", "responses", "threads", "conversations"):
        if columns := {row["name"] for row in connection.execute(f"pragma table_info({table})")}:
            found[table] = columns
    # Today's llm has the table and does not write it: a union with nothing would cost time.
    if found.keys() >= {"turns", "responses"}:
        (used,) = connection.execute("select exists (select 1 from responses)").fetchone()
        if not used:
            del found["responses"]
    return found


def _where(
    models: Sequence[str], since: datetime | None, until: datetime | None
) -> tuple[str, dict[str, str]]:
    """Return the condition on a prompt, and its parameters."""
    parameters = {f"model{number}": model for number, model in enumerate(models)}
    conditions = [f"model in ({', '.join(f':{name}' for name in parameters)})"] if models else []
    # Stored times are ISO 8601 in UTC: they compare as text. An unknown time is an empty text.
    for name, value, condition in (
        ("since", since, "datetime_utc >= :since"),
        ("until", until, "datetime_utc > '' and datetime_utc < :until"),
    ):
        if value:
            plain = value.astimezone(UTC).replace(tzinfo=None)
            parameters[name] = plain.isoformat(timespec="seconds")
            conditions.append(condition)
    return " and ".join(conditions) or "true", parameters


def _query(
    columns: Mapping[str, set[str]],
    where: str,
    by: str,
    models: Sequence[str],
    utc: bool,
    checked: bool,
) -> str:
    """Return the one query of a report. Nothing of the user's is in it but as a parameter."""
    # Without the fraction: SQLite would round the last half millisecond of a day up to the next.
    zone = "" if utc else ", 'localtime'"
    day = f"date(substr(datetime_utc, 1, 19){zone})"
    name = "null"
    if by == "conversation":
        keys = ["conversation"]
        names = [
            f"(select name from {table} where id = conversation)"  # noqa: S608
            for table in ("threads", "conversations")
            if table in columns
        ]
        name = f"coalesce({', '.join([*names, 'null', 'null'])})"
    elif by == "model":
        # By day too: what SQLite collects for a group at a time stays small.
        keys = ["model", day]
    else:
        keys = [day]
    if len(models) != 1 and by != "model":
        keys.append("model")
    found = {detail: _extract(paths, models) for detail, paths in _DETAILS.items()}
    check = " filter (where json_valid(token_details))" if checked else ""
    details = [f"sum({count}){check} as {detail}" for detail, count in found.items()]
    # One that is known is not read from each row.
    model = ":model0" if len(models) == 1 else "model"
    return f"""
        select {keys[0]} as key, {model} as model, {name} as name,
            count(*) as prompts,
            sum(input_tokens) as input_tokens,
            sum(output_tokens) as output_tokens,
            {", ".join(details)},
            sum(input_tokens is null or output_tokens is null) as unknown_usage,
            json_group_array(duration_ms) filter (where typeof(duration_ms) = 'integer')
                as durations
        from ({_prompts(columns, where)})
        group by {", ".join(keys)} order by {", ".join(keys)}
        """  # noqa: S608


def _extract(paths: Sequence[str], models: Sequence[str]) -> str:
    """Return the count at the first path there is. Our own prompts have but one shape: faster."""
    found = [f"json_extract(token_details, '$.{path}')" for path in paths]
    return found[0] if tuple(models) == OURS else f"coalesce({', '.join([*found, 'null'])})"


def _prompts(columns: Mapping[str, set[str]], where: str) -> str:
    """Return the query of all prompts: the turns, then older responses that are not among them."""
    tables: list[str] = []
    for table, conversation in (("turns", "thread_id"), ("responses", "conversation_id")):
        if table in columns:
            picked = [
                name if name in columns[table] else f"null as {name}"
                for name in (
                    "model",
                    "datetime_utc",
                    "duration_ms",
                    "input_tokens",
                    "output_tokens",
                    "token_details",
                )
            ]
            once = " and id not in (select id from turns)" if tables else ""
            tables.append(
                f"select {conversation} as conversation, {', '.join(picked)} "  # noqa: S608
                f"from {table} where {where}{once}"
            )
    return " union all ".join(tables)


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
    groups = _groups(path, by, models, since, until, utc, checked)
    for key, group in groupby(groups, lambda part: part["key"] and label(part["key"])):
        row = _Sum()
        row_name = {}
        for part in group:
            price = price_of(part["model"])
            cost = _cost(part, price) if price else None
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


def _cost(group: sqlite3.Row, price: Price) -> float | None:
    """Return what a group costs; None when its tokens are unknown."""
    if group["input_tokens"] is None and group["output_tokens"] is None:
        return None
    cached = group["cached_tokens"] or 0
    fresh = (group["input_tokens"] or 0) - cached
    output = group["output_tokens"] or 0
    spent = fresh * price["in"] + cached * price.get("cached", price["in"]) + output * price["out"]
    return float(spent / 1_000_000)


def tokens(row: Mapping[str, Any]) -> int:
    """Return the tokens of a row, in and out; 0 for unknown ones."""
    return (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
