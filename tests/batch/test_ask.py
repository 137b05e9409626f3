"""Asking the rows of an iterable from Python: answers, retries, stops, and what is asked again."""

import asyncio
import os
import sqlite3
import threading
from contextlib import aclosing

import llm
import pytest

from llm_evolink.batch import BatchError, Limits, Tokens, ask, ask_async
from llm_evolink.batch.run import Run
from llm_evolink.errors import EvolinkError
from tests.batch.conftest import Answer, Refusal

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def table(count, start=0):
    return ({"id": str(number), "text": f"row {number}"} for number in range(start, start + count))


def asked(rows, database, prompt="$text", **options):
    """The results by id, and why the run ended early."""
    results = {}
    stopped = None
    try:
        for result in ask(rows, prompt, database=database, **options):
            assert result.id not in results
            results[result.id] = result
    except BatchError as error:
        stopped = str(error)
    return results, stopped


def read(database, query):
    connection = sqlite3.connect(database)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_each_row_is_answered_and_logged_in_llms_format(model, database):
    results, stopped = asked(table(20), database, system="Be brief, $id")

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
    rows = read(database, "select id, thread_id, model, input_tokens, output_tokens from turns")
    assert (result.turn_id, result.turn_id, "gemini-3.5-flash", 10, 4) in rows
    assert len(rows) == 20
    assert read(database, "select count(*) from turn_search") == [(20,)]
    ours = read(database, "select type, sql from sqlite_master where sql like '%evolink_rows%'")
    assert [kind for kind, _ in ours] == ["table"]
    assert "references" not in ours[0][1]
    assert read(database, "pragma journal_mode") == [("wal",)]


def test_an_event_loop_can_ask_too(model, database):
    async def main():
        return [result.answer async for result in ask_async(table(5), "$text", database=database)]

    assert sorted(asyncio.run(main())) == [f"answer to row {number}" for number in range(5)]


def test_results_come_while_rows_are_asked(model, database):
    """The last row is read only after an answer to the first has been handed over."""
    handed_over = threading.Event()

    def rows():
        yield from table(3)
        for number in range(3, 300):
            yield {"id": str(number), "text": f"row {number}"}
        assert handed_over.wait(60)
        yield {"id": "last", "text": "row last"}

    count = 0
    for _ in ask(rows(), "$text", database=database, concurrency=4):
        handed_over.set()
        count += 1

    assert count == 301


def test_a_second_run_asks_nothing_that_is_answered(model, database):
    first, _ = asked(table(5), database)
    model.asked.clear()
    second, stopped = asked(table(5), database)

    assert (model.asked, stopped) == ([], None)
    assert all(result.reused for result in second.values())
    for row_id, result in second.items():
        before = first[row_id]
        assert (result.answer, result.turn_id, result.tokens) == (
            before.answer,
            before.turn_id,
            before.tokens,
        )


def test_new_changed_and_failed_rows_are_asked(model, database):
    model.respond = lambda text, _: Refusal(400) if text == "row 3" else "a"
    asked(table(5), database)
    model.asked.clear()
    model.respond = lambda text, _: "b"
    rows = [*table(7)]
    rows[1]["text"] = "row 1, changed"
    results, _ = asked(rows, database)

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
def test_rows_are_asked_again_when_the_request_changes(model, database, options):
    model.respond = lambda *_: '"a"'
    asked(table(2), database)
    asked(table(2), database, **options)

    assert len(model.asked) == 4
    assert len(read(database, "select * from turns")) == 4


def test_again_asks_all_and_can_be_continued(model, database):
    asked(table(5), database)
    model.respond = lambda text, before: Refusal(401) if text == "row 3" else "anew"
    model.asked.clear()
    asked(table(5), database, again=True, concurrency=1)
    first = set(model.asked) - {"row 3"}
    assert first == {"row 0", "row 1", "row 2"}

    model.respond = lambda text, before: "anew"
    model.asked.clear()
    results, _ = asked(table(5), database)
    assert sorted(model.asked) == ["row 3", "row 4"]
    assert {result.answer for result in results.values()} == {"anew"}


