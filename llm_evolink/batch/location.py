"""Id of a batch, and path of its state file."""

import json
import os
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import click
import llm

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
    folder: Path = llm.user_dir()  # type: ignore[no-untyped-call]
    if database:
        if Path(database).resolve() == (folder / "logs.db").resolve():
            raise click.UsageError(
                "-d cannot be logs.db: other prompts could not be logged while the batch runs"
            )
        return Path(database)
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
        raise click.UsageError("--name is not letters, digits, hyphens, underscores and dots")
    return folder / "evolink-batches" / f"{name}.db"
