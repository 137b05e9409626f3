"""Rows of an SQL query over attached SQLite databases."""

import json
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import BatchError
from .formats import read_rows, refuse_duplicates
from .table import Table


def query_table(
    sql: str, attached: Iterable[tuple[str, str]], id_column: str | None = None
) -> Table:
    """Return the table of the rows of a query over attached databases. Raises BatchError.

    The rows are copied to a temporary file first, so that no database stays locked meanwhile.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the table
    try:
        _copy_rows(sql, attached, file)
    except sqlite3.Error as error:
        file.close()
        raise BatchError(f"--sql cannot be used: {error}") from None
    except OSError as error:
        with suppress(OSError):  # Closing flushes again.
            file.close()
        raise BatchError(f"The rows of --sql cannot be stored: {error.strerror}") from None
    except BatchError:
        file.close()
        raise

    return Table("--sql", lambda: read_rows(file, "nl"), id_column, "row", file.close)


def _copy_rows(sql: str, attached: Iterable[tuple[str, str]], file: BinaryIO) -> None:
    """Write the rows of a query to the file as JSON lines. Raises BatchError, sqlite3.Error."""
    with closing(sqlite3.connect(":memory:", uri=True)) as connection:
        for alias, path in attached:
            url = f"{Path(path).absolute().as_uri()}?mode=ro"
            connection.execute(f'attach ? as "{alias.replace(chr(34), "")}"', [url])
        cursor = connection.execute(sql)
        names = [name for name, *_ in cursor.description or ()]
        if not names:
            raise BatchError("--sql is not a query that returns rows")
        refuse_duplicates(names)
        for values in cursor:
            if any(isinstance(value, bytes) for value in values):
                raise BatchError("--sql returns binary data, which cannot be part of a prompt")
            row = dict(zip(names, values, strict=True))
            file.write(json.dumps(row).encode() + b"\n")
    file.flush()
