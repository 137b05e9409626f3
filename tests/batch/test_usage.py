"""`llm evolink usage` counts the files of batches."""

import json
import os
import resource
import shutil
import sqlite3
from contextlib import closing

import pytest

from llm_evolink.batch import ask
from llm_evolink.commands.usage import report


@pytest.fixture
def batches(model, user_path):
    """Two batches in llm's folder, of 3 and 2 rows."""
    for name, count in (("reviews", 3), ("mails", 2)):
        rows = [{"id": number, "text": f"row {number}"} for number in range(count)]
        list(ask(rows, "$text", database=user_path / "evolink-batches" / f"{name}.db"))


def usage(llm_in_process, *arguments):
    done = llm_in_process("evolink", "usage", "--by", "batch", "--all", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def counts(found):
    other = found["other_servers"]["prompts"]
    return {row["batch"]: row["prompts"] for row in found["rows"]}, other


@pytest.fixture(autouse=True)
def _our_server(model, monkeypatch):
    """Have the test's server count as EvoLink's; the report separates others."""
    servers = frozenset({os.environ["EVOLINK_BASE_URL"]})
    monkeypatch.setattr(report, "_evolink_servers", lambda: servers)


def test_batches_without_a_log(batches, llm_in_process, user_path):
    before = sorted((user_path / "evolink-batches").iterdir())

    assert counts(usage(llm_in_process)) == ({"reviews": 3, "mails": 2}, 0)
    assert usage(llm_in_process)["total"]["input_tokens"] == 50
    assert sorted((user_path / "evolink-batches").iterdir()) == before


def test_batches_beside_the_log(batches, log_with_a_prompt, llm_in_process):
    assert counts(usage(llm_in_process)) == ({"reviews": 3, "mails": 2, None: 1}, 0)
    done = llm_in_process("evolink", "usage", "--by", "model", "--json")
    assert json.loads(done.stdout)["total"]["prompts"] == 6
    shown = llm_in_process("evolink", "usage", "--by", "batch")
    assert [line.split("  ")[0] for line in shown.stdout.splitlines()] == (
        ["batch", "reviews", "mails", "no batch", "total"]
    )


def test_a_batch_that_another_server_answered(batches, llm_in_process, monkeypatch):
    monkeypatch.setattr(report, "_evolink_servers", frozenset)

    prices = ["--price-in", "1", "--price-out", "1"]
    found = usage(llm_in_process, *prices)
    assert counts(found) == ({"reviews": 3, "mails": 2}, 5)
    assert (found["total"]["prompts"], found["total"]["cost"]) == (5, None)
    done = llm_in_process("evolink", "usage", "--by", "batch", *prices)
    assert [line.split()[0] for line in done.stdout.splitlines()] == (
        ["batch", "reviews", "mails", "total"]
    )
    assert done.stderr.endswith("), which are not priced\n")


def test_a_file_of_llms_folder_that_holds_no_batch_is_skipped(batches, llm_in_process, user_path):
    (user_path / "evolink-batches" / "empty.db").touch()

    assert counts(usage(llm_in_process)) == ({"reviews": 3, "mails": 2}, 0)


def test_one_file_alone(batches, llm_in_process, user_path):
    path = str(user_path / "evolink-batches" / "mails.db")

    assert counts(usage(llm_in_process, "-d", path)) == ({"mails": 2}, 0)


@pytest.fixture
def log_with_a_prompt(_migrated, batches, user_path, llm_command):
    import shutil

    shutil.copy(_migrated, user_path / "logs.db")
    assert llm_command("-m", "gemini-3.5-flash", "hello").returncode == 0


@pytest.fixture
def few_files():
    """Limit the files that this process may have open at once to 128."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_batches_than_files_that_may_be_open(batches, llm_in_process, user_path, few_files):
    folder = user_path / "evolink-batches"
    for number in range(150):
        shutil.copy(folder / "mails.db", folder / f"{number}.db")

    found = llm_in_process("evolink", "usage", "--json")

    assert (found.returncode, json.loads(found.stdout)["total"]["prompts"]) == (0, 305)


def test_a_file_of_a_batch_that_was_killed_as_it_began_is_skipped(
    batches, llm_in_process, user_path
):
    folder = user_path / "evolink-batches"
    (folder / "empty.db").touch()
    with closing(sqlite3.connect(folder / "begun.db")) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table evolink_rows (row_id)")

    assert counts(usage(llm_in_process)) == ({"reviews": 3, "mails": 2}, 0)
