"""finish_reason, errors inside a reply, and usage, in the forms that servers send."""

import json
from typing import Any

import click
import llm
import pytest

from llm_evolink import errors
from llm_evolink.chat.notices import CUT_JSON
from tests import scripted_server
from tests.four_ways import COMPLETE, SYNC_STREAMED, Outcome, Way, ask, way_id
from tests.scripted_server import replying, serving

pytestmark = pytest.mark.usefixtures("environment")


def reply_of(text: str | None, finish_reason: Any, **fields: Any) -> scripted_server.Handler:
    """Reply with the text and the finish reason, as a stream if one is requested."""
    ending = {"finish_reason": finish_reason} if finish_reason is not None else {}

    def handler(reply: scripted_server.Reply) -> None:
        message = {"content": text, **fields}
        if reply.request.json().get("stream"):
            reply.events(
                {"choices": [{"delta": message}]},
                {"choices": [{"delta": {}, **ending}]},
                "[DONE]",
            )
        else:
            reply.respond(200, {"choices": [{"message": message, **ending}]})

    return handler


def outcome_of(monkeypatch, handler: scripted_server.Handler, way: Way = SYNC_STREAMED) -> Outcome:
    with serving(monkeypatch, handler) as server:
        outcome = ask(way)
    assert len(server.requests) == 1
    return outcome


