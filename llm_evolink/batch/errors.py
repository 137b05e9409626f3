"""Error that ends a batch, or keeps it from starting."""

import click


class BatchError(click.ClickException):
    """Something is wrong with the input, the state file or the batch as a whole.

    The command shows it as one line, `Error: …`, and exits with 1.
    """
