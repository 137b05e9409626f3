"""Id of a batch, and path of its state file."""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import click

from ..llm_folder import BATCHES, log_path, user_folder
from .requests import RequestTemplate


def batch_id(
    path: str, sql: str | None, attached: Iterable[tuple[str, str]], template: RequestTemplate
) -> str:
    """Return a hash of the template, and of the input's absolute path or the query."""
    source: object = "-" if path == "-" else os.path.abspath(path)
    if sql:
        source = [sql, [(alias, os.path.abspath(file)) for alias, file in attached]]
    digest = blake2b(json.dumps(source).encode(), digest_size=6)
    digest.update(template.identity())
    return digest.hexdigest()


def state_path(database: str | None, name: str) -> Path:
    """Return the path of the state file. Raises click.UsageError for one that cannot be used."""
    if database:
        if is_same_file(database, log_path()):
            raise click.UsageError(
                "-d cannot be logs.db: other prompts could not be logged while the batch runs"
            )
        folder = os.path.dirname(database) or "."
        if not os.path.exists(folder):
            raise click.UsageError(f"-d cannot be {database}: there is no folder {folder}")
        return Path(database)
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
        raise click.UsageError("--name is not letters, digits, hyphens, underscores and dots")
    return user_folder() / BATCHES / f"{name}.db"


def check_output(
    path: str, source: str, attached: Iterable[tuple[str, str]], database: Path
) -> None:
    """Raise click.UsageError if the output would replace a file that the batch uses.

    `source` is the path of the table, "-" for standard input, "" with --sql.
    """
    used: list[tuple[str | Path, str]] = [(file, "is a database of --sql") for _, file in attached]
    used += [(database, "is the state file"), (log_path(), "is llm's log")]
    if source:
        used.append(("/dev/stdin" if source == "-" else source, "is the input"))
    for file, what in used:
        if is_same_file(path, file):
            raise click.UsageError(f"-O cannot be {path}, which {what}: name another file")


def is_same_file(path: str | Path, other: str | Path) -> bool:
    """Return whether two paths name one file, which need not exist."""
    with suppress(OSError):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)
