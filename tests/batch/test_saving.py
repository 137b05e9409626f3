"""What is saved: each answer once, also when the loop is left or the disk is full."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import aclosing

import pytest

from llm_evolink.batch import ask, ask_async
from llm_evolink.batch.run import Run
from llm_evolink.batch.state import State
from tests.llm_process import TIMEOUT

MODES = ("journal_mode", "synchronous")


def test_a_row_that_cannot_be_logged_fails(model, monkeypatch, asked, read):
    from llm.logs import LogStore

    log = LogStore.log

    def refusing(self, response, thread_id=None):
        if response.prompt.prompt == "row 1":
            self.db["turns"].insert({"id": "half", "thread_id": thread_id})
            raise ValueError("cannot be stored")
        return log(self, response, thread_id)

    monkeypatch.setattr(LogStore, "log", refusing)
    results, stopped = asked(3)

    assert stopped is None
    assert results["1"].failure == "not logged"
    assert results["1"].error == "The answer cannot be logged: cannot be stored"
    assert {results["0"].answer, results["2"].answer} == {"answer to row 0", "answer to row 2"}
    assert read("select count(*) from turns where id = 'half'") == [(0,)]
    assert read("select count(*) from threads") == [(2,)]


def test_a_row_counts_as_in_flight_until_it_is_on_disk(model, database, asked):
    """While another connection locks the file, only as many rows are asked as may be in flight."""
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    third, fourth = threading.Event(), threading.Event()
    early: list[bool] = []

    def respond(text, _):
        if len(model.asked) > 3:
            fourth.set()
        elif len(model.asked) == 3:
            third.set()
        return "a"

    def release():
        assert third.wait(TIMEOUT)
        early.append(fourth.wait(1))
        other.execute("rollback")

    model.respond = respond
    thread = threading.Thread(target=release)
    thread.start()
    results, stopped = asked(50, concurrency=3)
    thread.join()
    other.close()

    assert (len(results), stopped) == (50, None)
    assert early == [False]


def test_a_full_disk_ends_the_run_in_one_line_and_loses_no_committed_row(
    model, database, monkeypatch, asked, read
):
    from llm_evolink.batch import writer

    connect = sqlite3.connect

    def small(*arguments, **options):
        connection = connect(*arguments, **options)
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count = {pages + 12}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(writer.sqlite3, "connect", small)
        results, stopped = asked(120, concurrency=4)
    assert stopped == f"{database} cannot be written: database or disk is full"
    assert 0 < len(results) < 120
    assert read("select count(*) from evolink_rows") == [(len(results),)]

    asked_before = len(model.asked)
    everything, stopped = asked(120)
    assert (len(everything), stopped) == (120, None)
    assert len(model.asked) - asked_before == 120 - len(results)
    assert max(model.counts.values()) <= 2


@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt])
def test_a_loop_that_is_left_saves_what_is_in_flight(
    model, database, monkeypatch, error, rows, read
):
    """The server holds all answers but the first until the loop has been left."""
    left = threading.Event()
    stop = Run.stop
    monkeypatch.setattr(Run, "stop", lambda *arguments: (left.set(), stop(*arguments)))

    def respond(text, _):
        if text != "row 0":
            assert left.wait(TIMEOUT)
        return "a"

    model.respond = respond
    answers = ask(rows(500), "$text", database=database, concurrency=4)
    assert next(answers).id == "0"
    with pytest.raises(error):
        answers.throw(error)

    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]
    assert 4 <= len(model.asked) <= 5


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("next(results)", 0),
        ("for result in results: raise SystemExit(3)", 3),
        ("for result in results: raise ValueError", 1),
        ("for result in results: raise KeyboardInterrupt", -signal.SIGINT),
    ],
)
def test_a_script_that_ends_within_the_loop_saves_what_is_in_flight(
    model, database, ending, code, read
):
    """The generator is still referenced when Python ends."""
    script = f"""
from llm_evolink.batch import ask
rows = ({{"id": number, "text": f"row {{number}}"}} for number in range(500))
results = ask(rows, "$text", database={str(database)!r}, concurrency=4)
{ending}
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert done.returncode == code, done.stderr
    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]
    assert 1 <= len(model.asked) < 500
    assert not database.with_name("state.db.lock").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("in_loop", [False, True])
def test_rows_that_end_the_program_end_the_run_after_what_is_in_flight(
    model, database, rows, read, error, in_loop
):
    def ending():
        yield from rows(2)
        raise error("enough")

    options = {"database": database, "concurrency": 2}

    async def main():
        async for _ in ask_async(ending(), "$text", **options):
            pass

    with pytest.raises(error, match="enough"):
        asyncio.run(main()) if in_loop else list(ask(ending(), "$text", **options))
    assert read("select row_id from evolink_rows") == [("0",), ("1",)]


def test_an_event_loop_that_leaves_saves_what_is_in_flight(model, database, rows, read):
    async def main():
        results = ask_async(rows(500), "$text", database=database, concurrency=4)
        async with aclosing(results):
            async for _ in results:
                break

    asyncio.run(main())
    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]
    assert 4 <= len(model.asked) <= 8


def test_a_row_that_cannot_be_read_ends_the_run_after_what_is_in_flight(
    model, database, rows, read
):
    failed = threading.Event()

    def failing():
        yield from rows(2)
        failed.set()
        raise ZeroDivisionError("no third row")

    model.respond = lambda text, _: "a" if text == "row 0" or failed.wait(TIMEOUT) else "late"
    results = []
    with pytest.raises(ZeroDivisionError, match="no third row"):
        results.extend(ask(failing(), "$text", database=database, concurrency=2))
    assert read("select row_id from evolink_rows") == [("0",), ("1",)]


def test_each_commit_is_on_disk_before_the_next(model, database):
    """The file is in WAL mode with synchronous = FULL (2), and so survives a power failure."""
    state = State(database)
    connection = state._writer._connection
    modes = [connection.execute(f"pragma {each}").fetchone() for each in MODES]
    state.close()

    assert modes == [("wal",), (2,)]
