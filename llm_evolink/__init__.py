"""EvoLink's gemini-3.5-flash for llm: the hooks that llm calls, and the models they register.

Every `llm` command loads this module, and one that lists the models also the client's __init__.py.
Each further module would cost them about 0.12 ms: the functions import what they use.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import click
import llm
from llm.parts import StreamEvent

KEY_ALIAS = "evolink"
"""Name under which `llm keys set` stores the API key."""

KEY_VARIABLE = "EVOLINK_API_KEY"
"""Environment variable that holds the API key when none is stored."""

ADDED_MODELS_FILE = "evolink-models.json"
"""File in llm's folder that lists the models which the user added."""


# llm takes the model registered last: trylast makes the short name ours beside llm-gemini too.
@llm.hookimpl(trylast=True)
def register_models(register: Callable[..., Any]) -> None:
    """Register the document's models as NAME and evolink/NAME, and those that the user added.

    A model that left the document stays registered, so that `llm -c` in its conversations does not
    go to another plugin's model of that name; a prompt to it fails. The user can forget it.
    """
    from generated_client import FORMER_MODELS, MODELS

    added: list[Any] = []
    forgotten: set[str] = set()
    # llm.user_dir() returns this folder and creates it, which takes a tenth of the plugin's load.
    folder = os.environ.get("LLM_USER_PATH") or click.get_app_dir("io.datasette.llm")
    path = os.path.join(folder, ADDED_MODELS_FILE)
    if os.path.exists(path):
        # Imported only where there is a file: this runs whenever llm lists its models.
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
    for model in added:
        register(
            EvolinkChat(model.name, model.model_id, **model.settings),
            AsyncEvolinkChat(model.name, model.model_id, **model.settings),
        )


class _Options:
    """Descriptor that imports the class of options on first use."""

    def __get__(self, model: Any, owner: type) -> Any:
        if model and model.added:
            from .chat.unbounded_options import UnboundedOptions

            return UnboundedOptions
        from .chat.options import Options

        return Options


class _Evolink:
    """What the sync and the async model have in common.

    Args:
        api_name: Name of the model in requests.
        model_id: Its name in llm; the api_name by default.
        added: Whether a user added it: the document's bounds of options are not its own.
        removed: Whether the user removed it, or it left the document: a prompt to it fails.
        images: Whether it takes images.
        tools: Whether it takes tools.
        schema: Whether it takes a schema.
    """

    model_id: str
    needs_key: str | None = KEY_ALIAS
    key_env_var: str | None = KEY_VARIABLE
    can_stream = True
    Options = _Options()

    def __init__(
        self,
        api_name: str,
        model_id: str | None = None,
        *,
        added: bool = False,
        removed: bool = False,
        images: bool = True,
        tools: bool = True,
        schema: bool = True,
    ) -> None:
        self.api_name = api_name
        self.model_id = model_id or api_name
        self.added = added
        self.removed = removed
        self.images = images
        self.supports_tools = tools
        self.supports_schema = schema

    @property
    def attachment_types(self) -> frozenset[str]:
        """Media types of the attachments that the model takes; llm reads it."""
        from .constants import IMAGE_TYPES

        return frozenset(IMAGE_TYPES if self.images else ())

    def __str__(self) -> str:
        return f"EvoLink: {self.model_id}{' (removed)' if self.removed else ''}"

    def get_key(self, explicit_key: str | None = None) -> str:
        """Return the key that llm finds, without white space around it.

        Raises MissingKeyError, also for a file of keys that cannot be read, and AuthenticationError
        for a key that no header can hold.
        """
        from . import errors

        try:
            key = str(super().get_key(explicit_key)).strip()  # type: ignore[misc]
        except llm.NeedsKeyException as missing:
            raise errors.MissingKeyError(str(missing)) from None
        except (OSError, ValueError, TypeError) as failure:
            from .llm_folder import folder_problem

            raise errors.MissingKeyError(folder_problem() or str(failure)) from None
        if not key:
            raise errors.MissingKeyError(
                f"No key found - add one using 'llm keys set {self.needs_key}' or set the "
                f"{self.key_env_var} environment variable"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise errors.AuthenticationError(
                "The EvoLink key holds a character that no key has: a space, or a quotation mark "
                "of an editor"
            )
        return key

    def _validate_attachments(self, attachments: Any = None) -> None:
        """Check nothing: build_request() checks all attachments, also those of the history.

        llm's own check would send a request to a URL to find its type, and its error names no file.
        """


class EvolinkChat(_Evolink, llm.KeyModel):  # type: ignore[misc]  # attachment_types
    """gemini-3.5-flash over EvoLink."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None = None,
        key: str | None = None,
    ) -> Iterator[StreamEvent]:
        """Send the prompt and yield the reply. Raises EvolinkError for any failure."""
        from .chat.sync_reply import sync_events
        from .chat.turn import Turn

        return sync_events(Turn(prompt, stream, response, conversation, key or self.get_key()))


class AsyncEvolinkChat(_Evolink, llm.AsyncKeyModel):  # type: ignore[misc]  # attachment_types
    """gemini-3.5-flash over EvoLink, for an event loop."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None = None,
        key: str | None = None,
    ) -> Any:
        """As EvolinkChat.execute, an asynchronous iterator."""
        from .chat.async_reply import AsyncEvents
        from .chat.turn import Turn

        return AsyncEvents(Turn(prompt, stream, response, conversation, key or self.get_key()))


@llm.hookimpl
def register_commands(cli: click.Group) -> None:
    """Register `llm evolink`."""
    about = (
        "Ask about each row of a table, count tokens and add up what was used, check the set-up of "
        "EvoLink, and run a local server that answers in its place."
    )
    brief = "Batches, token usage, checks and a sandbox for EvoLink."
    cli.add_command(EvolinkGroup("evolink", help=about, short_help=brief))


class EvolinkGroup(click.Group):
    """`llm evolink`: a group whose commands are imported when they are used or listed."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which help lists them."""
        return list(_commands().COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command, None for an unknown name."""
        command: click.Command | None = _commands().load_command(name)
        return command

    def invoke(self, context: click.Context) -> Any:
        """Run the command; one line for a folder of llm or a standard output that is unusable."""
        with import_module(".commands.surroundings", __package__).checked():
            return super().invoke(context)


def _commands() -> Any:
    """Return the package of the commands: by name, because the commands import this module."""
    return import_module(".commands", __package__)
