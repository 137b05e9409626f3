"""Ctrl-C, SIGTERM, a kill, a second process and a terminal: real processes and signals."""

import itertools
import json
import os
import random
import re
import signal
import sqlite3
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from llm_evolink.batch import writer
from llm_evolink.batch.errors import BatchError
from llm_evolink.batch.lock import Lock
from llm_evolink.batch.state import Reader, State
from tests import llm_process
from tests.scripted_server import Refusal


@pytest.fixture
def table(tmp_path):
    def write(count):
        path = tmp_path / "rows.csv"
        path.write_text("id,text\n" + "".join(f"{n},row {n}\n" for n in range(count)))
        return str(path)

    return write


class Gate:
    """Holds all answers after the first ones until the test opens it."""

    def __init__(self, model, first):
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.first = first
        self.model = model
        model.respond = self.respond

    def respond(self, text, _):
        if len(self.model.asked) >= self.first:
            self.reached.set()
            assert self.opened.wait(llm_process.TIMEOUT)
        return "a"


def stored(database):
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "select row_id from evolink_rows where turn_id is not null"
    ).fetchall()
    connection.close()
    return {int(row_id) for (row_id,) in rows}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_waits_for_the_requests_in_flight(model, table, database, number):
    gate = Gate(model, 20)
    command = ["evolink", "batch", table(500), "$text", "-d", str(database), "-c", "4"]
    with llm_process.start(*command) as process:
        assert gate.reached.wait(llm_process.TIMEOUT)
        process.send_signal(number)
        llm_process.line_with(process.stderr, "requests in flight")
        gate.opened.set()
        output = process.stdout.read()
        error = process.stderr.read()
        assert process.wait() == 130
    ids = [int(json.loads(line)["id"]) for line in output.splitlines()]
    assert ids == sorted(ids) == list(range(len(model.asked)))
    assert stored(database) == set(ids)
    assert 20 <= len(ids) <= 24
    assert f"not asked {500 - len(ids)} of 500 rows" in error
    assert error.endswith("To continue, run the same command again\n")


def test_a_second_ctrl_c_cancels_the_requests_in_flight(model, table, database):
    gate = Gate(model, 20)
    command = ["evolink", "batch", table(500), "$text", "-d", str(database), "-c", "4"]
    with llm_process.start(*command) as process:
        assert gate.reached.wait(llm_process.TIMEOUT)
        process.send_signal(signal.SIGINT)
        llm_process.line_with(process.stderr, "requests in flight")
        process.send_signal(signal.SIGINT)
        # It ends while the server still holds the answers.
        process.stdout.read()
        assert process.wait() == 130
        assert not gate.opened.is_set()
        gate.opened.set()
    assert 16 <= len(stored(database)) < 20


def test_ctrl_c_during_a_pause_ends_at_once(model, table, database):
    model.respond = lambda text, _: (
        Refusal(429, headers={"retry_after": "300"}) if text == "row 5" else "a"
    )
    command = ["evolink", "batch", table(50), "$text", "-d", str(database), "-c", "1"]
    with (
        llm_process.Terminal() as terminal,
        llm_process.start(*command, stderr=terminal.fd) as process,
    ):
        terminal.read_until(" s for the rate limit")
        process.send_signal(signal.SIGINT)
        terminal.read()
        assert process.wait() == 130
    assert stored(database) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_table_is_read(environment, database, number):
    reader, writer = os.pipe()
    command = ["evolink", "batch", "-", "$text", "-d", str(database)]
    with llm_process.start(*command, stdin=reader) as process:
        os.close(reader)
        os.write(writer, b"id,text\n" * 10_000)  # More than a pipe holds: it is being read.
        process.send_signal(number)
        assert process.wait() == 130
    os.close(writer)


