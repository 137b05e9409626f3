"""`llm evolink batch`: state files, resuming and dry runs."""

import json
import os
import re
import socket
import sqlite3

from llm_evolink.batch.state import State
from tests.scripted_server import Refusal


def test_the_same_command_again_prints_the_same_and_asks_only_what_failed(
    model, batch, table, answers
):
    model.respond = lambda text, _: Refusal(400, "too odd") if text == "review 3, good" else "a"
    path = table(5)
    first = batch(path, "$text")
    assert first.returncode == 1
    assert answers(first)[2] == {"id": "3", "error": "too odd (status 400)"}
    assert first.stderr.splitlines()[:2] == [
        "Answered 4, failed 1 of 5 rows",
        "  1 invalid request, such as row 3: too odd (status 400)",
    ]
    assert "To continue, run the same command again" in first.stderr

    model.respond = lambda *_: "b"
    model.asked.clear()
    second = batch(path, "$text")
    assert second.returncode == 0
    assert model.asked == ["review 3, good"]
    assert [row["answer"] for row in answers(second)] == ["a", "a", "b", "a", "a"]
    assert second.stderr.splitlines()[:3] == [
        "Answered 1, reused 4, failed 0 of 5 rows",
        "Tokens: 10 input, 4 output",
        "All runs: 50 input, 20 output",
    ]
    again = batch(path, "$text", "--again")
    assert len(model.asked) == 6
    assert again.stderr.startswith("Answered 5, failed 0 of 5 rows")


def test_again_can_be_continued_without_it(model, batch, table, answers):
    path = table(5)
    assert batch(path, "$text").returncode == 0
    model.respond = lambda text, _: Refusal(401) if text == "review 3, good" else "anew"
    assert batch(path, "$text", "--again", "-c", "1").returncode == 1

    model.respond = lambda *_: "anew"
    model.asked.clear()
    done = batch(path, "$text")
    assert sorted(model.asked) == [f"review {number}, good" for number in (3, 4, 5)]
    assert [row["answer"] for row in answers(done)] == ["anew"] * 5


def test_again_forgets_only_the_rows_of_a_run_that_starts(model, batch, table, answers, tmp_path):
    path = table(5)
    assert batch(path, "$text").returncode == 0
    model.respond = lambda *_: "anew"
    model.asked.clear()
    done = batch(path, "$text", "--again", "-O", str(tmp_path / "none" / "answers.jsonl"))
    assert done.stderr.startswith("Error: ")
    assert batch(path, "$text", "--again", "--limit", "2").returncode == 0
    done = batch(path, "$text")

    assert sorted(model.asked) == ["review 1, good", "review 2, good"]
    assert [row["answer"] for row in answers(done)] == [
        "anew",
        "anew",
        "answer to review 3, good",
        "answer to review 4, good",
        "answer to review 5, good",
    ]


def test_a_dry_run_shows_counts_and_the_first_request_and_writes_nothing(
    model, llm_in_process, table, user_path
):
    user_path.mkdir()
    path = table(3)
    done = llm_in_process("evolink", "batch", path, "Rate $text", "-s", "Be brief", "--dry-run")

    assert done.returncode == 0
    head, _, request = done.stdout.partition("\n")
    assert head == "3 rows, 3 to ask, 0 answered already"
    assert json.loads(request) == {
        "id": "1",
        "model": "gemini-3.5-flash",
        "system": "Be brief",
        "prompt": "Rate review 1, good",
    }
    assert model.asked == []
    assert not (user_path / "evolink-batches").exists()


def test_a_dry_run_shows_the_fragments(model, batch, table, user_path, tmp_path):
    (user_path / "templates").mkdir(parents=True)
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text(f"Text {name}.")
    template = f"prompt: $text\nfragments: [{tmp_path}/one]\nsystem_fragments: [{tmp_path}/two]\n"
    (user_path / "templates" / "t.yaml").write_text(template)
    done = batch(table(1), "-t", "t", "-f", str(tmp_path / "three"), "--dry-run")

    request = json.loads(done.stdout.partition("\n")[2])
    assert request["fragments"] == ["Text one.", "Text three."]
    assert request["system_fragments"] == ["Text two."]


