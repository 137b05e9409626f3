"""Asking the rows of an iterable from Python, and what a second run asks again."""

import asyncio
import math
import os
import sqlite3
import threading

import llm
import pytest

from llm_evolink.batch import BatchError, Tokens, ask, ask_async
from llm_evolink.errors import EvolinkError
from tests.llm_process import TIMEOUT
from tests.scripted_server import Model, Refusal, serving

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def test_each_row_is_answered_and_logged_in_llms_format(model, asked, read):
    results, stopped = asked(20, system="Be brief, $id")

    assert stopped is None
    assert sorted(model.asked) == sorted(f"row {number}" for number in range(20))
    assert {body["messages"][0]["content"] for body in model.bodies} == {
        f"Be brief, {number}" for number in range(20)
    }
    result = results["7"]
    assert (result.answer, result.text, result.error) == (
        "answer to row 7",
        "answer to row 7",
        None,
    )
    assert (result.position, result.tokens, result.tries) == (7, Tokens(10, 4), 1)
    turns = read("select id, thread_id, model, input_tokens, output_tokens from turns")
    assert (result.turn_id, result.turn_id, "gemini-3.5-flash", 10, 4) in turns
    assert len(turns) == 20
    assert read("select count(*) from turn_search") == [(20,)]
    ours = read("select type, sql from sqlite_master where sql like '%evolink_rows%'")
    assert [kind for kind, _ in ours] == ["table"]
    assert "references" not in ours[0][1]
    assert read("pragma journal_mode") == [("wal",)]


def test_an_event_loop_can_ask_too(model, database, rows):
    async def main():
        return [result.answer async for result in ask_async(rows(5), "$text", database=database)]

    assert sorted(asyncio.run(main())) == [f"answer to row {number}" for number in range(5)]


def test_an_event_loop_gets_the_error_that_ends_the_run(model, database, rows):
    model.respond = lambda *_: Refusal(402)

    async def main():
        async for _ in ask_async(rows(5), "$text", database=database):
            raise AssertionError("no row is answered")

    with pytest.raises(BatchError, match="top up"):
        asyncio.run(main())


def test_rows_can_come_from_sqlite(model, database):
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.row_factory = lambda _, values: {"id": values[0], "text": values[1]}
    rows = connection.execute("select 1, 'one' union select 2, 'two'")

    results = list(ask(rows, "$text", database=database))
    assert sorted(result.answer for result in results) == ["answer to one", "answer to two"]
    connection.close()


def test_results_come_while_rows_are_asked(model, database, rows):
    """The last row is read only after the caller has the first answer."""
    handed_over = threading.Event()

    def all_rows():
        yield from rows(300)
        assert handed_over.wait(TIMEOUT)
        yield {"id": "last", "text": "row last"}

    count = 0
    for _ in ask(all_rows(), "$text", database=database, concurrency=4):
        handed_over.set()
        count += 1

    assert count == 301


def test_a_second_run_asks_nothing_that_is_answered(model, asked):
    first, _ = asked(5)
    model.asked.clear()
    second, stopped = asked(5)

    assert (model.asked, stopped) == ([], None)
    assert all(result.reused for result in second.values())
    for row_id, result in second.items():
        before = first[row_id]
        assert (result.answer, result.turn_id, result.tokens) == (
            before.answer,
            before.turn_id,
            before.tokens,
        )


def test_new_changed_and_failed_rows_are_asked(model, asked, rows):
    model.respond = lambda text, _: Refusal(400) if text == "row 3" else "a"
    asked(5)
    model.asked.clear()
    model.respond = lambda text, _: "b"
    changed = [*rows(7)]
    changed[1]["text"] = "row 1, changed"
    results, _ = asked(changed)

    assert sorted(model.asked) == ["row 1, changed", "row 3", "row 5", "row 6"]
    assert [results[str(n)].answer for n in range(7)] == ["a", "b", "a", "b", "a", "b", "b"]


@pytest.mark.parametrize(
    "options",
    [
        {"system": "s"},
        {"options": {"seed": 1}},
        {"schema": {"type": "string"}},
        {"fragments": ["f"]},
    ],
    ids=str,
)
def test_rows_are_asked_again_when_the_request_changes(model, options, asked, read):
    model.respond = lambda *_: '"a"'
    asked(2)
    asked(2, **options)

    assert len(model.asked) == 4
    assert len(read("select * from turns")) == 4


def test_answers_of_another_server_are_not_reused(model, asked, monkeypatch):
    asked(2)
    other = Model(lambda *_: "of another server")
    with serving(monkeypatch, other.handle) as server:
        results, _ = asked(2)
        assert {result.answer for result in results.values()} == {"of another server"}
        monkeypatch.setenv("EVOLINK_BASE_URL", f"{server.url}/v1/")
        asked(2)

    assert (len(model.asked), len(other.asked)) == (2, 2)


def test_again_asks_the_given_rows_and_no_others(model, asked, rows):
    asked(5)
    model.respond = lambda *_: "anew"
    model.asked.clear()
    results, _ = asked(rows(2, start=1), again=True)
    assert sorted(model.asked) == ["row 1", "row 2"]
    assert {result.answer for result in results.values()} == {"anew"}

    model.asked.clear()
    results, _ = asked(5)
    assert model.asked == []
    assert [results[str(n)].answer for n in range(5)] == [
        "answer to row 0",
        "anew",
        "anew",
        "answer to row 3",
        "answer to row 4",
    ]