COMPLETED = ["stop", "STOP", "tool_calls", "function_call", "end_turn", "eos", "Stop"]
CUT = ["length", "MAX_TOKENS", "max_tokens", "model_length", "FinishReason.MAX_TOKENS"]
FILTERED = [
    *("content_filter", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
    *("IMAGE_SAFETY", "content_filter: SAFETY"),
]
FAILED = [
    *("error", "network_error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"),
    "FinishReason.MALFORMED_FUNCTION_CALL",
]


@pytest.mark.parametrize(
    "reason", [each for each in COMPLETED if "call" not in each] + CUT + FILTERED
)
def test_text_is_shown_unless_the_server_failed(monkeypatch, reason):
    outcome = outcome_of(monkeypatch, reply_of("hi", reason))

    assert (outcome.text, outcome.error) == ("hi", None)
    assert outcome.response.response_json["finish_reason"] == reason


@pytest.mark.parametrize("reason", FILTERED)
def test_a_filter_without_text_is_an_error(monkeypatch, reason):
    outcome = outcome_of(monkeypatch, reply_of("", reason))

    assert type(outcome.error) is errors.ContentFilterError
    assert str(outcome.error) == (
        f"The server's content filter withheld the answer ({reason}); rephrase the prompt"
    )


@pytest.mark.parametrize("reason", FAILED)
def test_a_failed_end_is_an_error(monkeypatch, reason):
    outcome = outcome_of(monkeypatch, reply_of("half", reason))

    assert type(outcome.error) is errors.IncompleteReplyError
    assert reason in str(outcome.error)


@pytest.mark.parametrize(
    ("reason", "error"),
    [("MAX_TOKENS", None), ("SAFETY", None), ("error", errors.IncompleteReplyError)],
)
def test_a_finish_reason_in_each_way(monkeypatch, way: Way, reason, error):
    outcome = outcome_of(monkeypatch, reply_of("hi", reason), way)

    assert outcome.text == "hi"
    assert outcome.error is None if error is None else type(outcome.error) is error


@pytest.mark.parametrize("done", [["[DONE]"], []], ids=["[DONE]", "no [DONE]"])
def test_a_stream_without_a_finish_reason_is_incomplete(monkeypatch, done):
    events = [{"choices": [{"delta": {"content": "half"}}]}, {"choices": [], "usage": {}}, *done]
    outcome = outcome_of(monkeypatch, lambda reply: reply.events(*events))

    assert outcome.text == "half"
    assert type(outcome.error) is errors.IncompleteReplyError


NOTICES = [
    pytest.param("hi", "stop", "", id="none"),
    pytest.param(
        "hi",
        "MAX_TOKENS",
        "The answer was cut at the token limit: continue it with llm -c 'continue', or raise the "
        "limit with -o max_tokens\n",
        id="cut",
    ),
    pytest.param(
        "",
        "length",
        "The token limit was reached before any text of the answer: raise it with -o max_tokens; "
        "reasoning counts too\n",
        id="cut before any text",
    ),
    pytest.param(
        "hi",
        "content_filter: SAFETY",
        "The answer was cut by the server's content filter (content_filter: SAFETY): rephrase the "
        "prompt\n",
        id="filtered",
    ),
    pytest.param(
        "hi",
        "weather",
        "The server ended the answer with an unknown finish_reason (weather)\n",
        id="unknown",
    ),
    pytest.param(
        "",
        "stop",
        "The answer is empty: the server reported its end and sent no text\n",
        id="empty",
    ),
]


@pytest.mark.parametrize(("text", "reason", "notice"), NOTICES)
def test_the_notices_of_an_answer_that_is_not_complete(
    monkeypatch, capsys, way, text, reason, notice
):
    with click.Context(click.Command("llm")):  # Notices are for the command line.
        outcome = outcome_of(monkeypatch, reply_of(text, reason), way)

    assert (outcome.text, outcome.error) == (text, None)
    assert capsys.readouterr().err.lstrip("\n") == notice


@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_a_complete_reply_without_a_finish_reason_is_the_answer_with_a_notice(
    monkeypatch, capsys, way
):
    with click.Context(click.Command("llm")):
        outcome = outcome_of(monkeypatch, reply_of("hi", None), way)

    assert (outcome.text, outcome.error) == ("hi", None)
    assert capsys.readouterr().err == (
        "The server did not report how the answer ended: it may be incomplete\n"
    )


def test_the_notice_at_the_command_line_with_async(monkeypatch, llm_command):
    with serving(monkeypatch, reply_of("hi", "weather")):
        done = llm_command("-m", "gemini-3.5-flash", "hello", "--async")

    assert (done.stdout, done.returncode) == ("hi\n", 0)
    assert done.stderr.strip() == (
        "The server ended the answer with an unknown finish_reason (weather)"
    )


@pytest.mark.parametrize("flag", ["--async", "--no-stream"])
@pytest.mark.parametrize(
    ("text", "reason", "notice"),
    [
        ('{"name": "Re', "OTHER", CUT_JSON.format(reason="OTHER", advice="try again")),
        (
            '{"name": "Re',
            "model_context_window_exceeded",
            CUT_JSON.format(
                reason="model_context_window_exceeded",
                advice="raise the limit with -o max_tokens",
            ),
        ),
        (
            '{"name": "Rex"}',
            "OTHER",
            "The server ended the answer with an unknown finish_reason (OTHER)",
        ),
    ],
)
def test_incomplete_json_is_a_failure(monkeypatch, llm_command, turns, flag, text, reason, notice):
    with serving(monkeypatch, reply_of(text, reason)):
        done = llm_command("-m", "gemini-3.5-flash", "--schema", "name str", "a dog", flag)

    assert (done.stdout, done.stderr.strip()) == (f"{text}\n", notice)
    assert done.returncode == int("Rex" not in text)
    assert turns()[0]["response_json"]["finish_reason"] == reason


@pytest.mark.parametrize(("text", "code"), [('{"name": "Re', 1), ('{"name": "Rex"}', 0)])
def test_json_of_a_complete_reply_without_a_finish_reason(monkeypatch, llm_command, text, code):
    with serving(monkeypatch, reply_of(text, None)):
        done = llm_command("-m", "gemini-3.5-flash", "--schema", "name str", "a dog", "--no-stream")

    assert (done.stdout, done.returncode) == (f"{text}\n", code)


CALL = {"id": "c", "type": "function", "function": {"name": "wipe", "arguments": ""}}


@pytest.mark.parametrize("reason", [*CUT[:2], *FILTERED[:2], *FAILED[:1], None])
@pytest.mark.parametrize("way", [SYNC_STREAMED, COMPLETE[0]], ids=way_id)
def test_a_cut_or_failed_tool_call_is_not_run(monkeypatch, way, reason):
    called: list[str] = []

    def wipe(path: str = "everything") -> str:
        called.append(path)
        return "wiped"

    with serving(monkeypatch, reply_of(None, reason, tool_calls=[CALL])):
        model = llm.get_model("gemini-3.5-flash")
        with pytest.raises(errors.EvolinkError):
            model.chain("clean up", tools=[wipe], stream=way.stream).text()

    assert called == []


REPORTS = [
    pytest.param({"error": {"message": "Out of luck"}}, id="error"),
    pytest.param({"error": "Out of luck"}, id="error of text"),
    pytest.param([{"error": {"message": "Out of luck"}}], id="a list"),
    pytest.param({"object": "error", "message": "Out of luck", "code": 500}, id="object"),
    pytest.param({"message": "Out of luck", "code": 503}, id="message and code"),
    pytest.param({"detail": "Out of luck"}, id="detail"),
    pytest.param({"success": False, "message": "Out of luck"}, id="success"),
    pytest.param({"errors": [{"message": "Out of luck"}]}, id="errors"),
    pytest.param({"error": True, "reason": "Out of luck"}, id="reason"),
    pytest.param({"Error": {"Message": "Out of luck"}}, id="capitals"),
    pytest.param(
        {"error": {"message": json.dumps({"error": {"message": "Out of luck"}})}}, id="JSON in text"
    ),
    pytest.param(
        {"error": {"message": "Provider error", "metadata": {"raw": "Out of luck"}}}, id="raw"
    ),
]


@pytest.mark.parametrize("report", REPORTS)
def test_an_error_inside_a_stream(monkeypatch, report):
    text = {"choices": [{"delta": {"content": "half"}}]}
    outcome = outcome_of(monkeypatch, lambda reply: reply.events(text, report, "[DONE]"))

    assert outcome.text == "half"
    assert type(outcome.error) is errors.IncompleteReplyError
    assert "Out of luck" in str(outcome.error)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("status", [200, 500])
def test_an_error_as_a_body(monkeypatch, report, status):
    outcome = outcome_of(monkeypatch, replying(status, report), COMPLETE[0])

    assert outcome.text == ""
    assert "Out of luck" in str(outcome.error)


def test_an_event_named_error(monkeypatch):
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.event({"choices": [{"delta": {"content": "half"}}]})
        reply.chunk('event: error\ndata: {"message": "Out of luck"}\n\n', "data: [DONE]\n\n")
        reply.end()

    outcome = outcome_of(monkeypatch, handler)

    assert outcome.text == "half"
    assert "Out of luck" in str(outcome.error)


FULL = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
STREAM = (
    'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
    'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("body", [STREAM, json.dumps(FULL)], ids=["stream", "JSON"])
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain"])
def test_the_body_decides_how_it_is_read(monkeypatch, way, body, status, content_type):
    outcome = outcome_of(monkeypatch, replying(status, body, content_type=content_type), way)

    assert (outcome.text, outcome.error) == ("hi", None)


ODD = [
    pytest.param({"id": 5}, id="a numeric id"),
    pytest.param({"usage": "n/a"}, id="usage in words"),
    pytest.param({"created": "yesterday"}, id="created in words"),
    pytest.param({"model": ["a"]}, id="a list of models"),
    pytest.param({"system_fingerprint": None}, id="null"),
]


@pytest.mark.parametrize("fields", ODD)
@pytest.mark.parametrize("way", [SYNC_STREAMED, COMPLETE[0]], ids=way_id)
def test_an_invalid_field_that_is_not_needed_is_ignored(monkeypatch, way, fields):
    def handler(reply: scripted_server.Reply) -> None:
        if way.stream:
            first = {"choices": [{"index": "0", "delta": {"content": "hi"}}], **fields}
            end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
            reply.events(first, end, "[DONE]")
        else:
            reply.respond(200, {**FULL, **fields})

    outcome = outcome_of(monkeypatch, handler, way)

    assert (outcome.text, outcome.error) == ("hi", None)


USAGE = [
    ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7)),
    ({"prompt_tokens": 5.0, "completion_tokens": "7"}, (5, 7)),
    ({"input_tokens": 5, "output_tokens": 7}, (5, 7)),
    ({"prompt_tokens": -1, "completion_tokens": 1.5}, (None, None)),
    ({"prompt_tokens": 2**63, "completion_tokens": 10**30}, (None, None)),
    ({"prompt_tokens": 2**53, "completion_tokens": 0}, (2**53, 0)),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        (10, 105),
    ),
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 105,
            "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        (10, 105),
    ),
]


