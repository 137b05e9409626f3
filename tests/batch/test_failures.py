"""Rows that fail: what is tried again, and what ends a run."""

import json
import threading

import pytest

from llm_evolink.batch import BatchError, Limits
from llm_evolink.connection import retry
from tests.llm_process import TIMEOUT
from tests.scripted_server import Answer, Refusal, answer, chunk, event_stream, serving

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


BILLED = "the request may have been billed"


@pytest.mark.parametrize("status", [504, 520, 524])
def test_a_row_that_may_be_billed_is_asked_again_only_in_the_next_run(model, status, asked):
    model.respond = lambda text, _: Refusal(status, "broken") if text == "row 2" else "a"
    results, stopped = asked(4)

    assert (stopped, model.counts["row 2"]) == (None, 1)
    assert (results["2"].failure, results["2"].tries) == ("server", 1)
    assert results["2"].error == f"broken; {BILLED}; try again later (status {status})"

    model.respond = lambda *_: "a"
    results, _ = asked(4)
    assert (results["2"].answer, model.counts["row 2"]) == ("a", 2)


def test_a_row_with_an_incomplete_answer_is_asked_once_in_a_run(model, asked):
    model.respond = lambda text, _: Answer("half", "error") if text == "row 2" else "a"
    results, stopped = asked(4)

    assert (stopped, model.counts["row 2"]) == (None, 1)
    assert results["2"].error == (
        f"The answer is incomplete: the server ended it with error; try again; {BILLED}"
    )


@pytest.mark.parametrize("status", [429, 503])
def test_a_row_whose_answer_breaks_off_with_a_refusal_is_asked_once_in_a_run(
    environment, monkeypatch, status, asked
):
    error = {"error": {"code": status, "message": "overloaded"}}

    def handler(reply):
        if len(server.requests) == 1:
            event_stream(chunk("half"), error)(reply)
        else:
            answer(reply)

    with serving(monkeypatch, handler) as server:
        results, stopped = asked(1)

    assert (stopped, len(server.requests)) == (None, 1)
    assert results["0"].failure == "incomplete reply"
    assert results["0"].error.startswith("The answer is incomplete: overloaded; ")


def test_a_row_whose_connection_broke_late_is_asked_once_in_a_run(model, monkeypatch, asked):
    def drop(text, before):
        raise ConnectionAbortedError

    monkeypatch.setattr(retry, "DROP_SECONDS", 0.0)
    monkeypatch.setattr(model, "respond", drop)
    results, stopped = asked(1)

    assert (stopped, model.counts["row 0"]) == (None, 1)
    assert f"broke: Server disconnected without sending a response; {BILLED}; " in (
        results["0"].error
    )


def test_rows_whose_connections_break_together_are_asked_once_in_a_run(model, monkeypatch, asked):
    """Each request is recorded as written, also while the others are in flight."""
    all_arrived = threading.Barrier(4)

    def drop(text, before):
        if not before:
            all_arrived.wait(TIMEOUT)
        raise ConnectionAbortedError

    monkeypatch.setattr(retry, "DROP_SECONDS", 0.0)
    monkeypatch.setattr(model, "respond", drop)
    results, stopped = asked(4)

    assert (stopped, sorted(model.asked)) == (None, [f"row {number}" for number in range(4)])
    assert [BILLED in result.error for result in results.values()] == [True] * 4


@pytest.mark.parametrize("status", [500, 502])
def test_a_row_fails_after_three_tries_and_the_others_continue(model, status, asked, read):
    model.respond = lambda text, _: Refusal(status, "broken") if text == "row 2" else "a"
    results, stopped = asked(20)

    assert stopped is None
    assert model.counts["row 2"] == 3
    failed = results.pop("2")
    assert (failed.failure, failed.tries, failed.answer) == ("server", 3, None)
    assert failed.error.startswith("broken; ")
    assert f"try again later (status {status})" in failed.error
    assert {result.answer for result in results.values()} == {"a"}
    stored = "select failure, tries from evolink_rows where row_id = '2'"
    assert read(stored) == [("server", 3)]


def test_the_transport_does_not_retry_and_keeps_the_connections(model, monkeypatch, asked):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "5")
    model.respond = lambda *_: Refusal(500)
    results, stopped = asked(1)
    assert (stopped, results["0"].tries, len(model.asked)) == (None, 3, 3)

    model.respond = lambda *_: "a"
    model.ports.clear()
    asked(300, concurrency=32)
    assert len(model.ports) <= 32


def test_a_second_try_can_answer(model, asked):
    model.respond = lambda text, before: Refusal(500) if before < 2 else "a"
    results, _ = asked(3)

    assert {(result.answer, result.tries) for result in results.values()} == {("a", 3)}


