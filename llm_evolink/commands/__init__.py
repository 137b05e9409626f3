"""`llm evolink`: the group of commands, each loaded when it is asked for."""

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


class EvolinkGroup(click.Group):
    """Group whose commands are loaded by name."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command, None for an unknown name. Raises click.ClickException.

        Without the packages of the extra `sandbox` that command cannot be loaded.
        """
        if name not in COMMANDS:
            return None
        if name == "sandbox" and not all(map(find_spec, _SANDBOX_REQUIREMENTS)):
            command_line = import_module(".extra", __package__).install_command("sandbox")
            raise click.ClickException(
                f"the sandbox needs packages that are not installed; add them with: {command_line}"
            )
        module = import_module(f".{COMMANDS[name]}", __package__)
        command: click.Command = getattr(module, name)
        return command