def test_a_second_process_is_refused_with_the_first_ones_pid(model, table, database):
    gate = Gate(model, 1)
    command = ["evolink", "batch", table(5), "$text", "-d", str(database)]
    with llm_process.start(*command) as first:
        assert gate.reached.wait(llm_process.TIMEOUT)
        second = llm_process.run(*command)
        assert second.returncode == 1
        assert second.stderr == f"Error: This batch is already being run by process {first.pid}\n"
        gate.opened.set()
        assert first.wait() == 0
    assert llm_process.run(*command).returncode == 0
    assert len(model.asked) == 5


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    reader, writer = os.pipe()

    def hold() -> None:
        Lock(path)
        os.write(writer, b"x")
        signal.pause()

    child = llm_process.start_forked(hold)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    with pytest.raises(BatchError, match=f"already being run by process {child}$"):
        Lock(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    Lock(path).release()
    assert not path.exists()
    os.close(reader)


def kill_and_continue(model, table, database, count, kills, concurrency):
    """Kill the command at random numbers of requests; then run it to its end."""
    command = ["evolink", "batch", table(count), "$text", "-d", str(database)]
    command += ["-c", str(concurrency)]
    moments = sorted(random.Random(7).sample(range(1, count), kills))
    for moment in moments:
        reached = threading.Event()

        def respond(text, _, moment=moment, reached=reached):
            if len(model.asked) >= moment:
                reached.set()
            return f"answer to {text}"

        model.respond = respond
        with llm_process.start(*command, stdout=llm_process.DEVNULL) as process:
            while not reached.wait(0.01):
                if process.poll() is not None:
                    break
            process.kill()
            process.wait()
    done = llm_process.run(*command)
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [str(number) for number in range(count)]
    assert [answer["answer"] for answer in answers] == [
        f"answer to row {number}" for number in range(count)
    ]
    assert len({answer["turn_id"] for answer in answers}) == count
    assert count <= len(model.asked) <= count + kills * concurrency


def test_each_row_is_answered_once_after_three_kills(model, table, database):
    kill_and_continue(model, table, database, 60, 3, 8)


def test_each_row_is_answered_once_after_twenty_kills(model, table, database, request):
    if not request.config.getoption("fuzz"):
        pytest.skip("twenty kills run with --fuzz")
    kill_and_continue(model, table, database, 500, 20, 32)


@pytest.mark.parametrize("statement", [1, 10, 100, 500, 1500])
def test_a_process_that_is_killed_while_it_creates_the_file_leaves_no_half_of_it(
    empty_log, llm_in_process, user_path, statement
):
    path = user_path / "evolink-batches" / "mine.db"
    connect, count = sqlite3.connect, itertools.count(1)

    def kill(_: str) -> None:
        if next(count) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(kill)
        return connection

    def create() -> None:
        sqlite3.connect = traced
        State(path)

    assert llm_process.run_forked(create) == signal.SIGKILL
    assert llm_in_process("evolink", "usage", "--by", "batch").returncode == 0
    State(path).close()
    assert sorted(path.parent.iterdir()) == [path]


def test_a_signal_while_the_file_is_created_ends_the_command_in_one_line(
    model, table, tmp_path, monkeypatch, llm_in_process
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "folder" / "state.db"
    path.parent.mkdir()
    command = ["evolink", "batch", table(3), "$text", "-d", str(path)]
    with monkeypatch.context() as patch:
        patch.setattr(writer, "LogStore", interrupted)
        done = llm_in_process(*command)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Interrupted; to continue, run the same command again\n"
    assert list(path.parent.iterdir()) == []
    assert llm_in_process(*command).returncode == 0


def test_a_killed_run_leaves_a_file_that_a_dry_run_can_read(model, table, database):
    """The rows are in the write-ahead log, which a dry run reads and does not change."""
    gate = Gate(model, 10)
    command = ["evolink", "batch", table(50), "$text", "-d", str(database), "-c", "2"]
    with llm_process.start(*command) as process:
        assert gate.reached.wait(llm_process.TIMEOUT)
        process.kill()
        process.wait()
        gate.opened.set()
    saved = len(stored_read_only(database))
    assert saved >= 8
    done = llm_process.run(*command, "--dry-run")
    assert done.stdout.startswith(f"50 rows, {50 - saved} to ask, {saved} answered already\n")


def stored_read_only(database):
    reader = Reader(Path(database), read_only=True)
    found = [number for number in range(50) if reader.find(str(number))]
    reader.close()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal as Linux closes it")
def test_a_bar_is_shown_on_a_terminal(model, table, database, tmp_path):
    command = ["evolink", "batch", table(8), "$text", "-d", str(database)]
    with (
        llm_process.Terminal() as terminal,
        (tmp_path / "out").open("w") as out,
        llm_process.start(*command, stdout=out, stderr=terminal.fd) as process,
    ):
        text = terminal.read()
        assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    last = text.split("\r")[-1]
    assert re.search(r"8/8 .* rows/s, 112 tokens", last)
    assert "Answered 8, failed 0 of 8 rows" in text
    assert len((tmp_path / "out").read_text().splitlines()) == 8


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal as Linux closes it")
@pytest.mark.parametrize(
    ("columns", "last"),
    [
        (40, r"\[####\]  300/300  \d+\.\d rows/s, 4,200.{0,4}"),
        (56, r"\[#{5,19}\]  300/300  \d+\.\d rows/s, 4,200 tokens"),
    ],
)
def test_a_bar_fits_a_narrow_terminal(model, table, database, tmp_path, columns, last):
    command = ["evolink", "batch", table(300), "$text", "-d", str(database)]
    with llm_process.Terminal() as terminal, (tmp_path / "out").open("w") as out:
        termios.tcsetwinsize(terminal.fd, (24, columns))
        with llm_process.start(*command, stdout=out, stderr=terminal.fd) as process:
            text = terminal.read()
            assert process.wait() == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", text).split("Answered")[0].splitlines()
    lines = [line for line in shown if "/300" in line]
    assert max(map(len, lines)) <= columns
    assert re.fullmatch(f"  {last} *", lines[-1])


def test_no_bar_elsewhere(model, table, database):
    done = llm_process.run("evolink", "batch", table(3), "$text", "-d", str(database))

    assert done.stderr.startswith("Answered 3, failed 0 of 3 rows\n")