@pytest.mark.parametrize(("usage", "counts"), USAGE)
def test_the_counts_of_usage(monkeypatch, usage, counts):
    outcome = outcome_of(monkeypatch, replying(200, {**FULL, "usage": usage}), COMPLETE[0])
    found = outcome.response.usage()

    assert (found.input, found.output) == counts


def test_a_later_zero_never_replaces_a_count(monkeypatch):
    def chunk(prompt: int, completion: int) -> dict[str, Any]:
        return {"prompt_tokens": prompt, "completion_tokens": completion}

    events = [
        {"choices": [{"delta": {"content": "hi"}}], "usage": chunk(5, 0)},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": chunk(5, 7)},
        {"choices": [], "usage": chunk(0, 0)},
        "[DONE]",
    ]
    outcome = outcome_of(monkeypatch, lambda reply: reply.events(*events))
    found = outcome.response.usage()

    assert (found.input, found.output) == (5, 7)


def test_the_log_is_valid_json_and_names_the_server(monkeypatch):
    body = '{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "created": NaN}'
    with serving(monkeypatch, replying(200, body)) as server:
        outcome = ask(COMPLETE[0])
    log = outcome.response.response_json

    assert log["server"] == server.url
    assert json.loads(json.dumps(log, allow_nan=False)) == log
