"""`llm evolink batch`: JSON lines, CSV, files and pipes."""

import csv
import io
import json
import re
import threading
from pathlib import Path

import pytest

from llm_evolink.batch import BatchError
from llm_evolink.batch.output import AtomicFile
from llm_evolink.batch.state import State
from tests import llm_process
from tests.four_ways import KEY
from tests.scripted_server import Answer, Refusal


def test_an_answer_for_each_row_in_the_tables_order(model, batch, table, database, answers):
    first_held = threading.Event()

    def respond(text, _):
        # The first row is answered after all others.
        if text.startswith("Sentiment: review 1,"):
            assert first_held.wait(llm_process.TIMEOUT)
        elif len(model.asked) == 40:
            first_held.set()
        return f"<{text}>"

    model.respond = respond
    done = batch(table(40), "Sentiment: $text")

    assert done.returncode == 0
    rows = answers(done)
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 41)]
    assert rows[1] == {
        "id": "2",
        "answer": "<Sentiment: review 2, good>",
        "input_tokens": 10,
        "output_tokens": 4,
        "turn_id": rows[1]["turn_id"],
    }
    assert re.sub("Batch [0-9a-z]+:", "Batch ID:", done.stderr) == (
        f"Answered 40, failed 0 of 40 rows\nTokens: 400 input, 160 output\nBatch ID: {database}\n"
    )


def test_a_file_that_is_rewritten_during_the_run_ends_it_with_the_reason(
    model, batch, table, answers, tmp_path
):
    """The rows from 100 on swap their ids; they are read after the first answer."""
    path = table(20_000)

    def respond(text, _):
        if text == "review 1, good":
            lines = Path(path).read_text().splitlines(keepends=True)
            Path(path).write_text("".join(lines[:100] + lines[:99:-1]))
        return "a"

    model.respond = respond
    done = batch(path, "$text", "-c", "1", "-O", str(tmp_path / "answers.jsonl"))

    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        f"Error: {re.escape(path)} was changed while it was read, at row [0-9]+", error
    )
    assert not (tmp_path / "answers.jsonl").exists()


def test_a_row_whose_image_is_missing_now_is_printed_as_failed_in_its_place(
    model, batch, table, answers, tmp_path
):
    image = tmp_path / "a.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 16)
    path = tmp_path / "images.csv"
    path.write_text(f"id,image,text\n1,{image},a\n2,{image},b\n3,{image},c\n")
    command = [str(path), "$text", "-a", "$image"]
    assert batch(*command).returncode == 0
    path.write_text(f"id,image,text\n1,{image},new\n2,none.png,b\n3,{image},new too\n")
    third_asked = threading.Event()

    def respond(text, _):
        if text == "new too":
            third_asked.set()
        assert text != "new" or third_asked.wait(llm_process.TIMEOUT)
        return "a"

    model.respond = respond
    done = batch(*command, "-c", "2")

    assert [row.get("error") or row["answer"] for row in answers(done)] == [
        "a",
        "The attachment 'none.png' is not a file",
        "a",
    ]
    assert done.stderr.startswith("Answered 2, failed 1 of 3 rows")


def test_a_row_without_an_entry_in_the_state_is_an_error(
    model, batch, table, database, monkeypatch
):
    """Another process has deleted the entry of a row that waits for an earlier one."""
    last_asked = threading.Event()

    def respond(text, _):
        if text == "review 3, good":
            last_asked.set()
        assert text != "review 1, good" or last_asked.wait(llm_process.TIMEOUT)
        return "a"

    find = State.find
    model.respond = respond
    monkeypatch.setattr(State, "find", lambda state, row: None if row == "2" else find(state, row))
    done = batch(table(3), "$text", "-c", "2")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"Error: {database} has no entry of row 2\n")


