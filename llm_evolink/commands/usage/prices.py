"""Prices per million tokens, and the cost of a group of prompts."""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import click

FILE_NAME = "evolink-prices.json"
"""File in llm's folder that holds prices."""

Price = Mapping[str, float]


def pricing(stored: Mapping[str, Price], given: Price) -> Callable[[str], Price | None]:
    """Return a function that returns a model's price: the stored one, updated with `given`.

    Raises UsageError if `given` is incomplete and nothing is stored.
    """
    if given and not stored and not {"in", "out"} <= given.keys():
        raise click.UsageError("cost needs both --price-in and --price-out")

    def price_of(model: str) -> Price | None:
        price = {**stored.get(model, {}), **given}
        return price if {"in", "out"} <= price.keys() else None

    return price_of


def read_prices(path: Path) -> dict[str, dict[str, float]]:
    """Return prices per million tokens, {"gemini-3.5-flash": {"in": 1, "out": 2, "cached": 0.5}}.

    Without `cached`, a cached token costs as much as any input token. No file means no prices.
    Raises ClickException for a file of another form.
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


def cost_of(group: sqlite3.Row, price: Price) -> float | None:
    """Return the cost of a group, None when its tokens are unknown."""
    if group["input_tokens"] is None and group["output_tokens"] is None:
        return None
    cached = group["cached_tokens"] or 0
    uncached = (group["input_tokens"] or 0) - cached
    output = group["output_tokens"] or 0
    amount = (
        uncached * price["in"] + cached * price.get("cached", price["in"]) + output * price["out"]
    )
    return float(amount / 1_000_000)
