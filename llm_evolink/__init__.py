"""EvoLink's gemini-3.5-flash for llm: the hooks that llm calls."""

from collections.abc import Callable
from typing import Any

import click
import llm


# llm takes the model registered last: trylast makes the short name ours beside llm-gemini too.
@llm.hookimpl(trylast=True)
def register_models(register: Callable[..., Any]) -> None:
    """Register the document's models as NAME and evolink/NAME, and those that the user added.

    A model that left the document stays registered, so that `llm -c` in its conversations does not
    go to another plugin's model of that name; a prompt to it fails.
    """
    from generated_client import FORMER_MODELS, MODELS

    from .chat import AsyncEvolinkChat, EvolinkChat
    from .constants import ADDED_MODELS_FILE

    for name in (*MODELS, *FORMER_MODELS):
        removed = name in FORMER_MODELS
        register(
            EvolinkChat(name, removed=removed),
            AsyncEvolinkChat(name, removed=removed),
            aliases=(f"evolink/{name}",),
        )
    path = llm.user_dir() / ADDED_MODELS_FILE  # type: ignore[no-untyped-call]
    try:
        open(path, "rb").close()
    except OSError:
        return
    # Imported only where there is a file: this runs before every command of llm.
    from .chat.added_models import register_added_models

    register_added_models(path, register)


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm evolink`."""
    from .commands import EvolinkGroup

    cli.add_command(
        EvolinkGroup("evolink", help="Check the set-up of EvoLink, count and add up tokens, …")
    )