def test_answers_of_a_schema_are_json(model, batch, table, answers):
    model.respond = lambda text, _: "?" if "3" in text else '{"label": "good", "confidence": 0.9}'
    done = batch(table(3), "$text", "--schema", "label, confidence float")

    assert model.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == [
        "label",
        "confidence",
    ]
    assert answers(done)[0]["answer"] == {"label": "good", "confidence": 0.9}
    failed = answers(done)[2]
    assert (failed["error"], failed["text"]) == ("The answer is not JSON", "?")
    assert done.returncode == 1


def test_csv_has_a_column_for_each_property(model, batch, table):
    model.respond = lambda text, _: '{"label": "a, b", "confidence": 0.9}' if "1" in text else "?"
    done = batch(table(2), "$text", "--schema", "label, confidence float", "--csv")

    first, second = csv.DictReader(io.StringIO(done.stdout))
    assert (first["id"], first["answer.label"], first["answer.confidence"]) == ("1", "a, b", "0.9")
    assert (first["error"], first["text"], first["input_tokens"]) == ("", "", "10")
    assert (second["answer.label"], second["error"], second["text"]) == (
        "",
        "The answer is not JSON",
        "?",
    )


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", 'a"b'])
def test_a_csv_cell_may_hold_line_ends(model, batch, table, tmp_path, text):
    model.respond = lambda *_: text
    path = tmp_path / "answers.csv"
    batch(table(1), "$text", "--csv", "-O", str(path))

    content = path.read_bytes().decode()
    header, row = csv.reader(io.StringIO(content, newline=""))
    assert row[header.index("answer")] == text
    assert content.endswith(f"{row[-1]}\n")
    assert not content.endswith("\r\n")


def test_csv_without_a_schema_has_one_column(model, batch, table):
    done = batch(table(1), "$text", "--csv")

    header, row = csv.reader(io.StringIO(done.stdout))
    assert header == ["id", "answer", "error", "text", "input_tokens", "output_tokens", "turn_id"]
    assert row[:6] == ["1", "answer to review 1, good", "", "", "10", "4"]


def test_a_file_is_replaced_only_when_the_output_is_complete(model, batch, table, tmp_path):
    output = tmp_path / "answers.jsonl"
    output.write_text("old")
    output.chmod(0o640)
    model.respond = lambda text, _: Refusal(401) if "4" in text else "a"
    path = table(5)
    stopped = batch(path, "$text", "-O", str(output), "-c", "1")

    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert output.read_text() == "old"
    assert f"{output} was not written" in stopped.stderr
    assert stopped.stderr.endswith(
        "Error: no; set another key with: llm keys set evolink; "
        "check with: llm evolink doctor (status 401)\n"
    )
    model.respond = lambda *_: "a"
    done = batch(path, "$text", "-O", str(output))
    assert (done.returncode, done.stdout) == (0, "")
    assert [json.loads(line)["answer"] for line in output.read_text().splitlines()] == ["a"] * 5
    assert output.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir() if "answers" in each.name) == [
        "answers.jsonl"
    ]


@pytest.mark.parametrize(
    ("output", "message"),
    [("none/a", "cannot be written: No such file or directory"), ("/dev/null", "use > /dev/null")],
)
def test_an_output_that_cannot_be_written_is_reported_before_anything_is_asked(
    model, batch, table, tmp_path, output, message
):
    done = batch(table(2), "$text", "-O", str(tmp_path / output))

    assert done.returncode == 1
    assert message in done.stderr
    assert model.asked == []


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("reviews.csv", "is the input"),
        ("link.csv", "is the input"),
        ("state.db", "is the state file"),
        ("new.db", "is the state file"),
        ("shop.db", "is a database of --sql"),
        ("user/logs.db", "is llm's log"),
    ],
)
def test_an_output_that_is_a_file_of_the_batch_is_refused(
    model, llm_in_process, table, database, tmp_path, user_path, monkeypatch, output, what
):
    monkeypatch.chdir(tmp_path)
    table(2)
    (tmp_path / "link.csv").symlink_to("reviews.csv")
    (tmp_path / "shop.db").touch()
    (tmp_path / "user").symlink_to(user_path)
    state = "./new.db" if output == "new.db" else "state.db"
    source = ["reviews.csv"]
    if output == "shop.db":
        source = ["--sql", "select 1 as id", "--attach", "shop", "shop.db"]
    before = (tmp_path / "reviews.csv").read_bytes(), database.read_bytes()
    done = llm_in_process("evolink", "batch", *source, "$id", "-d", state, "-O", output)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"Error: -O cannot be {output}, which {what}: name another file"
    )
    assert ((tmp_path / "reviews.csv").read_bytes(), database.read_bytes()) == before
    assert model.asked == []


