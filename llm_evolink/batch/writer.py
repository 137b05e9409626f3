"""Writes answers and the state of rows to a batch's file, in a thread."""

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import llm
import sqlite_utils
from llm.logs import LogStore

from .errors import BatchError
from .results import NOT_LOGGED

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that writes the file, such as `llm -c -d FILE`."""

# No foreign key, view or trigger: llm rebuilds its own tables when it migrates them.
_CREATE = """
    create table evolink_rows (
        row_id text primary key, request_hash text, turn_id text, failure text, error text,
        tries integer
    ) without rowid
"""
_SAVE = "insert or replace into evolink_rows values (?, ?, ?, ?, ?, ?)"
_FORGET = "update evolink_rows set request_hash = null where row_id = ?"


class Entry(NamedTuple):
    """The state to save of a row that was asked."""

    row_id: str
    request_hash: str
    response: llm.Response | None
    failure: str | None
    error: str | None
    tries: int


class _LogDatabase(sqlite_utils.Database):
    """Database whose table names are read once, and whose savepoints have one name.

    For each logged turn, sqlite_utils reads the names of tables 29 times and generates the names
    of eleven savepoints: half of the time of logging.
    """

    def table_names(self, fts4: bool = False, fts5: bool = False) -> list[str]:
        if fts4 or fts5:
            return super().table_names(fts4, fts5)
        return self._names[0]

    def view_names(self) -> list[str]:
        return self._names[1]

    @cached_property
    def _names(self) -> tuple[list[str], list[str]]:
        return super().table_names(), super().view_names()

    @contextmanager
    def atomic(self) -> Generator[sqlite_utils.Database, None, None]:
        self.conn.execute("savepoint evolink")
        try:
            yield self
        except BaseException:
            # An error such as a full disk may have ended the transaction and all its savepoints.
            if self.conn.in_transaction:
                self.conn.execute("rollback to evolink")
                self.conn.execute("release evolink")
            raise
        self.conn.execute("release evolink")


def create(path: Path) -> None:
    """Create the file, complete or not at all, also when the process is killed. Raises BatchError.

    Call it only while no other process uses the file.
    """
    file = Path(os.path.realpath(path))
    part = file.with_name(f".{file.name}.part")
    try:
        # SQLite would apply the journals of an earlier file to this one.
        _delete(part, *_journals(part), *_journals(file))
        with closing(sqlite3.connect(part)) as connection:
            LogStore(sqlite_utils.Database(connection))  # type: ignore[no-untyped-call]
            connection.execute(_CREATE)
            connection.commit()
        part.replace(file)
    except sqlite3.Error as error:
        raise BatchError(f"{path} cannot be written: {error}") from None
    except OSError as error:
        raise BatchError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            _delete(part, *_journals(part))


def _journals(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}{suffix}") for suffix in ("-journal", "-wal", "-shm")]


def _delete(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


class Writer:
    """Thread that commits all entries in the queue in one transaction, then the next ones."""

    def __init__(self, path: Path) -> None:
        """Open a file that create() has created. Raises BatchError."""
        self._path = path
        self._queue: queue.SimpleQueue[tuple[Entry, asyncio.Future[str | None]] | None]
        self._queue = queue.SimpleQueue()
        with ExitStack() as opened:
            try:
                self._connection = sqlite3.connect(
                    path, timeout=LOCK_TIMEOUT, check_same_thread=False
                )
                opened.callback(self._connection.close)
                self._connection.execute("pragma journal_mode = wal")
                self._connection.execute("pragma synchronous = full")
                LogStore(sqlite_utils.Database(self._connection))  # type: ignore[no-untyped-call]
                self._database = _LogDatabase(self._connection)
                self._store = LogStore(self._database)  # type: ignore[no-untyped-call]
            except sqlite3.Error as error:
                raise BatchError(f"{path} cannot be written: {error}") from None
            opened.pop_all()
        self._thread = threading.Thread(target=self._run, name="evolink-batch-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry, saved: "asyncio.Future[str | None]") -> None:
        """Write the entry, then resolve the future: to None, or why it cannot be logged."""
        self._queue.put((entry, saved))

    def forget(self, row_ids: Iterable[str]) -> None:
        """Have these rows asked again. Call it before the first put(). Raises BatchError."""
        try:
            with self._connection:
                self._connection.executemany(_FORGET, ((row_id,) for row_id in row_ids))
        except sqlite3.Error as error:
            raise BatchError(f"{self._path} cannot be written: {error}") from None

    def close(self) -> None:
        """Write the entries in the queue, then close the file."""
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
        with suppress(RuntimeError):  # The event loop is closed.
            entries[0][1].get_loop().call_soon_threadsafe(lambda: [each() for each in done])

    def _write(self, entry: Entry) -> str | None:
        """Log the answer and save the row; return why the answer cannot be logged, or None."""
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
    """Return whether no entry can be written, because the disk is full, say."""
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
