"""EvoLink's gemini-3.5-flash for llm: the hooks that llm calls."""

from collections.abc import Callable
from typing import Any

import click
import llm


# llm takes the model registered last: trylast makes the short name ours beside llm-gemini too.
@llm.hookimpl(trylast=True)
def register_models(register: Callable[..., Any]) -> None:
    """Register the model, sync and async, under its short name and under evolink/."""
    from .chat import AsyncEvolinkChat, EvolinkChat

    register(EvolinkChat(), AsyncEvolinkChat(), aliases=("evolink/gemini-3.5-flash",))


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm evolink`."""
    cli.add_command(
        _Commands(
            "evolink",
            help="Commands for EvoLink: what was used, what is wrong, a sandbox to try things in.",
        )
    )


class _Commands(click.Group):
    """The commands of cli.py, which is loaded when one is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        from .cli import evolink

        return evolink.list_commands(context)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        from .cli import evolink

        return evolink.get_command(context, name)
