"""A usage report as a web page: charts of tokens and cost by day and model, as inline SVG."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from pathlib import Path

import click

from .log import Selection, read_groups
from .prices import cost_of
from .report import PriceOf, is_evolink

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 960, 260, 90, 10, 30
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; }
svg text { font-size: 12px; fill: currentColor; }
svg line { stroke: currentColor; stroke-opacity: 0.2; }
.key { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.3em 0 1em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.1rem 0.6rem; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr + tr { border-top: 1px solid #8884; }
"""


@dataclass
class Day:
    """The usage of one model on one day.

    Attributes:
        day: The date, None if it is unknown.
        model: Id of the model in llm.
        input_tokens: Input tokens that are known.
        output_tokens: Output tokens that are known.
        cost: Their cost, None without a price.
    """

    day: date | None
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None


def read_days(paths: Sequence[Path], selection: Selection, price_of: PriceOf) -> list[Day]:
    """Return the usage by day and model of EvoLink's servers, the first day first.

    Raises ClickException when a database cannot be used.
    """
    days: dict[tuple[str, str], Day] = {}
    for group in read_groups(paths, "day", selection):
        if not is_evolink(group["server"]):
            continue
        name, model = group["key"], group["model"] or "unknown"
        known = date.fromisoformat(name) if name else None
        day = days.setdefault((name or "", model), Day(known, model))
        day.input_tokens += int(group["input_tokens"] or 0)
        day.output_tokens += int(group["output_tokens"] or 0)
        price = price_of(group["model"])
        if price and (cost := cost_of(group, price)) is not None:
            day.cost = (day.cost or 0) + cost
    return [days[key] for key in sorted(days)]


def write_page(path: Path, page: str) -> None:
    """Write the page to the file. Raises ClickException; the file is then unchanged."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        scratch.write_text(page, encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            scratch.unlink()


def as_page(days: Sequence[Day]) -> str:
    """Return a page with the charts and a table of their figures; it loads no other file."""
    models = _most_used(days)
    sections = [_chart("Tokens", days, models, lambda day: day.input_tokens + day.output_tokens)]
    if any(day.cost is not None for day in days):
        sections.append(_chart("Cost", days, models, lambda day: day.cost or 0))
    if not days:
        sections = ["<p>No prompts are logged.</p>"]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>EvoLink usage</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>EvoLink usage</h1>\n{_legend(models)}\n{''.join(sections)}\n{_table(days)}\n"
        "</body>\n</html>\n"
    )


def _most_used(days: Iterable[Day]) -> list[str]:
    """Return the models, the one with the most tokens first."""
    tokens: dict[str, int] = {}
    for day in days:
        tokens[day.model] = tokens.get(day.model, 0) + day.input_tokens + day.output_tokens
    return sorted(tokens, key=lambda model: (-tokens[model], model))


def _colour(models: Sequence[str], model: str) -> str:
    """Return the colour of a model; models beyond the first six share the last colour."""
    return _COLOURS[min(models.index(model), len(_COLOURS) - 1)]


def _legend(models: Sequence[str]) -> str:
    keys = "".join(
        f'<span class="key" style="background:{_colour(models, model)}"></span>{escape(model)}'
        for model in models
    )
    return f"<p>{keys}</p>"


def _chart(
    title: str, days: Sequence[Day], models: Sequence[str], measure: Callable[[Day], float]
) -> str:
    """Return a section with a bar for each day, stacked by model."""
    dates = sorted({day.day for day in days if day.day})
    if not dates:
        return ""
    first, last = dates[0], dates[-1]
    parts = {each: [day for day in days if day.day == each] for each in dates}
    top = _round_up(max(sum(map(measure, parts[each])) for each in dates))
    step = (_WIDTH - _LEFT) / ((last - first).days + 1)
    scale = (_HEIGHT - _TOP - _BOTTOM) / top
    shapes = [*_grid(top, scale), *_dates(first, last, step)]
    for each in dates:
        x, y = _LEFT + (each - first).days * step, float(_HEIGHT - _BOTTOM)
        for day in sorted(parts[each], key=lambda day: models.index(day.model)):
            height = measure(day) * scale
            y -= height
            shapes.append(
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{step * 0.85:.2f}" height="{height:.2f}" '
                f'fill="{_colour(models, day.model)}"><title>{each} {escape(day.model)}: '
                f"{_figure(measure(day))}</title></rect>"
            )
    return (
        f'<h2>{title} by day and model</h2>\n<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{title} by day and model">\n' + "\n".join(shapes) + "\n</svg>\n"
    )


def _grid(top: float, scale: float) -> list[str]:
    """Return four lines across the chart, with their values."""
    shapes = []
    for quarter in range(5):
        value = top * quarter / 4
        y = _HEIGHT - _BOTTOM - value * scale
        shapes.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.2f}" y2="{y:.2f}"/>')
        shapes.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.2f}" text-anchor="end">{_figure(value)}</text>'
        )
    return shapes


def _dates(first: date, last: date, step: float) -> list[str]:
    """Return the dates below the chart, at most eight."""
    days = (last - first).days + 1
    every = max(1, math.ceil(days / 8))
    return [
        f'<text x="{_LEFT + number * step:.2f}" y="{_HEIGHT - 10}">'
        f"{first + timedelta(days=number)}</text>"
        for number in range(0, days, every)
    ]


def _round_up(value: float) -> float:
    """Return the least 1, 2 or 5 times a power of ten that is at least the value; 1 for 0."""
    if value <= 0:
        return 1.0
    power = float(10 ** math.floor(math.log10(value)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6f}".rstrip("0")


def _table(days: Sequence[Day]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("day", "model", "input", "output", "cost"))
    rows = [
        f"<tr><td>{day.day or 'unknown'}</td><td>{escape(day.model)}</td>"
        f"<td>{day.input_tokens:,}</td><td>{day.output_tokens:,}</td>"
        f"<td>{'' if day.cost is None else f'{day.cost:,.6f}'}</td></tr>"
        for day in days
    ]
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"