def test_a_second_run_of_the_same_batch_is_refused(model, database, asked, rows):
    results = ask(rows(500), "$text", database=database, concurrency=1)
    next(results)
    _, stopped = asked(5)
    results.close()

    assert stopped == f"This batch is already being run by process {os.getpid()}"
    assert asked(5)[1] is None
    assert not database.with_name("state.db.lock").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 1, "body": "a"}], r"there is no column text; the columns are id, body"),
        ([{"id": 1, "text": "a"}, {"id": 1, "text": "b"}], "row 2: the id '1' is already"),
        ([{"id": "", "text": "a"}], "row 1: the id is empty"),
        ([{}], "row 1 is empty"),
        ([{"id": 1, "text": b"a"}], "row 1: the column text holds binary data, which cannot be"),
    ],
)
def test_rows_that_cannot_be_asked(model, database, rows, message):
    with pytest.raises(BatchError, match=message):
        list(ask(rows, "$text", database=database))


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("label", "it must be an object"),
        ([], "it must be an object"),
        ({"properties": [1]}, "'properties' must be an object"),
        ({"required": True}, "'required' must be a list of names"),
        ({"required": [1]}, "'required' must be a list of names"),
        ({"properties": {"n": {"required": "n"}}}, "'required' must be a list of names"),
    ],
    ids=str,
)
def test_a_schema_that_is_none_is_refused(model, asked, schema, problem):
    assert asked(2, schema=schema) == ({}, f"The schema is not a JSON Schema: {problem}")
    assert model.asked == []


def test_an_option_that_cannot_be_used_is_refused(model, asked):
    message = "Invalid option temperature: Input should be less than or equal to 2"

    assert asked(2, options={"temperature": 9}) == ({}, message)
    assert model.asked == []


def test_an_alias_and_a_number_of_another_type_are_the_same_request(model, asked):
    asked(2, options={"temperature": 0})
    asked(2, options={"temperature": 0.0}, model="evolink/gemini-3.5-flash")
    asked(2, options={"temperature": "0"})

    assert len(model.asked) == 2


def test_a_prompt_without_a_column_is_refused(model, asked):
    assert asked(2, "Sentiment: ") == (
        {},
        "The prompt uses no column (id, text), so every row would be asked the same: use one, "
        "such as $text",
    )
    assert model.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"rpm": -1}, "rpm must be positive and finite; 0 is no limit"),
        ({"tpm": -0.5}, "tpm must be positive and finite; 0 is no limit"),
        ({"tpm": math.nan}, "tpm must be positive and finite; 0 is no limit"),
        ({"rpm": 0, "tpm": 0}, None),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_used(model, asked, options, message):
    results, stopped = asked(2, **options)

    assert stopped == message
    assert len(results) == len(model.asked) == (0 if message else 2)


def test_a_missing_key_is_reported_before_anything_is_asked(model, database, monkeypatch, rows):
    monkeypatch.delenv("EVOLINK_API_KEY")

    with pytest.raises(EvolinkError, match="No key found"):
        list(ask(rows(1), "$text", database=database))
    with pytest.raises(BatchError, match="needs database="):
        list(ask(rows(1), "$text"))
    assert model.asked == []


def test_an_image_of_a_row_that_does_not_exist_is_that_rows_failure(model, asked):
    rows = [{"id": "0", "path": "none.png"}]
    results, _ = asked(rows, "Describe", attachments=["$path"])

    assert results["0"].failure == "invalid request"
    assert results["0"].error == "The attachment 'none.png' is not a file"
    assert model.asked == []


def test_an_answer_survives_an_image_that_is_missing_for_a_while(model, asked, tmp_path):
    image = tmp_path / "a.png"
    rows = [{"id": "0", "path": str(image)}]

    def ask_once():
        return asked(rows, "Describe", attachments=["$path"])[0]["0"]

    image.write_bytes(PNG)
    first = ask_once()
    image.unlink()
    assert ask_once().failure == "invalid request"
    image.write_bytes(PNG)
    last = ask_once()

    assert (last.answer, last.turn_id, last.reused) == (first.answer, first.turn_id, True)
    assert len(model.asked) == 1


def test_a_model_that_cancels_its_request_ends_the_run_with_an_error(
    environment, monkeypatch, asked
):
    class Cancelled(llm.AsyncModel):
        model_id = "cancelled"
        can_stream = False

        async def execute(self, prompt, stream, response, conversation=None):
            raise asyncio.CancelledError
            yield ""

    monkeypatch.setattr(llm, "get_async_model", lambda name: Cancelled())

    assert asked(1, model="cancelled") == (
        {},
        "The request for row 0 was cancelled",
    )


def test_another_model_of_llm_can_be_asked(environment, monkeypatch, asked):
    class Echo(llm.AsyncModel):
        model_id = "echo"
        can_stream = False

        async def execute(self, prompt, stream, response, conversation=None):
            if prompt.prompt == "row 1":
                raise ZeroDivisionError("no")
            yield prompt.prompt

    monkeypatch.setattr(llm, "get_async_model", lambda name: Echo())
    results, _ = asked(3, model="echo")

    assert [results[n].answer for n in ("0", "2")] == ["row 0", "row 2"]
    assert (results["1"].failure, results["1"].error) == ("zero division", "no")
