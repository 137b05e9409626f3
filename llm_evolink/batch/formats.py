"""Reads rows from a file in CSV, TSV, JSON or JSON lines."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .errors import BatchError

MAX_CELL = 2**24
"""Maximum characters of a CSV cell: bounds what a missing quotation mark loads."""

FORMATS = ("csv", "tsv", "json", "nl")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "nl", ".ndjson": "nl"}

Cells = dict[str, str]
"""Text of the cells of a row, by the name of the column."""


def cell_text(value: Any) -> str:
    """Return the text of a cell. Raises BatchError for binary data.

    None is "", and what JSON has a type for is JSON, except that a string is unchanged.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise BatchError("binary data, which cannot be part of a prompt")
    return "" if value is None else str(value)


def cells_of(columns: Iterable[tuple[Any, Any]]) -> Cells:
    """Return the cells of a row from names and values. Raises BatchError for binary data."""
    cells: Cells = {}
    for name, value in columns:
        try:
            cells[str(name)] = cell_text(value)
        except BatchError as error:
            raise BatchError(f"the column {name} holds {error}") from None
    return cells


def guess_format(file: BinaryIO, path: str) -> str:
    """Return the format that the suffix of the path names, else that of the first line.

    Raises BatchError for a file that is not text.
    """
    if suffix := _SUFFIXES.get(Path(path).suffix.lower()):
        return suffix
    first = file.readline(65536)
    if b"\0" in first:
        raise BatchError("is not text: give a file in CSV, TSV, JSON or JSON lines")
    start = first.removeprefix(b"\xef\xbb\xbf").strip()
    if start.startswith(b"["):
        return "json"
    if start.startswith(b"{"):
        rest = b"" if first.endswith(b"\n") else file.readline()
        with suppress(ValueError, RecursionError):
            json.loads(start + rest)
            return "nl"
        return "json"
    return "tsv" if b"\t" in start and b"," not in start else "csv"


def read_rows(file: BinaryIO, file_format: str) -> Iterator[tuple[int, Cells]]:
    """Yield line number and cells of each row, from the start of the file. Raises BatchError."""
    file.seek(0)
    try:
        yield from _READERS[file_format](file)
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


def _delimited(file: BinaryIO, delimiter: str) -> Iterator[tuple[int, Cells]]:
    # The limit applies to the interpreter: another reader may have raised it further.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    line = 1
    try:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header = next(reader, [])
        if not header:
            raise BatchError("line 1: there is no header that names the columns")
        refuse_duplicates(header)
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
    except ValueError:
        raise BatchError("not JSON that can be read: a number has too many digits") from None
    except RecursionError:
        raise BatchError("line 1: not JSON that can be read: it is nested too deeply") from None
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        yield number, _object(row, f"item {number}")


def _object(row: Any, where: str) -> Cells:
    if not isinstance(row, Mapping) or not row:
        raise BatchError(f"{where}: not a JSON object")
    return cells_of(row.items())


def refuse_duplicates(names: list[str]) -> None:
    """Raise BatchError for two columns of the same name."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise BatchError(f"line 1: two columns are named {name!r}")


_READERS: dict[str, Callable[[BinaryIO], Iterator[tuple[int, Cells]]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "nl": _json_lines,
}
