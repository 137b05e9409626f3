"""`llm evolink batch`: input, output, exit codes, state files and messages."""

import csv
import io
import json
import sqlite3
import threading

import llm
import pytest

from tests import llm_process
from tests.batch.conftest import Answer, Refusal
from tests.four_ways import KEY

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


@pytest.fixture
def table(tmp_path):
    """Write a table of reviews: their ids from 1, and texts."""

    def write(count=5, name="reviews.csv"):
        path = tmp_path / name
        rows = "".join(f'{number},"review {number}, good"\n' for number in range(1, count + 1))
        path.write_text(f"id,text\n{rows}")
        return str(path)

    return write


@pytest.fixture
def batch(llm_in_process, database):
    """Run `llm evolink batch` with a prepared state file; return exit code, rows and stderr."""

    def run(*arguments, state=True):
        chosen = ["-d", str(database)] if state else []
        return llm_in_process("evolink", "batch", *arguments, *chosen)

    return run


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_answer_for_each_row_in_the_tables_order(model, batch, table, database):
    first_held = threading.Event()

    def respond(text, _):
        # The first row is answered after all others.
        if text.startswith("Sentiment: review 1,"):
            assert first_held.wait(60)
        elif len(model.asked) == 40:
            first_held.set()
        return f"<{text}>"

    model.respond = respond
    done = batch(table(40), "Sentiment: $text")

    assert done.returncode == 0
    answers = rows(done)
    assert [row["id"] for row in answers] == [str(number) for number in range(1, 41)]
    assert answers[1] == {
        "id": "2",
        "answer": "<Sentiment: review 2, good>",
        "input_tokens": 10,
        "output_tokens": 4,
        "turn_id": answers[1]["turn_id"],
    }
    assert done.stderr == (
        "Answered 40, failed 0 of 40 rows\n"
        "Tokens: 400 input, 160 output\n"
        f"Batch {batch_id(done)}: {database}\n"
    )


def batch_id(done):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Batch ")]
    return line.split()[1].rstrip(":")


def test_the_same_command_again_prints_the_same_and_asks_only_what_failed(model, batch, table):
    model.respond = lambda text, _: Refusal(400, "too odd") if text == "review 3, good" else "a"
    path = table(5)
    first = batch(path, "$text")
    assert first.returncode == 1
    assert rows(first)[2] == {"id": "3", "error": "too odd (status 400)"}
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
    assert [row["answer"] for row in rows(second)] == ["a", "a", "b", "a", "a"]
    assert second.stderr.splitlines()[:3] == [
        "Answered 1, reused 4, failed 0 of 5 rows",
        "Tokens: 10 input, 4 output",
        "All runs: 50 input, 20 output",
    ]
    again = batch(path, "$text", "--again")
    assert len(model.asked) == 6
    assert again.stderr.startswith("Answered 5, failed 0 of 5 rows")


def test_answers_of_a_schema_are_json(model, batch, table):
    model.respond = lambda text, _: "?" if "3" in text else '{"label": "good", "confidence": 0.9}'
    done = batch(table(3), "$text", "--schema", "label, confidence float")

    assert model.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == [
        "label",
        "confidence",
    ]
    assert rows(done)[0]["answer"] == {"label": "good", "confidence": 0.9}
    failed = rows(done)[2]
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


def test_csv_without_a_schema_has_one_column(model, batch, table):
    done = batch(table(1), "$text", "--csv")

    header, row = csv.reader(io.StringIO(done.stdout))
    assert header == ["id", "answer", "error", "text", "input_tokens", "output_tokens", "turn_id"]
    assert row[:6] == ["1", "answer to review 1, good", "", "", "10", "4"]


def test_a_file_is_replaced_as_a_whole(model, batch, table, tmp_path):
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


def test_limit_asks_the_first_rows_and_estimates_all(model, batch, table, user_path):
    user_path.mkdir(exist_ok=True)
    prices = {"gemini-3.5-flash": {"in": 1000, "out": 2000}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))
    path = table(1000)
    done = batch(path, "$text", "--limit", "3")

    assert (done.returncode, len(model.asked)) == (0, 3)
    assert done.stderr.splitlines()[:3] == [
        "Answered 3, failed 0 of 3 rows",
        "Tokens: 30 input, 12 output; cost 0.054",
        "All 1,000 rows would use about: 10,000 input, 4,000 output; cost 18",
    ]
    again = batch(path, "$text", "--limit", "4")
    assert len(model.asked) == 4
    assert "about: 10,000 input, 4,000 output; cost 18" in again.stderr