@pytest.mark.parametrize("status", [500, 502, 524])
def test_a_row_fails_after_three_tries_and_the_rest_go_on(model, database, status):
    model.respond = lambda text, _: Refusal(status, "broken") if text == "row 2" else "a"
    results, stopped = asked(table(20), database)

    assert stopped is None
    assert model.counts["row 2"] == 3
    failed = results.pop("2")
    assert (failed.failure, failed.tries, failed.answer) == ("server", 3, None)
    assert failed.error.startswith("broken; ")
    assert f"try again later (status {status})" in failed.error
    assert {result.answer for result in results.values()} == {"a"}
    stored = "select failure, tries from evolink_rows where row_id = '2'"
    assert read(database, stored) == [("server", 3)]


def test_the_transport_tries_nothing_again_and_keeps_the_connections(model, database, monkeypatch):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "5")
    model.respond = lambda text, before: Refusal(503) if before < 1 else "a"
    results, stopped = asked(table(1), database)
    assert (stopped, results["0"].tries, len(model.asked)) == (None, 1, 2)

    model.respond = lambda *_: "a"
    before = model.connections()
    asked(table(300), database, concurrency=32)
    assert model.connections() - before <= 32


def test_a_second_try_can_answer(model, database):
    model.respond = lambda text, before: Refusal(500) if before < 2 else "a"
    results, _ = asked(table(3), database)

    assert {(result.answer, result.tries) for result in results.values()} == {("a", 3)}


def test_a_request_that_is_refused_for_what_it_is_is_not_sent_again(model, database):
    model.respond = lambda text, _: Refusal(400) if text == "row 2" else "a"
    results, _ = asked(table(3), database)

    assert model.counts["row 2"] == 1
    assert results["2"].failure == "invalid request"


@pytest.mark.parametrize("status", [429, 503])
def test_waiting_for_a_rate_limit_is_no_try(model, database, status):
    """Rows are refused more often than a row has tries."""
    model.respond = lambda text, before: (
        Refusal(status, headers={"retry_after": "0.01"}) if before < 5 else "a"
    )
    results, stopped = asked(table(4), database, concurrency=4)

    assert stopped is None
    assert {(result.answer, result.tries) for result in results.values()} == {("a", 1)}
    assert set(model.counts.values()) == {6}


def test_a_wait_over_max_wait_ends_the_run_which_can_be_continued(model, database):
    model.respond = lambda text, _: (
        Refusal(429, headers={"retry_after": "86400"}) if text == "row 7" else "a"
    )
    results, stopped = asked(table(8), database, concurrency=1, limits=Limits(max_wait=60))

    assert stopped == "The server asks to wait 86,400 s, longer than --max-wait 60"
    assert len(results) == 7
    model.respond = lambda *_: "b"
    model.asked.clear()
    asked(table(8), database)
    assert model.asked == ["row 7"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "set another key"), (402, "top up"), (403, "no"), (404, "check EVOLINK_BASE_URL")],
)
def test_what_every_row_would_meet_ends_the_run_at_once(model, database, status, message):
    model.respond = lambda text, _: Refusal(status) if text != "row 0" else "a"
    results, stopped = asked(table(500), database, concurrency=4)

    assert message in stopped
    assert len(model.asked) <= 8
    assert set(results) == {"0"}
    assert read(database, "select row_id from evolink_rows") == [("0",)]


def test_the_first_ten_rows_all_failing_alike_end_the_run(model, database):
    model.respond = lambda *_: Refusal(422, "bad schema")
    results, stopped = asked(table(500), database, concurrency=2)

    assert stopped.startswith("the first 10 rows all failed: bad schema")
    assert 10 <= len(results) <= 12


def test_the_first_ten_rows_failing_in_two_ways_do_not(model, database):
    model.respond = lambda text, _: Refusal(422) if text != "row 3" else Answer("x", "length")
    results, stopped = asked(table(30), database, concurrency=2)

    assert (len(results), stopped) == (30, None)


def test_max_failures_ends_the_run(model, database):
    model.respond = lambda text, _: Refusal(400) if int(text[4:]) % 2 else "a"
    results, stopped = asked(table(100), database, concurrency=1, limits=Limits(max_failures=3))

    assert stopped == "--max-failures 3 is reached"
    assert [results[str(n)].failure for n in (1, 3, 5)] == ["invalid request"] * 3
    assert len(results) == 6


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_tokens=70), "--max-tokens 70 is used up"),
        (Limits(max_cost=0.5, cost=lambda t: (t.input + t.output) / 140), "--max-cost 0.5 is used"),
    ],
    ids=["tokens", "cost"],
)
def test_a_budget_is_passed_by_what_is_in_flight_and_counts_all_runs(
    model, database, limits, message
):
    results, stopped = asked(table(100), database, concurrency=2, limits=limits)

    assert stopped.startswith(message)
    assert 5 <= len(results) <= 6  # 14 tokens a row.
    model.asked.clear()
    results, stopped = asked(table(100), database, concurrency=2, limits=limits)
    assert stopped.startswith(message)
    assert model.asked == []
    assert all(result.reused for result in results.values())


