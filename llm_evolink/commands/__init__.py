"""The commands of `llm evolink`, each imported when it is used or listed."""

from importlib import import_module
from importlib.util import find_spec

import click

COMMANDS = {
    "doctor": "doctor.command",
    "models": "models",
    "usage": "usage.command",
    "count": "count",
    "batch": "batch",
    "sandbox": "sandbox",
}
"""Module of each command in this package, in the order in which help lists them."""

_SANDBOX_REQUIREMENTS = ("imagesize", "jsonschema", "regex", "starlette", "uvicorn", "yaml")
_NO_LOCKS = "a batch needs file locks, which this system lacks: use Linux or macOS"


def load_command(name: str) -> click.Command | None:
    """Return the command, None for an unknown name.

    For a command that cannot be used here, it is one of the same help that fails with what to do:
    help and shell completion load every command.
    """
    if name not in COMMANDS:
        return None
    if name == "sandbox" and not all(map(find_spec, _SANDBOX_REQUIREMENTS)):
        about = "Run a local server that answers in the format of EvoLink."
        return _unusable(name, about, _missing_packages())
    if name == "batch" and not find_spec("fcntl"):
        about = "Ask about each row of a table, and print an answer for each."
        return _unusable(name, about, _NO_LOCKS)
    command: click.Command = getattr(import_module(f".{COMMANDS[name]}", __package__), name)
    return command


def _unusable(name: str, about: str, reason: str) -> click.Command:
    """Return a command that fails with the reason, which its help names as well."""

    def fail() -> None:
        raise click.ClickException(reason)

    any_arguments = {"ignore_unknown_options": True, "allow_extra_args": True}
    # \b is click's mark for a paragraph that keeps its lines.
    text = f"{about}\n\n\b\nIt cannot be used here: {reason}"
    return click.Command(name, any_arguments, callback=fail, help=text)


def _missing_packages() -> str:
    from ..extra import install_command

    command_line = install_command("sandbox")
    return f"the sandbox needs packages that are not installed; add them with: {command_line}"
