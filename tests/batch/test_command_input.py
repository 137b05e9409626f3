"""`llm evolink batch`: tables, templates, images, and arguments that cannot be used."""

import sqlite3
from types import SimpleNamespace

import llm
import pytest

from tests.scripted_server import REFUSED, UNREACHABLE, replying, serve

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["FILE"], 1, "Give a prompt, such as 'Sentiment of this review: $text'"),
        ([], 2, "Give a FILE, - for standard input, or --sql"),
        (
            ["rate $text"],
            2,
            "'rate $text' was taken as the FILE, and there is no such file: give FILE, or - for "
            "standard input, and PROMPT",
        ),
        (["none.csv", "$text"], 1, "none.csv cannot be read: No such file or directory"),
        (["FILE", "$text", "more"], 2, "Too many arguments: give FILE and PROMPT"),
        (["FILE", "$stars"], 1, "FILE, there is no column stars; the columns are id, text"),
        (
            ["FILE", "$text", "--id", "key"],
            1,
            "FILE, there is no column key; the columns are id, text",
        ),
        (
            ["FILE", "Sentiment: "],
            1,
            "The prompt uses no column (id, text), so every row would be asked the same: use one, "
            "such as $text; put the prompt in single quotes, so that the shell leaves $text alone",
        ),
        (["FILE", "Sentiment: ", "--dry-run"], 1, "The prompt uses no column (id, text), so "),
        (
            ["FILE", "costs $5"],
            1,
            "The prompt has a $ without a column (line 1, col 7); write $$ for $",
        ),
        (["FILE", "$text", "-m", "none"], 1, "Unknown model: none; see: llm models list"),
        (
            ["FILE", "$text", "-m", "gpt-4o-mini"],
            1,
            "No key found - add one using 'llm keys set openai'",
        ),
        (["FILE", "$text", "-o", "temperature", "9"], 1, "Invalid option temperature: Input "),
        (
            ["FILE", "$text", "-o", "foo", "1"],
            1,
            "Invalid option foo: There is no such option; llm models --options lists them",
        ),
        (
            ["FILE", "$text", "--schema", '{"required": true}'],
            1,
            "The schema is not a JSON Schema: 'required' must be a list of names",
        ),
        (
            ["FILE", "$text", "--schema", "[1].json"],
            1,
            "The schema is not a JSON Schema: it must be an object",
        ),
        (
            ["FILE", "$text", "--schema", "none.json"],
            1,
            "The schema 'none.json' is not JSON, a file, a schema id or a concise schema, such as "
            "'label, confidence float'",
        ),
        (
            ["FILE", "$text", "-t", "none"],
            1,
            "The template cannot be loaded: Invalid template: none",
        ),
        (
            ["FILE", "$text", "-f", "none"],
            1,
            "The fragment cannot be used: Fragment 'none' not found",
        ),
        (
            ["FILE", "$text", "-t", f"{UNREACHABLE}/t.yaml"],
            1,
            f"The template cannot be loaded: {REFUSED}",
        ),
        (["FILE", "$text", "-f", UNREACHABLE], 1, f"The fragment cannot be used: {REFUSED}"),
        (
            ["FILE", "$text", "--schema", f"t:{UNREACHABLE}"],
            1,
            f"The schema 't:{UNREACHABLE}' cannot be used: {REFUSED}",
        ),
        (
            ["FILE", "$text", "--name", "../x"],
            2,
            "--name is not letters, digits, hyphens, underscores and dots",
        ),
        *[
            (["FILE", "$text", option, ""], 2, f"Invalid value for {names}: it is empty")
            for option, names in (
                ("-O", "'-O' / '--output'"),
                ("-d", "'-d' / '--database'"),
                ("-m", "'-m' / '--model'"),
                ("-t", "'-t' / '--template'"),
                ("--name", "'--name'"),
                ("--id", "'--id'"),
                ("--key", "'--key'"),
                ("--sql", "'--sql'"),
                ("--schema", "'--schema'"),
            )
        ],
        (
            ["FILE", "$text", "-d", "/nonexistent/folder/x.db"],
            2,
            "-d cannot be /nonexistent/folder/x.db: there is no folder /nonexistent/folder",
        ),
        (["FILE", "$text", "-T", "tool"], 2, "No such option"),
        (["FILE", "$text", "--attach", "a", "FILE"], 2, "--attach needs --sql"),
        (["--sql", "select 1 as id", "a", "b"], 2, "Too many arguments: give PROMPT alone"),
        (["FILE", "$text", "-c", "0"], 2, "Invalid value for '-c' / '--concurrency': 0 is not in"),
        (["FILE", "$text", "--rpm", "0"], 2, "Invalid value for '--rpm': 0.0 is not in the range"),
        (["FILE", "$text", "--rpm", "inf"], 1, "rpm must be positive and finite; 0 is no limit"),
    ],
)
def test_invalid_input_is_refused_before_anything_is_written(
    model, llm_in_process, table, user_path, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[1].json").write_text("[1]")
    path = table(2)
    arguments = [path if each == "FILE" else each for each in arguments]
    done = llm_in_process("evolink", "batch", *arguments)

    assert done.returncode == code
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {message.replace('FILE, there', f'{path}, there')}")
    assert (done.stdout, model.asked) == ("", [])
    assert not (user_path / "evolink-batches").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("-t", "The template cannot be loaded: Could not load template URL: "),
        ("-f", "The fragment cannot be used: "),
    ],
)
def test_a_url_that_is_not_found_is_one_line(model, batch, table, flag, message):
    with serve(replying(404, connection="close")) as server:
        url = f"{server.url}/none"
        done = batch(table(1), "$text", flag, url)

    assert done.returncode == 1
    reason = f"Client error '404 Scripted' for url '{url}' For more information check: "
    assert done.stderr.startswith(f"Error: {message.replace('URL', url)}{reason}")
    assert done.stderr.count("\n") == 1


