"""Results as JSON lines or CSV, in the order of the table, to a stream or a file."""

import csv
import io
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import BatchError
from .formats import cell_text
from .results import Result
from .reuse import stored_result
from .row_ids import Ids
from .state import State
from .table import Row

_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps() would create one each time.

PORTION = 256
"""Maximum number of results that are written at a time."""


class Output:
    """Writes results in the order of the table.

    A result that comes early is not kept in memory if it is in the state, and read in its turn.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        state: State,
        ids: Ids,
        schema: dict[str, Any] | None,
        *,
        as_csv: bool = False,
    ) -> None:
        self._write = write
        self._state = state
        self._ids = ids
        self._schema = schema
        self._next = 0
        self._not_saved: dict[int, Result] = {}  # By position.
        self._line: Callable[[Result], str] = json_line
        if as_csv:
            lines = CsvLines(schema)
            self._line = lines.line
            write(lines.header())

    def add(self, results: list[Result], watermark: int) -> None:
        """Write the results before the watermark that are not written yet. Raises BatchError.

        `watermark` is the position before which every row is finished.
        """
        new = {result.position: result for result in results}
        for result in results:
            if not result.tries and not result.reused and result.position >= watermark:
                self._not_saved[result.position] = result
        while self._next < watermark:
            end = min(self._next + PORTION, watermark)
            with self._state.snapshot():
                lines = [
                    self._line(new.get(position) or self._early(position))
                    for position in range(self._next, end)
                ]
            self._write("".join(lines))
            self._next = end

    def _early(self, position: int) -> Result:
        """Return the result of a row that finished before an earlier row. Raises BatchError."""
        if result := self._not_saved.pop(position, None):
            return result
        row_id = self._ids.at(position)
        record = self._state.find(row_id)
        if record is None:
            raise BatchError(f"{self._state.path} has no entry of row {row_id}")
        return stored_result(Row(position, row_id, {}), record, self._schema)


def json_line(result: Result) -> str:
    """Return the result as one JSON object."""
    fields: dict[str, Any] = {"id": result.id}
    if result.failure is None:
        fields["answer"] = result.answer
    else:
        fields["error"] = result.error
        if result.text is not None:
            fields["text"] = result.text
    if result.tokens:
        fields["input_tokens"] = result.tokens.input
        fields["output_tokens"] = result.tokens.output
    if result.turn_id:
        fields["turn_id"] = result.turn_id
    return f"{_encode(fields)}\n"


class CsvLines:
    """Lines of CSV with a column for each property of the schema, named `answer.NAME`."""

    def __init__(self, schema: dict[str, Any] | None) -> None:
        self._properties = list((schema or {}).get("properties") or ())

    def header(self) -> str:
        """Return the first line."""
        answers = [f"answer.{name}" for name in self._properties] or ["answer"]
        ending = ["error", "text", "input_tokens", "output_tokens", "turn_id"]
        return _csv_line(["id", *answers, *ending])

    def line(self, result: Result) -> str:
        """Return the line of a result. The cell `text` holds the text of a failed row."""
        answer = result.answer
        if self._properties:
            given = answer if isinstance(answer, dict) else {}
            answers = [cell_text(given.get(name)) for name in self._properties]
        else:
            answers = [cell_text(answer)]
        tokens = [result.tokens.input, result.tokens.output] if result.tokens else ["", ""]
        text = result.text if result.failure else ""
        return _csv_line([result.id, *answers, result.error, text, *tokens, result.turn_id])


def _csv_line(values: list[Any]) -> str:
    line = io.StringIO()
    # csv quotes a cell with a carriage return only if that is part of its line ending.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n") + "\n"


class AtomicFile:
    """A file that is replaced only when its new content is complete."""

    def __init__(self, path: Path) -> None:
        """Create a temporary file beside it for the content. Raises BatchError."""
        self._path = path.resolve()
        self._part = self._path.with_name(f".{self._path.name}.part")
        try:
            mode = self._path.stat().st_mode if self._path.exists() else None
            if mode is not None and not stat.S_ISREG(mode):
                raise BatchError(f"{path} is not a regular file: use > {path}")
            self._file = self._part.open("w", encoding="utf-8", newline="")
            if mode is not None:
                os.fchmod(self._file.fileno(), stat.S_IMODE(mode))
        except OSError as error:
            raise BatchError(f"{path} cannot be written: {error.strerror}") from None

    def write(self, text: str) -> None:
        """Write the text. Raises BatchError."""
        try:
            self._file.write(text)
        except OSError as error:
            raise BatchError(f"{self._path} cannot be written: {error.strerror}") from None

    def replace(self) -> None:
        """Replace the file by the content. Raises BatchError."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise BatchError(f"{self._path} cannot be written: {error.strerror}") from None

    def discard(self) -> None:
        """Delete the content; the file is unchanged."""
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)
