"""Notices for a person at the terminal."""

import sys

import click


def is_command_line() -> bool:
    """Return whether a command of llm runs, not a program that imports it."""
    return click.get_current_context(silent=True) is not None


def notify(notice: str, *, after_stdout: bool = False, after_stderr: bool = False) -> None:
    """Print the notice on stderr if a command line runs; a caller from Python sees none.

    Args:
        notice: One line.
        after_stdout: Whether text without a newline was printed on stdout before.
        after_stderr: Whether text without a newline was printed on stderr before.
    """
    if not is_command_line():
        return
    if after_stderr or (after_stdout and sys.stdout.isatty()):
        click.echo(err=after_stderr)
    click.echo(notice, err=True)


def exit_with_failure() -> None:
    """Make the command that runs exit with status 1 once it has finished, its log written."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(lambda: sys.exit(1))
