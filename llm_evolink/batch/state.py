"""State of a batch: a SQLite file of its own, in the format of llm's log, with one table more."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import llm
import sqlite_utils
from llm.logs import LogStore

from .errors import BatchError
from .lock import Lock
from .results import NOT_LOGGED, Tokens

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that writes the file, such as `llm -c -d FILE`."""

# No foreign key, view or trigger: llm rebuilds its own tables when it migrates them.
_CREATE = """
    create table if not exists evolink_rows (
        row_id text primary key, request_hash text, turn_id text, failure text, error text,
        tries integer
    ) without rowid
"""
_SAVE = "insert or replace into evolink_rows values (?, ?, ?, ?, ?, ?)"
_FIND = """
    select request_hash, turn_id, failure, error, tries, input_tokens, output_tokens,
        json_extract(token_details, '$.prompt_tokens_details.cached_tokens'),
        (select group_concat(text, '') from
            (select text from parts where message_hash = tip_message_hash and type = 'text'
             order by position))
    from evolink_rows left join turns on turns.id = turn_id where row_id = ?
"""
_TOTALS = """
    select sum(input_tokens), sum(output_tokens),
        sum(json_extract(token_details, '$.prompt_tokens_details.cached_tokens'))
    from turns
"""


class Record(NamedTuple):
    """What the file holds of a row; see Result."""

    request_hash: str | None
    turn_id: str | None
    failure: str | None
    error: str | None
    tries: int
    tokens: Tokens | None
    text: str | None


class Entry(NamedTuple):
    """What to save of a row that was asked."""

    row_id: str
    request_hash: str | None
    response: llm.Response | None
    failure: str | None
    error: str | None
    tries: int


class Reader:
    """Reads a state file; for a file that does not exist, one without rows."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file; read-only, nothing is written beside it. Raises BatchError."""
        if read_only:
            # Not immutable beside a write-ahead log, which holds rows that the file lacks.
            log = path.with_name(f"{path.name}-wal").exists()
            url = f"{path.absolute().as_uri()}?mode=ro{'' if log else '&immutable=1'}"
            source = url if path.exists() else ":memory:"
            self._connection = sqlite3.connect(source, uri=True)
        else:
            # Closed in another thread than the one that reads.
            self._connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, check_same_thread=False)
        query = "select 1 from sqlite_master where name = 'evolink_rows'"
        try:
            self._exists = self._connection.execute(query).fetchone() is not None
        except sqlite3.Error as error:
            raise BatchError(f"{path} cannot be read: {error}") from None

    def find(self, row_id: str) -> Record | None:
        """Return what the file holds of a row, None if it was never asked."""
        if not self._exists:
            return None
        row = self._connection.execute(_FIND, [row_id]).fetchone()
        if row is None:
            return None
        request_hash, turn_id, failure, error, tries, sent, received, cached, text = row
        tokens = None
        if sent is not None or received is not None:
            tokens = Tokens(sent or 0, received or 0, cached or 0)
        return Record(request_hash, turn_id, failure, error, tries, tokens, text)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read rows faster, as they are now: SQLite locks and checks the file once, not by row."""
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
        """Create or open the file. Raises BatchError if it is in use, or not a batch's."""
        self._refuse_other(path)
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(path.with_name(f"{path.name}.lock"))
        except OSError as error:
            raise BatchError(f"{path} cannot be written: {error.strerror}") from None
        try:
            self._writer = _Writer(path)
            super().__init__(path)
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def _refuse_other(path: Path) -> None:
        """Raise BatchError for llm's own log, which a batch would keep other prompts from using."""
        if path.exists():
            try:
                with closing(
                    sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
                ) as db:
                    tables = {name for (name,) in db.execute("select name from sqlite_master")}
            except sqlite3.Error as error:
                raise BatchError(f"{path} cannot be used: {error}") from None
            if tables and "evolink_rows" not in tables:
                raise BatchError(
                    f"{path} is not the file of a batch: a batch needs a file of its own, "
                    "which it creates"
                )

    def forget(self) -> None:
        """Have every row asked again; what was answered stays in the log."""
        self._writer.forget()

    async def save(self, entry: Entry) -> str | None:
        """Write an entry; return once it is on disk. Raises BatchError if nothing can be written.

        Returns what is wrong with an answer that cannot be logged, None if all is well.
        """
        saved: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._writer.put(entry, saved)
        return await saved

    def close(self) -> None:
        """Write what waits, then close the file."""
        self._writer.close()
        super().close()
        self._lock.release()


