"""EvoLink's gemini-3.5-flash for llm: the hooks that llm calls.

Every `llm` command loads this module, chat/__init__.py and generated_client/__init__.py, and no
other of this package: each further one would cost every command about 0.15 ms.
"""

import os
from collections.abc import Callable
from typing import Any

import click
import llm


# llm takes the model registered last: trylast makes the short name ours beside llm-gemini too.
@llm.hookimpl(trylast=True)
def register_models(register: Callable[..., Any]) -> None:
    """Register the document's models as NAME and evolink/NAME, and those that the user added.

    A model that left the document stays registered, so that `llm -c` in its conversations does not
    go to another plugin's model of that name; a prompt to it fails. The user can forget it.
    """
    from generated_client import FORMER_MODELS, MODELS

    from .chat import ADDED_MODELS_FILE, AsyncEvolinkChat, EvolinkChat

    added: list[Any] = []
    forgotten: set[str] = set()
    # llm.user_dir() returns this folder and creates it, which takes a tenth of the plugin's load.
    folder = os.environ.get("LLM_USER_PATH") or click.get_app_dir("io.datasette.llm")
    path = os.path.join(folder, ADDED_MODELS_FILE)
    try:
        open(path, "rb").close()
    except OSError:
        pass
    else:
        # Imported only where there is a file: this runs before every command of llm.
        from .chat.added_models import models_of_user

        added, forgotten = models_of_user(path)
    former = [name for name in FORMER_MODELS if name not in forgotten]
    for name in (*MODELS, *former):
        removed = name in former
        register(
            EvolinkChat(name, removed=removed),
            AsyncEvolinkChat(name, removed=removed),
            aliases=(f"evolink/{name}",),
        )
    for models in added:
        register(*models)


class EvolinkGroup(click.Group):
    """`llm evolink`: a group whose commands are loaded by name."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which help lists them."""
        from .commands import COMMANDS

        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command, None for an unknown name."""
        from .commands import load_command

        return load_command(name)


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm evolink`."""
    cli.add_command(
        EvolinkGroup("evolink", help="Check the set-up of EvoLink, count and add up tokens, …")
    )
