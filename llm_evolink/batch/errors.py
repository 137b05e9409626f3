"""The error that ends a batch or keeps it from starting."""

import click


class BatchError(click.ClickException):
    """The input, the state file, the output or every request has a problem.

    The command prints it as one line, `Error: …`, and exits with 1.
    """