class _Writer:
    """Thread that commits whatever waits in one transaction: the disk sets the pace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[tuple[Entry, asyncio.Future[str | None]] | None]
        self._queue = queue.SimpleQueue()
        self._connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, check_same_thread=False)
        try:
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = full")
            self._database = sqlite_utils.Database(self._connection)
            self._store = LogStore(self._database)  # type: ignore[no-untyped-call]
            self._connection.execute(_CREATE)
            self._connection.commit()
        except sqlite3.Error as error:
            self._connection.close()
            raise BatchError(f"{path} cannot be written: {error}") from None
        self._thread = threading.Thread(target=self._run, name="evolink-batch-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry, saved: "asyncio.Future[str | None]") -> None:
        self._queue.put((entry, saved))

    def forget(self) -> None:
        """Call before the first put()."""
        with self._connection:
            self._connection.execute("update evolink_rows set request_hash = null")

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            waiting = [self._queue.get()]
            with suppress(queue.Empty):
                while True:
                    waiting.append(self._queue.get_nowait())
            closing = None in waiting
            entries = [each for each in waiting if each is not None]
            if entries:
                self._commit(entries)

    def _commit(self, entries: list[tuple[Entry, "asyncio.Future[str | None]"]]) -> None:
        done: list[Callable[[], None]] = []
        try:
            self._connection.execute("begin immediate")
            for entry, saved in entries:
                done.append(_setter(saved, self._write(entry)))
            self._connection.commit()
        except Exception as error:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            failure = BatchError(f"{self._path} cannot be written: {error}")
            done = [_raiser(saved, failure) for _, saved in entries]
        with suppress(RuntimeError):  # The loop is closed: nobody waits.
            entries[0][1].get_loop().call_soon_threadsafe(lambda: [each() for each in done])

    def _write(self, entry: Entry) -> str | None:
        """Log the answer and note the row; return what is wrong with an answer that cannot be."""
        problem = None
        try:
            with self._database.atomic():
                self._log(entry)
        except Exception as error:
            if not self._connection.in_transaction or _is_fatal(error):
                raise
            problem = f"The answer cannot be logged: {error}"
            failed = entry._replace(response=None, failure=NOT_LOGGED, error=problem)
            with self._database.atomic():
                self._log(failed)
        return problem

    def _log(self, entry: Entry) -> None:
        turn_id = None
        if entry.response:
            turn_id = entry.response.id
            # A conversation of the row's own, with the turn's id: `llm -c --cid ID -d FILE`.
            self._store.ensure_thread(turn_id, name=entry.row_id)
            self._store.log(entry.response, thread_id=turn_id)
        row = [entry.row_id, entry.request_hash, turn_id, entry.failure, entry.error, entry.tries]
        self._connection.execute(_SAVE, row)


def _is_fatal(error: Exception) -> bool:
    """Return whether nothing more can be written: no space left, say."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
    )


def _setter(saved: "asyncio.Future[str | None]", problem: str | None) -> Callable[[], None]:
    return lambda: None if saved.done() else saved.set_result(problem)


def _raiser(saved: "asyncio.Future[str | None]", failure: BatchError) -> Callable[[], None]:
    return lambda: None if saved.done() else saved.set_exception(failure)


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