def test_a_dry_run_after_a_run_leaves_the_state_as_it_is(model, batch, table, database, tmp_path):
    path = table(3)
    batch(path, "$text", "--limit", "2")
    before = database.read_bytes(), sorted(tmp_path.iterdir())
    done = batch(path, "$text", "--dry-run")

    assert done.stdout.startswith("3 rows, 1 to ask, 2 answered already\n")
    assert json.loads(done.stdout.partition("\n")[2])["id"] == "3"
    assert batch(path, "$text", "--again", "--dry-run").stdout.startswith("3 rows, 3 to ask, 0 ")
    assert (database.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_the_state_is_in_llms_folder_under_an_id_of_what_is_asked(
    model, llm_in_process, table, user_path, tmp_path, monkeypatch
):
    path = table(1)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = llm_in_process("evolink", "batch", *arguments)
        assert done.returncode == 0
        (batch_id,) = re.findall(r"(?m)^Batch (\S+): ", done.stderr)
        assert f"Batch {batch_id}: {user_path}/evolink-batches/{batch_id}.db" in done.stderr
        return batch_id

    first = run(path, "$text")
    assert run("reviews.csv", "$text") == run(path, "$text", "--format", "csv") == first
    others = [
        run(path, "$text!"),
        run(path, "$text", "-s", "s"),
        run(path, "$text", "-o", "seed", "1"),
        run(table(1, "other.csv"), "$text"),
        run(path, "$text", "--name", "mine-1.0"),
    ]
    assert others[-1] == "mine-1.0"
    assert len({first, *others}) == 6
    assert not (user_path / "logs.db").exists()


def test_the_file_works_with_llm(model, batch, table, database, llm_command, empty_log, answers):
    done = batch(table(2), "$text")
    turn_id = answers(done)[1]["turn_id"]

    logged = llm_command("logs", "-d", str(database), "--json", "-n", "0")
    assert {(each["prompt"], each["response"]) for each in json.loads(logged.stdout)} == {
        (f"review {number}, good", f"answer to review {number}, good") for number in (1, 2)
    }
    model.respond = lambda *_: "because"
    continued = llm_command("-c", "--cid", turn_id, "-d", str(database), "Why?")
    assert continued.stdout == "because\n"
    assert [message["content"] for message in model.bodies[-1]["messages"]] == [
        "review 2, good",
        "answer to review 2, good",
        "Why?",
    ]
    connection = sqlite3.connect(empty_log)
    assert connection.execute("select count(*) from turns").fetchone() == (0,)
    connection.close()
    # A conversation that was continued in the file does not change what the batch knows.
    model.asked.clear()
    assert batch(done.args[2], "$text").returncode == 0
    assert model.asked == []


def test_another_log_of_llm_is_refused_as_state(model, llm_in_process, table, empty_log, tmp_path):
    path = table(1)
    (tmp_path / "copy.db").write_bytes(empty_log.read_bytes())
    (tmp_path / "text.db").write_text("no database at all, but long enough to be one " * 20)
    cases = {
        str(empty_log): "-d cannot be logs.db",
        str(tmp_path / "copy.db"): "is not the state file of a batch",
        str(tmp_path / "text.db"): "file is not a database",
        str(tmp_path / "reviews.csv" / "x.db"): "cannot be written: ",
    }
    for state, message in cases.items():
        done = llm_in_process("evolink", "batch", path, "$text", "-d", state)
        assert done.returncode in (1, 2)
        assert message in done.stderr
    assert model.asked == []


def test_an_empty_file_becomes_the_state(model, llm_in_process, table, tmp_path):
    state = tmp_path / "state.db"
    state.touch()
    command = ["evolink", "batch", table(2), "$text", "-d", str(state)]

    assert llm_in_process(*command).returncode == 0
    assert llm_in_process(*command).stderr.startswith("Answered 0, reused 2, ")


def test_a_new_state_ignores_the_journal_of_a_deleted_one(model, llm_in_process, table, tmp_path):
    """A killed run leaves its answers in the write-ahead log, beside the file."""
    state = tmp_path / "state.db"
    command = ["evolink", "batch", table(2), "$text", "-d", str(state)]
    assert llm_in_process(*command).returncode == 0
    other = sqlite3.connect(state)  # Keeps the log beside the file.
    other.execute("update evolink_rows set tries = 7")
    other.commit()
    journal = state.with_name("state.db-wal").read_bytes()
    other.close()
    state.unlink()
    state.with_name("state.db-wal").write_bytes(journal)

    assert llm_in_process(*command).stderr.startswith("Answered 2, failed 0 of 2 rows")
    assert llm_in_process(*command).stderr.startswith("Answered 0, reused 2, ")


def test_a_link_to_the_state_shares_its_lock(model, llm_in_process, table, tmp_path, database):
    link = tmp_path / "link.db"
    link.symlink_to(database)
    held = State(database)
    done = llm_in_process("evolink", "batch", table(2), "$text", "-d", str(link))
    held.close()

    assert done.returncode == 1
    assert done.stderr == f"Error: This batch is already being run by process {os.getpid()}\n"
    assert model.asked == []


def test_a_state_file_that_cannot_be_opened_is_reported_in_one_line(
    model, llm_in_process, table, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as unopenable:
        unopenable.bind("mine.db")
        for more, problem in ([], "used"), (["--dry-run"], "read"):
            done = llm_in_process("evolink", "batch", table(1), "$text", "-d", "mine.db", *more)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == (
                f"Error: mine.db cannot be {problem}: unable to open database file\n"
            )
    assert model.asked == []


def test_a_damaged_state_file_is_reported_in_one_line(model, batch, table, database):
    path = table(2)
    assert batch(path, "$text").returncode == 0
    connection = sqlite3.connect(database)
    connection.execute("drop table parts")
    connection.close()
    model.asked.clear()
    done = batch(path, "$text")

    assert (done.returncode, model.asked) == (1, [])
    assert done.stderr.endswith(f"Error: {database} cannot be read: no such table: parts\n")


def test_a_dry_run_with_nothing_left_shows_no_request(model, batch, table):
    path = table(2)
    assert batch(path, "$text").returncode == 0
    assert batch(path, "$text", "--dry-run").stdout == "2 rows, 0 to ask, 2 answered already\n"


def test_a_dry_run_names_the_first_row_without_a_valid_request(model, batch, table):
    done = batch(table(2), "Describe", "-a", "$text", "--dry-run")
    assert done.returncode == 1
    assert done.stderr == "Error: row 1: The attachment 'review 1, good' is not a file\n"
