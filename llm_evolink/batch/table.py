"""Tables of rows to ask: CSV, TSV, JSON, JSON lines or SQL, checked before the first request."""

import csv
import io
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from .errors import BatchError

T = TypeVar("T")

MAX_CELL = 2**24
"""Maximum characters of a CSV cell; an unclosed quotation mark would load the rest of the file."""

FORMATS = ("csv", "tsv", "json", "nl")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "nl", ".ndjson": "nl"}

Cells = dict[str, str]


class Row(NamedTuple):
    """A row of a table: position from 0, id, and the text of each cell by column name."""

    position: int
    id: str
    cells: Cells


class Ids:
    """Ids of the rows in order, in a temporary SQLite database that outgrows memory on disk."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", check_same_thread=False)
        self._connection.execute(
            "create table ids (position integer primary key, id text unique, line integer)"
        )
        self._insert = self._connection.cursor().execute
        self.count = 0

    def add(self, line: int, row_id: str, unit: str = "line") -> None:
        """Add the id of the next row. Raises BatchError for an empty or doubled id."""
        if not row_id or row_id.isspace():
            raise BatchError(f"{unit} {line}: the id is empty")
        try:
            self._insert("insert into ids values (?, ?, ?)", (self.count, row_id, line))
        except sqlite3.IntegrityError:
            query = "select line from ids where id = ?"
            (first,) = self._connection.execute(query, [row_id]).fetchone()
            message = f"{unit} {line}: the id {row_id!r} is already that of {unit} {first}"
            raise BatchError(f"{message}; choose a column of unique ids with --id") from None
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


class Table:
    """Rows of a file, read twice: check() reads all, then iterating yields them.

    Attributes:
        columns: Names of the columns; of the first row if rows can differ.
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
        self.columns: tuple[str, ...] = ()
        self.ids = Ids()

    def check(self, needed: Iterable[str] = ()) -> None:
        """Read all rows. Raises BatchError, naming the line, for one that cannot be asked.

        `needed` are the columns that the prompt uses.
        """
        try:
            for line, row_id in self._checked(set(needed)):
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
        """Yield as many rows as check() found."""
        id_column = self._id_column or ""
        for position, (_, cells) in zip(range(self.ids.count), self._read(), strict=False):
            yield Row(position, cells[id_column], cells)

    def close(self) -> None:
        """Close the file, and delete what is temporary."""
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
            file: BinaryIO = _copied(sys.stdin.buffer)
        else:
            file = Path(path).open("rb")  # noqa: SIM115  closed by the table
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror}") from None
    try:
        # Raises where the path is a folder, say, or a pipe: it could not be read twice.
        file.seek(0)
        file_format = file_format or _format(file, path)
    except OSError:
        raise BatchError(f"{path} cannot be read twice; use - to read a pipe") from None
    reader = _READERS[file_format]

    def read() -> Iterator[tuple[int, Cells]]:
        file.seek(0)
        return _explained(reader(file), file)

    return Table(name, read, id_column, "item" if file_format == "json" else "line", file.close)


def query_table(
    sql: str, attached: Iterable[tuple[str, str]], id_column: str | None = None
) -> Table:
    """Return the table of a query's rows, of databases attached by alias. Raises BatchError.

    The rows are copied first, so that no database stays locked while they are asked.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the table
    try:
        _copy_rows(sql, attached, file)
    except sqlite3.Error as error:
        file.close()
        raise BatchError(f"--sql cannot be used: {error}") from None
    except BatchError:
        file.close()
        raise

    def read() -> Iterator[tuple[int, Cells]]:
        file.seek(0)
        return _json_lines(file)

    return Table("--sql", read, id_column, "row", file.close)


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
        _refuse_doubled(names)
        for values in cursor:
            if any(isinstance(value, bytes) for value in values):
                raise BatchError("--sql returns binary data, which cannot be part of a prompt")
            row = dict(zip(names, values, strict=True))
            file.write(json.dumps(row).encode() + b"\n")


def cell_text(value: Any) -> str:
    """Return the text of a cell: a string as it is, null as nothing, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def columns_error(missing: Iterable[str], columns: Iterable[str]) -> BatchError:
    """Return the error of a template that names columns which the table does not have."""
    names = ", ".join(f"${name}" for name in sorted(missing))
    return BatchError(f"there is no column {names}; there is {', '.join(columns)}")


def _copied(source: BinaryIO) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the table
    shutil.copyfileobj(source, file)
    return file


def _format(file: BinaryIO, path: str) -> str:
    if suffix := _SUFFIXES.get(Path(path).suffix.lower()):
        return suffix
    first = file.readline(65536).removeprefix(b"\xef\xbb\xbf").strip()
    if first.startswith(b"["):
        return "json"
    if first.startswith(b"{"):
        with suppress(ValueError):
            json.loads(first)
            return "nl"
        return "json"
    return "tsv" if b"\t" in first and b"," not in first else "csv"


def _explained(rows: Iterator[tuple[int, Cells]], file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    """Yield the rows. Raises BatchError in place of the errors of reading a file."""
    try:
        yield from rows
    except UnicodeDecodeError:
        raise BatchError(f"line {_undecodable(file)}: not UTF-8") from None
    except OSError as error:
        raise BatchError(f"it cannot be read: {error.strerror}") from None


def _undecodable(file: BinaryIO) -> int:
    """Return the number of the first line that is not UTF-8."""
    file.seek(0)
    number = 0
    with suppress(UnicodeDecodeError):
        for number, line in enumerate(file, 1):  # noqa: B007
            line.decode()
    return number


def _delimited(file: BinaryIO, delimiter: str | None) -> Iterator[tuple[int, Cells]]:
    # The limit is the interpreter's, and another reader may need a larger one.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    line = 1
    try:
        reader = csv.reader(text, delimiter=delimiter or ",", strict=True)
        header = next(reader, [])
        if not header:
            raise BatchError("line 1: there is no header that names the columns")
        _refuse_doubled(header)
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                found = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
                raise BatchError(f"line {line}: {found}, but the header names {len(header)}")
            if cells:
                yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BatchError(f"line {line}: {error}") from None
    finally:
        with suppress(ValueError):
            text.detach()


def _csv(file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    return _delimited(file, ",")


def _tsv(file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    return _delimited(file, "\t")


def _json_lines(file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    for number, line in enumerate(file, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError):
            raise BatchError(f"line {number}: not a JSON object") from None
        yield number, _object(row, f"line {number}")


def _json(file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    content = file.read().removeprefix(b"\xef\xbb\xbf")
    try:
        rows = json.loads(content)
    except UnicodeDecodeError:
        raise
    except json.JSONDecodeError as error:
        raise BatchError(f"line {error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise BatchError("line 1: not JSON that can be read: it is nested too deeply") from None
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        yield number, _object(row, f"item {number}")


def _object(row: Any, where: str) -> Cells:
    if not isinstance(row, Mapping) or not row:
        raise BatchError(f"{where}: not a JSON object")
    return {name: cell_text(value) for name, value in row.items()}


def _refuse_doubled(names: list[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise BatchError(f"line 1: two columns are named {name!r}")


_READERS: dict[str, Callable[[BinaryIO], Iterator[tuple[int, Cells]]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "nl": _json_lines,
}