def test_a_template_of_llm_over_the_columns(model, batch, table, user_path, answers):
    (user_path / "templates").mkdir(parents=True)
    template = user_path / "templates" / "rate.yaml"
    template.write_text(
        "prompt: 'Rate $input in $lang'\nsystem: 'For $lang'\ndefaults: {lang: French}\n"
        "options: {seed: 7}\nschema_object: {type: string}\n"
    )
    model.respond = lambda *_: '"good"'
    done = batch(table(1), "<$text>", "-t", "rate", "-o", "temperature", "0")

    assert answers(done)[0]["answer"] == "good"
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


def test_a_prompt_and_a_template_that_both_name_input(model, batch, table, user_path):
    (user_path / "templates").mkdir(parents=True)
    (user_path / "templates" / "rate.yaml").write_text("prompt: 'Rate $input'\n")
    path = table(1)
    done = batch(path, "<$input>", "-t", "rate")

    assert (done.returncode, model.asked) == (1, [])
    assert done.stderr == f"Error: {path}, there is no column input; the columns are id, text\n"


def test_columns_of_any_name(model, batch, tmp_path, answers):
    path = tmp_path / "reviews.csv"
    path.write_text("id,テキスト,Review text (100%)\n1,良い,good\n", encoding="utf-8")
    done = batch(str(path), "$テキスト: ${Review text (100%)}")

    assert answers(done)[0]["answer"] == "answer to 良い: good"


def test_images_and_fragments(model, batch, tmp_path, answers):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG + b"\0")
    (tmp_path / "notes.txt").write_text("Notes.")
    path = tmp_path / "images.csv"
    path.write_text(f"id,file\n1,{tmp_path}/a.png\n2,{tmp_path}/b.png\n3,{tmp_path}/none.png\n")
    arguments = [str(path), "Describe $id", "-a", "$file", "-f", str(tmp_path / "notes.txt")]
    done = batch(*arguments)

    assert [row.get("answer") for row in answers(done)] == [
        "answer to Notes.\nDescribe 1",
        "answer to Notes.\nDescribe 2",
        None,
    ]
    assert "none.png' is not a file" in answers(done)[2]["error"]
    (tmp_path / "b.png").write_bytes(PNG + b"\1")
    model.asked.clear()
    batch(*arguments)
    assert model.asked == ["Notes.\nDescribe 2"]


def test_rows_of_a_query(model, batch, tmp_path, answers):
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("create table reviews (key integer, text text)")
    connection.executemany("insert into reviews values (?, ?)", [(7, "good"), (8, "bad")])
    connection.commit()
    connection.close()
    query = "select key, text from shop.reviews order by key desc"
    done = batch("--sql", query, "--attach", "shop", str(tmp_path / "shop.db"), "Rate $text")

    assert [(row["id"], row["answer"]) for row in answers(done)] == [
        ("8", "answer to Rate bad"),
        ("7", "answer to Rate good"),
    ]


def test_standard_input(model, llm_command, database, answers):
    done = llm_command(
        "evolink", "batch", "-", "$b", "--id", "a", "-d", str(database), input='{"a": 1, "b": "x"}'
    )

    assert (done.returncode, answers(done)[0]["answer"]) == (0, "answer to x")


def test_an_llm_default_option_is_used(model, batch, table, user_path):
    user_path.mkdir(exist_ok=True)
    (user_path / "model_options.json").write_text('{"gemini-3.5-flash": {"seed": 3}}')
    batch(table(1), "$text")

    assert model.bodies[0]["seed"] == 3


def test_a_template_without_a_prompt(model, batch, table, user_path):
    templates = user_path / "templates"
    templates.mkdir(parents=True)
    (templates / "brief.yaml").write_text("system: Be brief\n")

    assert batch(table(1), "$text", "-t", "brief").returncode == 0
    assert [message["content"] for message in model.bodies[0]["messages"]] == [
        "Be brief",
        "review 1, good",
    ]


def test_a_model_without_schemas_is_refused(model, batch, table, monkeypatch):
    plain = SimpleNamespace(model_id="plain", supports_schema=False)
    monkeypatch.setattr(llm, "get_async_model", lambda name: plain)
    done = batch(table(1), "$text", "--schema", "name, age int", "-m", "plain")
    assert (done.returncode, done.stderr) == (1, "Error: plain does not support schemas\n")
