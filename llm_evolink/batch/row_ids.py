"""Ids of the rows of a table, checked to be unique without holding them in memory."""

import sqlite3

from .errors import BatchError


class Ids:
    """Ids of the rows in their order, in a temporary SQLite database."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", check_same_thread=False)
        self._connection.execute(
            "create table ids (position integer primary key, id text unique, line integer)"
        )
        self._insert = self._connection.cursor().execute
        self.count = 0

    def add(self, line: int, row_id: str, unit: str = "line") -> None:
        """Add the id of the next row. Raises BatchError for an empty or duplicate id."""
        if not row_id or row_id.isspace():
            raise BatchError(f"{unit} {line}: the id is empty")
        try:
            self._insert("insert into ids values (?, ?, ?)", (self.count, row_id, line))
        except sqlite3.IntegrityError:
            query = "select line from ids where id = ?"
            (first,) = self._connection.execute(query, [row_id]).fetchone()
            message = f"{unit} {line}: the id {row_id!r} is already used by {unit} {first}"
            raise BatchError(f"{message}; choose a column of unique values as the id") from None
        except sqlite3.Error as error:
            raise BatchError(f"{unit} {line}: the id cannot be stored: {error}") from None
        except UnicodeEncodeError:
            raise BatchError(f"{unit} {line}: the id holds an unpaired surrogate") from None
        self.count += 1

    def at(self, position: int) -> str:
        """Return the id of the row at a position from 0."""
        query = "select id from ids where position = ?"
        (row_id,) = self._connection.execute(query, [position]).fetchone()
        return str(row_id)

    def close(self) -> None:
        """Delete the database."""
        self._connection.close()
