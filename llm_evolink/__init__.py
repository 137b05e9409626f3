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
    from .constants import MODEL_ID

    register(EvolinkChat(), AsyncEvolinkChat(), aliases=(f"evolink/{MODEL_ID}",))


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm evolink`."""
    from .commands import EvolinkGroup

    cli.add_command(
        EvolinkGroup(
            "evolink",
            help="Commands for EvoLink: what was used, what is wrong, a sandbox to try things in.",
        )
    )
