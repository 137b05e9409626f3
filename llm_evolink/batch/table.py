"""Table of rows to ask, checked before the first request."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .errors import BatchError
from .formats import Cells, guess_format, read_rows
from .row_ids import Ids
from .stdin import copied


class Row(NamedTuple):
    """A row of a table: position from 0, id, and the text of each cell by column name."""

    position: int
    id: str
    cells: Cells


class Table:
    """Rows of a file, which is read twice: check() reads every row, iterating yields them again.

    Attributes:
        columns: Names of the columns in the first row.
        ids: Ids of the rows, complete after check().
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterator[tuple[int, Cells]]],
        id_column: str | None = None,
        unit: str = "line",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._read = read
        self._id_column = id_column
        self._unit = unit
        self._close = close
        self._needed: set[str] = set()
        self.columns: tuple[str, ...] = ()
        self.ids = Ids()

    def check(self, needed: Iterable[str] = ()) -> None:
        """Read every row. Raises BatchError, naming the line, for one that cannot be asked.

        `needed` are the columns that the prompt uses.
        """
        self._needed = set(needed)
        try:
            for line, row_id in self._checked(self._needed):
                self.ids.add(line, row_id, self._unit)
        except BatchError as error:
            raise BatchError(f"{self._name}, {error}") from None

    def _checked(self, needed: set[str]) -> Iterator[tuple[int, str]]:
        id_column = self._id_column
        for line, cells in self._read():
            if not self.columns:
                self.columns = tuple(cells)
                id_column = id_column or self.columns[0]
                needed = needed | {id_column}
                if unknown := needed - cells.keys():
                    raise columns_error(unknown, cells)
            if not needed <= cells.keys():
                missing = ", ".join(sorted(needed - cells.keys()))
                raise BatchError(
                    f"{self._unit} {line} has no column {missing}; it has {', '.join(cells)}"
                )
            yield line, cells[id_column or ""]
        self._id_column = id_column

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows that check() found. Raises BatchError if the file was changed since."""
        rows = self._read()
        for position in range(self.ids.count):
            changed = f"{self._name} was changed while it was read, at row {position + 1}"
            try:
                _, cells = next(rows)
                row_id = cells[self._id_column or ""]
            except BatchError as error:
                raise BatchError(f"{changed}: {error}") from None
            except (StopIteration, KeyError):
                raise BatchError(changed) from None
            if row_id != self.ids.at(position) or not self._needed <= cells.keys():
                raise BatchError(changed)
            yield Row(position, row_id, cells)

    def close(self) -> None:
        """Close the file, and delete the temporary ones."""
        self.ids.close()
        self._close()


def open_table(
    path: str,
    file_format: str | None = None,
    id_column: str | None = None,
) -> Table:
    """Return the table of a file, or of standard input for "-". Raises BatchError.

    Without a format, the suffix decides, then the first line.
    """
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            file: BinaryIO = copied(sys.stdin.buffer)
        else:
            file = Path(path).open("rb")  # noqa: SIM115  closed by the table
    except OSError as error:
        raise BatchError(f"{name} cannot be read: {error.strerror}") from None
    try:
        # Raises OSError for what cannot be read twice, such as a folder or a pipe.
        file.seek(0)
        file_format = file_format or guess_format(file, path)
    except OSError:
        file.close()
        raise BatchError(f"{path} cannot be read twice; use - to read a pipe") from None
    except BatchError as error:
        file.close()
        raise BatchError(f"{name} {error}") from None
    chosen = file_format
    unit = "item" if chosen == "json" else "line"
    return Table(name, lambda: read_rows(file, chosen), id_column, unit, file.close)


def columns_error(missing: Iterable[str], columns: Iterable[str]) -> BatchError:
    """Return the error for columns that are used and that the table does not have."""
    names = ", ".join(sorted(missing))
    return BatchError(f"there is no column {names}; the columns are {', '.join(columns)}")
