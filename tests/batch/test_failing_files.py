"""Files of a batch that cannot be read or written: one line, and nothing left locked."""

import fcntl
import json
import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from llm_evolink.batch import BatchError, Tokens
from llm_evolink.batch.display import status
from llm_evolink.batch.lock import Lock
from llm_evolink.batch.output import AtomicFile
from llm_evolink.batch.progress import Progress
from llm_evolink.batch.requests import RequestError, _content_id
from llm_evolink.batch.results import parse
from llm_evolink.batch.reuse import stored_result
from llm_evolink.batch.state import Reader, Record, State
from llm_evolink.batch.table import Row
from llm_evolink.batch.writer import Writer

FULL = OSError(28, "No space left on device")


def message_of(function: Any, *arguments: Any) -> str:
    with pytest.raises(BatchError) as error:
        function(*arguments)
    return error.value.message


def test_a_state_file_that_is_not_a_database_is_reported_and_not_locked(tmp_path):
    path = tmp_path / "batch.db"
    path.write_bytes(b"not a database" * 100)

    assert message_of(State, path) == f"{path} cannot be used: file is not a database"
    assert message_of(Reader, path) == f"{path} cannot be read: file is not a database"
    assert (
        message_of(Reader, tmp_path) == f"{tmp_path} cannot be read: unable to open database file"
    )
    unwritable = f"{tmp_path} cannot be written: unable to open database file"
    assert message_of(Writer, tmp_path) == unwritable
    long = tmp_path / ("a" * 300)
    assert message_of(Reader, long) == f"{long} cannot be read: unable to open database file"
    assert message_of(State, long) == f"{long} cannot be written: File name too long"
    Lock(path.with_name("batch.db.lock")).release()


def test_a_state_below_a_file_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "batch.db"
    assert message_of(State, path) == f"{path} cannot be written: File exists"


@pytest.mark.parametrize("name", ["none.db", "a" * 300], ids=["missing", "long"])
def test_a_file_without_the_batch_has_no_tokens(tmp_path, name):
    with closing(Reader(tmp_path / name, read_only=True)) as reader:
        assert reader.totals() == Tokens()


@pytest.mark.parametrize("method", ["write", "flush"])
def test_an_output_that_cannot_be_written_is_reported(tmp_path, monkeypatch, method):
    path = tmp_path / "answers.jsonl"
    path.write_text("before")
    output = AtomicFile(path)

    def fail(*_: Any) -> None:
        raise FULL

    broken = SimpleNamespace(write=output._file.write, close=output._file.close)
    setattr(broken, method, fail)
    monkeypatch.setattr(output, "_file", broken)
    action = (output.write, "text") if method == "write" else (output.replace,)
    assert message_of(*action) == f"{path} cannot be written: No space left on device"
    output.discard()
    assert path.read_text() == "before"


def test_an_attachment_that_cannot_be_read_is_an_invalid_request():
    class Attachment:
        path = "pelican.png"

        def id(self) -> str:
            raise FULL

    with pytest.raises(RequestError) as error:
        _content_id(Attachment())  # type: ignore[arg-type]
    assert str(error.value) == "pelican.png cannot be read: No space left on device"


def test_a_stored_answer_that_no_longer_fits_is_a_failure():
    record = Record("hash", "turn", None, None, 1, Tokens(1, 2), "not JSON")
    result = stored_result(Row(0, "a", {}), record, {"type": "object"})
    assert (result.failure, result.answer, result.reused) == ("not parsed", None, True)


def test_the_status_shows_the_rate_of_this_run_cost_and_pause():
    progress = Progress(answered=3, reused=9, tokens=Tokens(1000, 500))
    progress.failures = {"server": 1, "cut": 5}  # The cut answers are those of an earlier run.
    progress.asked = 4
    run: Any = SimpleNamespace(progress=progress, pace=SimpleNamespace(pause=lambda: 7.4))
    assert status(run, 2.0, lambda tokens: tokens.output / 1000) == (
        "6 failed, 2.0 rows/s, 1,500 tokens, cost 0.5, waiting 7 s for the rate limit"
    )


def test_a_disk_that_is_full_from_the_start_is_reported_and_the_lock_released(
    tmp_path, monkeypatch
):
    connect, path = sqlite3.connect, tmp_path / "batch.db"

    def small(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.execute("pragma max_page_count = 1")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    assert message_of(State, path) == f"{path} cannot be written: database or disk is full"
    Lock(path.with_name("batch.db.lock")).release()


def test_a_lock_file_that_its_owner_deletes_is_made_again(tmp_path, monkeypatch):
    path, flock = tmp_path / "lock", fcntl.flock

    def delete_before(*arguments):
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", delete_before)
    lock = Lock(path)
    assert path.read_text() == str(os.getpid())
    lock.release()


def test_a_file_system_without_locks_is_reported_and_the_file_closed(tmp_path, monkeypatch):
    closed = []

    def fail(*_: Any) -> None:
        raise OSError(37, "No locks available")

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        os_close(descriptor)

    os_close = os.close
    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(os, "close", close)
    path = tmp_path / "batch.db"
    assert message_of(State, path) == (
        f"{path}.lock cannot be locked: No locks available; "
        "choose a state file on a disk of this machine"
    )
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ('{"a": 1}', {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}}),
        ("[1]", {"properties": {"a": {"type": "integer"}}}),
    ],
)
def test_a_property_that_is_not_required_can_be_missing(value, schema):
    assert parse(value, schema) == json.loads(value)