def test_a_cut_answer_fails_keeps_its_text_and_is_asked_again_only_if_changed(model, database):
    cut = {"row 1": "length", "row 2": "content_filter"}
    model.respond = lambda text, _: Answer("half", cut.get(text, "stop"))
    for _ in range(2):
        results, _ = asked(table(3), database)
        assert [results[str(n)].failure for n in range(3)] == [None, "cut", "cut"]
        assert [results[str(n)].text for n in range(3)] == ["half"] * 3
        assert "-o max_tokens" in results["1"].error
        assert "content filter" in results["2"].error
    assert len(model.asked) == 3
    assert read(database, "select count(*) from turns") == [(3,)]

    model.respond = lambda *_: "all"
    results, _ = asked(table(3), database, options={"max_tokens": 100})
    assert len(model.asked) == 6


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("not json", "The answer is not JSON"),
        ("[1]", "The answer does not fit the schema: it is not of type object"),
        ("{}", "The answer does not fit the schema: it lacks n"),
        ('{"n": "1"}', "'n' does not fit the schema: it is not of type integer"),
        ('{"n": true}', "'n' does not fit the schema: it is not of type integer"),
    ],
)
def test_an_answer_that_does_not_parse_fails_keeps_its_text_and_is_asked_again(
    model, database, text, error
):
    model.respond = lambda *_: text
    results, _ = asked(table(1), database, schema=SCHEMA)
    result = results["0"]
    assert (result.failure, result.error, result.text) == ("not parsed", error, text)
    assert result.answer is None

    model.respond = lambda *_: '{"n": 1}'
    results, _ = asked(table(1), database, schema=SCHEMA)
    assert results["0"].answer == {"n": 1}
    assert len(model.asked) == 2
    results, _ = asked(table(1), database, schema=SCHEMA)
    assert (results["0"].answer, results["0"].reused) == ({"n": 1}, True)


def test_an_answer_without_usage_has_no_tokens(model, database):
    model.respond = lambda *_: Answer("a", usage=None)
    results, _ = asked(table(1), database)

    assert results["0"].tokens is None


def test_what_cannot_be_logged_is_that_rows_failure(model, database, monkeypatch):
    from llm.logs import LogStore

    log = LogStore.log

    def refusing(self, response, thread_id=None):
        if response.prompt.prompt == "row 1":
            self.db["turns"].insert({"id": "half", "thread_id": thread_id})
            raise ValueError("cannot be stored")
        return log(self, response, thread_id)

    monkeypatch.setattr(LogStore, "log", refusing)
    results, stopped = asked(table(3), database)

    assert stopped is None
    assert results["1"].failure == "not logged"
    assert results["1"].error == "The answer cannot be logged: cannot be stored"
    assert {results["0"].answer, results["2"].answer} == {"answer to row 0", "answer to row 2"}
    assert read(database, "select count(*) from turns where id = 'half'") == [(0,)]
    assert read(database, "select count(*) from threads") == [(2,)]


def test_a_row_holds_its_place_until_it_is_on_disk(model, database):
    """While another process has the file locked, no more rows are asked than may be in flight."""
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    all_asked = threading.Event()
    model.respond = lambda text, _: (all_asked.set() if len(model.asked) >= 3 else None) or "a"

    def release():
        assert all_asked.wait(60)
        in_flight.append(len(model.asked))
        other.execute("rollback")

    in_flight: list[int] = []
    thread = threading.Thread(target=release)
    thread.start()
    results, stopped = asked(table(50), database, concurrency=3)
    thread.join()
    other.close()

    assert (len(results), stopped) == (50, None)
    assert in_flight == [3]


