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


def load_command(name: str) -> click.Command | None:
    """Return the command, None for an unknown name.

    Raises click.ClickException for `sandbox` if the packages of its extra are not installed.
    """
    if name not in COMMANDS:
        return None
    if name == "sandbox" and not all(map(find_spec, _SANDBOX_REQUIREMENTS)):
        command_line = import_module(".extra", __package__).install_command("sandbox")
        raise click.ClickException(
            f"the sandbox needs packages that are not installed; add them with: {command_line}"
        )
    command: click.Command = getattr(import_module(f".{COMMANDS[name]}", __package__), name)
    return command