def test_an_invalid_request_is_not_sent_again(model, asked):
    model.respond = lambda text, _: Refusal(400) if text == "row 2" else "a"
    results, _ = asked(3)

    assert model.counts["row 2"] == 1
    assert results["2"].failure == "invalid request"


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_for_a_rate_limit_does_not_count_as_a_try(model, status, asked):
    """Each row is refused more often than it has tries."""
    model.respond = lambda text, before: (
        Refusal(status, headers={"retry_after": "0.01"}) if before < 5 else "a"
    )
    results, stopped = asked(4, concurrency=4)

    assert stopped is None
    assert {(result.answer, result.tries) for result in results.values()} == {("a", 1)}
    assert set(model.counts.values()) == {6}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_row_that_is_refused_while_others_are_answered_fails(model, status, concurrency, asked):
    refusal = Refusal(status, "too busy", headers={"retry_after": "0.001"})
    model.respond = lambda text, _: refusal if text in ("row 2", "row 3") else "a"
    results, stopped = asked(40, concurrency=concurrency)

    assert (stopped, len(results)) == (None, 40)
    assert 6 <= model.counts["row 2"] <= 12
    assert results["2"].error.startswith("too busy; ")
    assert {result.id for result in results.values() if result.failure} == {"2", "3"}
    model.respond = lambda *_: "b"
    results, _ = asked(40)
    assert {result.id for result in results.values() if result.answer == "b"} == {"2", "3"}


def test_a_row_that_is_refused_near_the_end_fails_too(model, asked):
    refusal = Refusal(503, headers={"retry_after": "0.001"})
    model.respond = lambda text, _: refusal if text in ("row 2", "row 3") else "a"
    results, stopped = asked(5, concurrency=1, limits=Limits(max_wait=1.0))

    assert (stopped, len(results)) == (None, 5)
    assert {result.id for result in results.values() if result.failure} == {"2", "3"}


def test_a_pause_over_max_wait_ends_the_run_which_can_be_resumed(model, asked):
    model.respond = lambda text, _: (
        Refusal(429, headers={"retry_after": "86400"}) if text == "row 7" else "a"
    )
    results, stopped = asked(8, concurrency=1, limits=Limits(max_wait=60))

    assert stopped == "The server asks to wait 86,400 s, longer than the maximum wait of 60 s"
    assert len(results) == 7
    model.respond = lambda *_: "b"
    model.asked.clear()
    asked(8)
    assert model.asked == ["row 7"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "no; set another key with: llm keys set evolink; check with: llm evolink doctor"),
        (402, "no; top up at https://evolink.ai/dashboard/billing"),
        (403, "no"),
        (404, "no; check EVOLINK_BASE_URL"),
    ],
)
def test_an_error_that_every_row_would_get_ends_the_run_at_once(
    model, status, message, asked, read
):
    model.respond = lambda text, _: Refusal(status) if text != "row 0" else "a"
    results, stopped = asked(500, concurrency=4)

    assert stopped == f"{message} (status {status})"
    assert len(model.asked) <= 8
    assert set(results) == {"0"}
    assert read("select row_id from evolink_rows") == [("0",)]


def test_ten_first_rows_that_fail_with_one_type_of_failure_end_the_run(model, asked):
    model.respond = lambda *_: Refusal(422, "bad schema")
    results, stopped = asked(500, concurrency=2)

    assert stopped.startswith("the first 10 rows all failed: bad schema")
    assert 10 <= len(results) <= 12


def test_ten_first_rows_that_fail_with_two_types_of_failure_do_not(model, asked):
    model.respond = lambda text, _: Refusal(422) if text != "row 3" else Answer("x", "length")
    results, stopped = asked(30, concurrency=2)

    assert (len(results), stopped) == (30, None)


def test_rows_that_always_fail_do_not_keep_later_rows_from_being_asked(model, asked):
    model.respond = lambda text, _: Refusal(422) if int(text[4:]) < 15 else "a"
    results, stopped = asked(30, concurrency=1)
    assert (len(results), stopped[:26]) == (10, "the first 10 rows all fail")

    results, stopped = asked(30, concurrency=1)
    assert (len(results), stopped) == (30, None)
    assert [results[str(number)].answer for number in range(15, 30)] == ["a"] * 15


def test_ten_rows_that_fail_after_a_change_of_the_request_end_the_run(model, asked):
    model.respond = lambda *_: Refusal(422)
    for prompt in ("$text", "Now: $text"):
        results, stopped = asked(30, prompt, concurrency=1)
        assert (len(results), stopped[:26]) == (10, "the first 10 rows all fail")


def test_rows_without_a_valid_request_do_not_keep_later_rows_from_being_asked(
    model, asked, tmp_path
):
    image = tmp_path / "a.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 16)
    rows = [{"id": n, "image": "none.png" if n < 12 else str(image)} for n in range(13)]
    results, stopped = asked(rows, "Describe", attachments=["$image"])

    assert (stopped, results["12"].answer) == (None, "answer to Describe")