def test_a_full_disk_ends_the_run_in_one_line_and_loses_no_committed_row(
    model, database, monkeypatch
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
        results, stopped = asked(table(120), database, concurrency=4)
    assert stopped == f"{database} cannot be written: database or disk is full"
    assert 0 < len(results) < 120
    assert read(database, "select count(*) from evolink_rows") == [(len(results),)]

    asked_before = len(model.asked)
    everything, stopped = asked(table(120), database)
    assert (len(everything), stopped) == (120, None)
    assert len(model.asked) - asked_before == 120 - len(results)
    assert max(model.counts.values()) <= 2


def test_a_loop_that_is_left_saves_what_is_in_flight(model, database, monkeypatch):
    """The server holds all answers but the first until the loop has been left."""
    left = threading.Event()
    stop = Run.stop
    monkeypatch.setattr(Run, "stop", lambda *arguments: (left.set(), stop(*arguments)))

    def respond(text, _):
        if text != "row 0":
            assert left.wait(60)
        return "a"

    model.respond = respond
    answers = ask(table(500), "$text", database=database, concurrency=4)
    assert next(answers).id == "0"
    answers.close()

    assert read(database, "select count(*) from evolink_rows") == [(len(model.asked),)]
    assert 4 <= len(model.asked) <= 5


def test_an_event_loop_that_leaves_saves_what_is_in_flight(model, database):
    async def main():
        results = ask_async(table(500), "$text", database=database, concurrency=4)
        async with aclosing(results):
            async for _ in results:
                break

    asyncio.run(main())
    assert read(database, "select count(*) from evolink_rows") == [(len(model.asked),)]
    assert 4 <= len(model.asked) <= 8


def test_a_row_that_cannot_be_read_ends_the_run_after_what_is_in_flight(model, database):
    failed = threading.Event()

    def rows():
        yield from table(2)
        failed.set()
        raise ZeroDivisionError("no third row")

    model.respond = lambda text, _: "a" if text == "row 0" or failed.wait(60) else "late"
    results = []
    with pytest.raises(ZeroDivisionError, match="no third row"):
        results.extend(ask(rows(), "$text", database=database, concurrency=2))
    assert read(database, "select row_id from evolink_rows") == [("0",), ("1",)]


def test_a_second_run_of_the_same_batch_is_refused(model, database):
    results = ask(table(500), "$text", database=database, concurrency=1)
    next(results)
    _, stopped = asked(table(5), database)
    results.close()

    assert stopped == f"This batch is already being run by process {os.getpid()}"
    assert asked(table(5), database)[1] is None
    assert not database.with_name("state.db.lock").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 1, "body": "a"}], r"there is no column \$text; there is id, body"),
        ([{"id": 1, "text": "a"}, {"id": 1, "text": "b"}], "row 2: the id '1' is already"),
        ([{"id": "", "text": "a"}], "row 1: the id is empty"),
        ([{}], "row 1 is empty"),
    ],
)
def test_rows_that_cannot_be_asked(model, database, rows, message):
    with pytest.raises(BatchError, match=message):
        list(ask(rows, "$text", database=database))


def test_a_missing_key_is_reported_before_anything_is_asked(model, database, monkeypatch):
    monkeypatch.delenv("EVOLINK_API_KEY")

    with pytest.raises(EvolinkError, match="No key found"):
        list(ask(table(1), "$text", database=database))
    with pytest.raises(BatchError, match="needs database="):
        list(ask(table(1), "$text"))
    assert model.asked == []


def test_an_image_of_a_row_that_does_not_exist_is_that_rows_failure(model, database):
    rows = [{"id": "0", "path": "none.png"}]
    results, _ = asked(rows, database, "Describe", attachments=["$path"])

    assert results["0"].failure == "invalid request"
    assert results["0"].error == "The attachment 'none.png' is not a file"
    assert model.asked == []


def test_another_model_of_llm_can_be_asked(database, environment, monkeypatch):
    class Echo(llm.AsyncModel):
        model_id = "echo"
        can_stream = False

        async def execute(self, prompt, stream, response, conversation=None):
            if prompt.prompt == "row 1":
                raise ZeroDivisionError("no")
            yield prompt.prompt

    monkeypatch.setattr(llm, "get_async_model", lambda name: Echo())
    results, _ = asked(table(3), database, model="echo")

    assert [results[n].answer for n in ("0", "2")] == ["row 0", "row 2"]
    assert (results["1"].failure, results["1"].error) == ("zero division", "no")
