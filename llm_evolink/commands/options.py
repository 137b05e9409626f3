"""Checks of option values that several commands share."""

from typing import Any

import click


def not_empty(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    """Return the value. Raises click.BadParameter for "": a variable of the shell may be unset."""
    if "" in (value if isinstance(value, tuple) else [value]):
        raise click.BadParameter("it is empty")
    return value
