"""State of a batch: a SQLite file in the format of llm's log, with one more table."""

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import llm

from .errors import BatchError
from .lock import Lock
from .results import Tokens
from .writer import LOCK_TIMEOUT, Entry, Writer, create

# The last message of a turn without an answer is the prompt.
_FIND = """
    select request_hash, turn_id, failure, error, tries, input_tokens, output_tokens,
        json_extract(token_details, '$.prompt_tokens_details.cached_tokens'),
        iif(turns.id is null, null, coalesce((select group_concat(text, '') from
            (select text from parts where type = 'text' and message_hash =
                (select hash from messages where hash = tip_message_hash and role = 'assistant')
             order by position)), ''))
    from evolink_rows left join turns on turns.id = turn_id where row_id = ?
"""
_TOTALS = """
    select sum(input_tokens), sum(output_tokens),
        sum(json_extract(token_details, '$.prompt_tokens_details.cached_tokens'))
    from turns
"""


class Record(NamedTuple):
    """The state of a row; see Result."""

    request_hash: str | None
    turn_id: str | None
    failure: str | None
    error: str | None
    tries: int
    tokens: Tokens | None
    text: str | None


class Reader:
    """Reads a state file. A file that does not exist has no rows."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file. If `read_only`, no lock is written either. Raises BatchError."""
        self.path = path
        query = "select 1 from sqlite_master where name = 'evolink_rows'"
        with ExitStack() as opened:
            try:
                self._connection = _connect_read_only(path) if read_only else _connect(path)
                opened.callback(self._connection.close)
                self._cursor = self._connection.cursor()
                self._exists = self._connection.execute(query).fetchone() is not None
            except sqlite3.Error as error:
                raise BatchError(f"{path} cannot be read: {error}") from None
            opened.pop_all()

    def find(self, row_id: str) -> Record | None:
        """Return the record of a row, None if there is none. Raises BatchError."""
        if not self._exists:
            return None
        try:
            row = self._cursor.execute(_FIND, (row_id,)).fetchone()
        except sqlite3.Error as problem:
            raise BatchError(f"{self.path} cannot be read: {problem}") from None
        if row is None:
            return None
        request_hash, turn_id, failure, error, tries, sent, received, cached, text = row
        tokens = None
        if sent is not None or received is not None:
            tokens = Tokens(sent or 0, received or 0, cached or 0)
        return Record(request_hash, turn_id, failure, error, tries, tokens, text)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in one transaction: SQLite then locks and checks the file once, not for each row."""
        self._connection.execute("begin")
        try:
            yield
        finally:
            self._connection.execute("commit")

    def totals(self) -> Tokens:
        """Return the tokens of all runs."""
        if not self._exists:
            return Tokens()
        return Tokens(*(count or 0 for count in self._connection.execute(_TOTALS).fetchone()))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class State(Reader):
    """Reads and writes a state file, and keeps other processes from running its batch."""

    def __init__(self, path: Path) -> None:
        """Create or open the file. Raises BatchError if it is in use or not that of a batch."""
        file = Path(os.path.realpath(path))  # Symbolic links to the file share its lock.
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(file.with_name(f"{file.name}.lock"))
        except OSError as error:
            raise BatchError(f"{path} cannot be written: {error.strerror}") from None
        with ExitStack() as opened:
            opened.callback(self._lock.release)
            if _is_empty(path):
                create(path)
            self._writer = Writer(path)
            opened.callback(self._writer.close)
            super().__init__(path)
            opened.pop_all()

    def forget(self, row_ids: Iterable[str]) -> None:
        """Have these rows asked again; logged answers stay in the file. Raises BatchError."""
        self._writer.forget(row_ids)

    async def save(self, entry: Entry) -> str | None:
        """Write an entry; return once it is on disk. Raises BatchError if nothing can be written.

        Returns None, or why the answer cannot be logged.
        """
        saved: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._writer.put(entry, saved)
        return await saved

    def close(self) -> None:
        """Write the entries in the queue, then close the file."""
        self._writer.close()
        super().close()
        self._lock.release()


def _is_empty(path: Path) -> bool:
    """Return whether the file does not exist or has no tables.

    Raises BatchError for llm's log and other databases that no batch has created.
    """
    if not os.path.exists(path):
        return True
    try:
        with closing(_connect_read_only(path)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master")}
    except sqlite3.Error as error:
        raise BatchError(f"{path} cannot be used: {error}") from None
    if tables and "evolink_rows" not in tables:
        raise BatchError(
            f"{path} is not the state file of a batch: name a new file, which the batch creates"
        )
    return not tables


def _connect(path: Path) -> sqlite3.Connection:
    # One thread reads, another closes.
    return sqlite3.connect(path, timeout=LOCK_TIMEOUT, check_same_thread=False)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    # os.path.exists() never raises, unlike Path.exists() before Python 3.14.
    if not os.path.exists(path):
        return sqlite3.connect(":memory:")
    # Not immutable beside a write-ahead log, which holds rows that the file lacks.
    immutable = "" if os.path.exists(f"{path}-wal") else "&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{immutable}", uri=True)


def _cached(details: Any) -> int:
    with suppress(AttributeError, KeyError, TypeError):
        return int(details["prompt_tokens_details"]["cached_tokens"])
    return 0


def tokens_of(response: llm.AsyncResponse) -> Tokens | None:
    """Return the tokens of a finished response, None if the server did not report them."""
    if response.input_tokens is None and response.output_tokens is None:
        return None
    cached = _cached(response.token_details)
    return Tokens(response.input_tokens or 0, response.output_tokens or 0, cached)