def test_max_failures_ends_the_run(model, asked):
    model.respond = lambda text, _: Refusal(400) if int(text[4:]) % 2 else "a"
    results, stopped = asked(100, concurrency=1, limits=Limits(max_failures=3))

    assert stopped == "the limit of failed rows, 3, is reached"
    assert [results[str(n)].failure for n in (1, 3, 5)] == ["invalid request"] * 3
    assert len(results) == 6


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_tokens=70), "the limit of tokens, 70, is reached"),
        (
            Limits(max_cost=0.5, cost=lambda t: (t.input + t.output) / 140),
            "the limit of cost, 0.5, is reached",
        ),
    ],
    ids=["tokens", "cost"],
)
def test_a_budget_counts_all_runs_and_is_exceeded_by_at_most_the_requests_in_flight(
    model, limits, message, asked
):
    results, stopped = asked(100, concurrency=2, limits=limits)

    assert stopped == message
    assert 5 <= len(results) <= 6  # 14 tokens a row.
    model.asked.clear()
    results, stopped = asked(100, concurrency=2, limits=limits)
    assert stopped == message
    assert model.asked == []
    assert all(result.reused for result in results.values())


@pytest.mark.parametrize(
    ("limit", "filtered"),
    [("length", "content_filter"), ("FinishReason.MAX_TOKENS", "content_filter: SAFETY")],
)
def test_a_cut_answer_fails_keeps_its_text_and_is_asked_again_only_if_changed(
    model, limit, filtered, asked, read
):
    cut = {"row 1": limit, "row 2": filtered}
    model.respond = lambda text, _: Answer("half", cut.get(text, "stop"))
    for _ in range(2):
        results, _ = asked(3)
        assert [results[str(n)].failure for n in range(3)] == [None, "cut", "cut"]
        assert [results[str(n)].text for n in range(3)] == ["half"] * 3
        assert "raise the option max_tokens" in results["1"].error
        assert "content filter" in results["2"].error
    assert len(model.asked) == 3
    assert read("select count(*) from turns") == [(3,)]

    model.respond = lambda *_: "all"
    results, _ = asked(3, options={"max_tokens": 100})
    assert len(model.asked) == 6


@pytest.mark.parametrize(("ending", "failure"), [("stop", None), ("length", "cut")])
def test_an_empty_answer_is_reused_as_it_is(model, ending, failure, asked):
    model.respond = lambda *_: Answer("", ending)
    first, second = (asked(1)[0]["0"] for _ in range(2))

    assert (first.text, first.failure, first.reused) == ("", failure, False)
    assert (second.text, second.failure, second.reused) == ("", failure, True)
    assert second.answer == first.answer == (None if failure else "")
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("not json", "The answer is not JSON"),
        ('{"n": NaN}', "The answer is not JSON"),
        ('{"n": 1, "m": 1e999}', "The answer is not JSON"),
        ('{"n": 1.5}', "'n' does not fit the schema: it is not of type integer"),
        ("[1]", "The answer does not fit the schema: it is not of type object"),
        ("{}", "The answer does not fit the schema: it lacks n"),
        ('{"n": "1"}', "'n' does not fit the schema: it is not of type integer"),
        ('{"n": true}', "'n' does not fit the schema: it is not of type integer"),
    ],
)
def test_an_answer_that_does_not_parse_fails_keeps_its_text_and_is_asked_again(
    model, text, error, asked
):
    model.respond = lambda *_: text
    results, _ = asked(1, schema=SCHEMA)
    result = results["0"]
    assert (result.failure, result.error, result.text) == ("not parsed", error, text)
    assert result.answer is None

    model.respond = lambda *_: '{"n": 1}'
    results, _ = asked(1, schema=SCHEMA)
    assert results["0"].answer == {"n": 1}
    assert len(model.asked) == 2
    results, _ = asked(1, schema=SCHEMA)
    assert (results["0"].answer, results["0"].reused) == ({"n": 1}, True)


@pytest.mark.parametrize("text", ['{"n": 1.0}', '{"n": 1e2}'])
def test_an_integer_may_be_written_as_a_number_with_a_fraction_of_zero(model, text, asked):
    model.respond = lambda *_: text
    for _ in range(2):
        results, _ = asked(1, schema=SCHEMA)

    assert (results["0"].error, results["0"].answer, len(model.asked)) == (
        None,
        json.loads(text),
        1,
    )


def test_an_answer_without_usage_has_no_tokens(model, asked):
    model.respond = lambda *_: Answer("a", usage=None)
    results, _ = asked(1)

    assert results["0"].tokens is None


def test_a_limit_of_cost_needs_the_cost_of_tokens():
    with pytest.raises(BatchError, match="max_cost needs cost, a function that returns the cost"):
        Limits(max_cost=1.0)