def test_max_cost_needs_a_price_and_counts_all_runs(model, batch, table, user_path):
    path = table(50)
    unknown = batch(path, "$text", "--max-cost", "0.1")
    assert unknown.returncode == 1
    assert unknown.stderr == (
        "Error: --max-cost needs a price of gemini-3.5-flash in "
        f"{user_path / 'evolink-prices.json'}\n"
    )
    assert model.asked == []

    prices = {"gemini-3.5-flash": {"in": 1000, "out": 2000}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))
    for _ in range(2):
        done = batch(path, "$text", "--max-cost", "0.1", "-c", "2")
        assert done.returncode == 1
        assert done.stderr.endswith("Error: --max-cost 0.1 is used up\n")
        assert 6 <= len(model.asked) <= 7  # 0.018 a row.


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
        assert f"Batch {batch_id(done)}: {user_path}/evolink-batches/{batch_id(done)}.db" in (
            done.stderr
        )
        return batch_id(done)

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


def test_the_file_works_with_llm(model, batch, table, database, llm_command, empty_log):
    done = batch(table(2), "$text")
    turn_id = rows(done)[1]["turn_id"]

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
        str(tmp_path / "copy.db"): "is not the file of a batch",
        str(tmp_path / "text.db"): "file is not a database",
        str(tmp_path / "reviews.csv" / "x.db"): "cannot be written: ",
    }
    for state, message in cases.items():
        done = llm_in_process("evolink", "batch", path, "$text", "-d", state)
        assert done.returncode in (1, 2)
        assert message in done.stderr
    assert model.asked == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["$text"], "Give a prompt, such as 'Sentiment of this review: $text'"),
        ([], "Give a FILE, - for standard input, or --sql"),
        (["FILE", "$text", "more"], "Too many arguments: give FILE and PROMPT"),
        (["FILE", "$stars"], "FILE, there is no column $stars; there is id, text"),
        (["FILE", "$text", "--id", "key"], "FILE, there is no column $key; there is id, text"),
        (
            ["FILE", "costs $5"],
            "The prompt has a $ without a column (line 1, col 7); write $$ for $",
        ),
        (["FILE", "$text", "-m", "none"], "Unknown model: none"),
        (["FILE", "$text", "-o", "temperature", "9"], "Invalid option: temperature "),
        (["FILE", "$text", "--schema", "none"], "The schema cannot be used: "),
        (["FILE", "$text", "-t", "none"], "The template cannot be loaded: Invalid template: none"),
        (["FILE", "$text", "-f", "none"], "The fragment cannot be used: Fragment 'none' not found"),
        (["FILE", "$text", "--name", "../x"], "--name may hold letters, digits, and - _ ."),
        (["FILE", "$text", "-T", "tool"], "No such option"),
        (["FILE", "$text", "--attach", "a", "FILE"], "--attach needs --sql"),
        (["--sql", "select 1 as id", "a", "b"], "Too many arguments: give PROMPT alone"),
        (["FILE", "$text", "-c", "0"], "0 is not in the range"),
        (["FILE", "$text", "--rpm", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_is_one_line_before_anything_is_written(
    model, llm_in_process, table, user_path, arguments, message
):
    path = table(2)
    arguments = [path if each == "FILE" else each for each in arguments]
    if arguments == ["$text"]:
        arguments = [path]
    done = llm_in_process("evolink", "batch", *arguments)

    assert done.returncode in (1, 2)
    assert message.replace("FILE, there", f"{path}, there") in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert (done.stdout, model.asked) == ("", [])
    assert not (user_path / "evolink-batches").exists()


def test_a_template_of_llm_over_the_columns(model, batch, table, user_path):
    (user_path / "templates").mkdir(parents=True)
    template = user_path / "templates" / "rate.yaml"
    template.write_text(
        "prompt: 'Rate $input in $lang'\nsystem: 'For $lang'\ndefaults: {lang: French}\n"
        "options: {seed: 7}\nschema_object: {type: string}\n"
    )
    model.respond = lambda *_: '"good"'
    done = batch(table(1), "<$text>", "-t", "rate", "-o", "temperature", "0")

    assert rows(done)[0]["answer"] == "good"
    (body,) = model.bodies
    assert [message["content"] for message in body["messages"]] == [
        "For French",
        "Rate <review 1, good> in French",
    ]
    assert (body["seed"], body["temperature"]) == (7, 0)
    template.write_text("prompt: 'Rate'\nsystem: s\n")
    batch(table(1), "$text", "-t", "rate", "-s", "mine")
    assert [message["content"] for message in model.bodies[-1]["messages"]] == [
        "mine",
        "Rate\nreview 1, good",
    ]


@pytest.mark.parametrize("field", ["tools: [llm_time]", "functions: 'x = 1'", "extract: true"])
def test_a_template_with_tools_is_refused(model, batch, table, user_path, field):
    (user_path / "templates").mkdir(parents=True)
    (user_path / "templates" / "t.yaml").write_text(f"prompt: '$text'\n{field}\n")
    done = batch(table(1), "-t", "t")

    assert done.returncode == 1
    name = field.partition(":")[0]
    assert done.stderr == f"Error: The template t has '{name}', which a batch cannot use\n"


def test_images_and_fragments(model, batch, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG + b"\0")
    (tmp_path / "notes.txt").write_text("Notes.")
    path = tmp_path / "images.csv"
    path.write_text(f"id,file\n1,{tmp_path}/a.png\n2,{tmp_path}/b.png\n3,{tmp_path}/none.png\n")
    arguments = [str(path), "Describe $id", "-a", "$file", "-f", str(tmp_path / "notes.txt")]
    done = batch(*arguments)

    assert [row.get("answer") for row in rows(done)] == [
        "answer to Notes.\nDescribe 1",
        "answer to Notes.\nDescribe 2",
        None,
    ]
    assert "none.png' is not a file" in rows(done)[2]["error"]
    (tmp_path / "b.png").write_bytes(PNG + b"\1")
    model.asked.clear()
    batch(*arguments)
    assert model.asked == ["Notes.\nDescribe 2"]


def test_rows_of_a_query(model, batch, tmp_path):
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("create table reviews (key integer, text text)")
    connection.executemany("insert into reviews values (?, ?)", [(7, "good"), (8, "bad")])
    connection.commit()
    connection.close()
    query = "select key, text from shop.reviews order by key desc"
    done = batch("--sql", query, "--attach", "shop", str(tmp_path / "shop.db"), "Rate $text")

    assert [(row["id"], row["answer"]) for row in rows(done)] == [
        ("8", "answer to Rate bad"),
        ("7", "answer to Rate good"),
    ]


def test_standard_input(model, llm_command, database):
    done = llm_command(
        "evolink", "batch", "-", "$b", "--id", "a", "-d", str(database), input='{"a": 1, "b": "x"}'
    )

    assert (done.returncode, rows(done)[0]["answer"]) == (0, "answer to x")


def test_a_cut_answer_prints_no_notice_of_the_model(model, batch, table):
    model.respond = lambda *_: Answer("half", "length")
    done = batch(table(2), "$text")

    assert done.stderr.count("cut at the token limit") == 1
    assert rows(done)[0]["text"] == "half"


def test_rates_without_their_extra(model, batch, table, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "aiolimiter", None)
    done = batch(table(2), "$text", "--rpm", "60")

    assert (done.returncode, model.asked) == (1, [])
    assert done.stderr == (
        "Error: --rpm and --tpm need an extra: llm install 'llm-evolink[batch]'\n"
    )


def test_rates_that_allow_everything(model, batch, table):
    done = batch(table(3), "$text", "--rpm", "6000000", "--tpm", "6000000000")

    assert (done.returncode, len(model.asked)) == (0, 3)


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


def test_a_broken_pipe_stops_asking(model, table, database):
    pipe_closed = threading.Event()

    def respond(text, _):
        if len(model.asked) > 20:
            assert pipe_closed.wait(60)
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
    connection = sqlite3.connect(database)
    assert connection.execute("select count(*) from evolink_rows").fetchone() == (len(model.asked),)
    connection.close()


def test_an_llm_default_option_is_used(model, batch, table, user_path):
    user_path.mkdir(exist_ok=True)
    (user_path / "model_options.json").write_text('{"gemini-3.5-flash": {"seed": 3}}')
    batch(table(1), "$text")

    assert model.bodies[0]["seed"] == 3
    assert llm.get_async_model("gemini-3.5-flash")