def test_an_output_that_is_standard_input_is_refused(model, llm_command, table, database):
    path = table(2)
    command = ["evolink", "batch", "-", "$text", "-d", str(database), "-O", path]
    with open(path) as source:
        done = llm_command(*command, stdin=source)

    assert (done.returncode, model.asked) == (2, [])
    assert done.stderr.endswith(f"-O cannot be {path}, which is the input: name another file\n")


def test_a_hyphen_as_output_is_standard_output(model, batch, table, tmp_path, monkeypatch, answers):
    monkeypatch.chdir(tmp_path)
    done = batch(table(1), "$text", "-O", "-")

    assert answers(done)[0]["answer"] == "answer to review 1, good"
    assert not (tmp_path / "-").exists()


def test_a_cut_answer_prints_no_notice_of_the_model(model, batch, table, answers):
    model.respond = lambda *_: Answer("half", "length")
    done = batch(table(2), "$text")

    assert done.stderr.count("cut at the token limit") == 1
    assert answers(done)[0]["text"] == "half"


def test_the_key_is_nowhere(model, batch, table, tmp_path):
    model.respond = lambda text, _: (
        Refusal(400, f"key {KEY} is odd") if "1" in text else f"your key is {KEY}"
    )
    done = batch(table(3), "$text")

    assert KEY not in done.stdout + done.stderr
    assert "key …cdef is odd" in done.stdout
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_a_broken_pipe_stops_asking(model, table, database, read):
    pipe_closed = threading.Event()

    def respond(text, _):
        if len(model.asked) > 20:
            assert pipe_closed.wait(llm_process.TIMEOUT)
        return "a"

    model.respond = respond
    command = ["evolink", "batch", table(2000), "$text", "-d", str(database), "-c", "4"]
    with llm_process.start(*command) as process:
        assert json.loads(process.stdout.readline())["id"] == "1"
        process.stdout.close()
        pipe_closed.set()
        error = process.stderr.read()
        assert process.wait() == 1
    assert error.endswith("Error: Standard output was closed\n")
    assert len(model.asked) < 2000
    # What was asked is in the file.
    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]


def test_a_full_disk_behind_standard_output_ends_the_run_in_one_line(
    model, table, database, read, full_disk
):
    command = ["evolink", "batch", table(200), "$text", "-d", str(database), "-c", "4"]
    with (
        open(full_disk, "w") as full,
        llm_process.start(*command, stdout=full) as process,
    ):
        error = process.stderr.read()
        assert process.wait() == 1
    assert error.endswith("Error: Standard output cannot be written: No space left on device\n")
    assert "Traceback" not in error
    assert 1 <= len(model.asked) < 200
    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]


def test_an_output_file_that_cannot_be_written_loses_no_answer(
    model, batch, table, tmp_path, monkeypatch, read
):
    def fail(*_):
        raise BatchError("a.jsonl cannot be written: No space left on device")

    monkeypatch.setattr(AtomicFile, "write", fail)
    done = batch(table(200), "$text", "-O", str(tmp_path / "a.jsonl"), "-c", "4")

    assert done.returncode == 1
    assert done.stderr.endswith("Error: a.jsonl cannot be written: No space left on device\n")
    assert read("select count(*) from evolink_rows") == [(len(model.asked),)]
    assert not (tmp_path / "a.jsonl").exists()
