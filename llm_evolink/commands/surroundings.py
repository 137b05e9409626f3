"""What every command needs beside its arguments: llm's folder, and standard output."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..llm_folder import folder_problem

# Without EPIPE: click ends the command without a word when the reader of a pipe has gone.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def checked() -> Iterator[None]:
    """Raise click.ClickException when the block fails because one of them cannot be used.

    In the block, characters that standard output cannot encode are escaped, as they are on stderr.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError) as error:
        problem = _output_problem(error) or folder_problem()
        if problem is None:
            raise
        raise click.ClickException(problem) from None


def _output_problem(error: Exception) -> str | None:
    """Return that standard output cannot be written if the error is of that, else None."""
    if not isinstance(error, OSError) or error.filename or error.errno not in _UNWRITABLE:
        return None
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes it at the end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"Standard output cannot be written: {error.strerror}"
