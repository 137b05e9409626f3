"""Events, finish reasons and fields of a reply in rare forms, decoded without a server."""

import httpx
import llm
import pytest

from generated_client import errors as client_errors
from generated_client import models
from llm_evolink import failures
from llm_evolink.chat import decoding, request
from llm_evolink.chat.finish_reason import Ending, classify
from llm_evolink.chat.sanitizer import Sanitizer
from llm_evolink.chat.size_limit import SizeLimit
from llm_evolink.chat.tool_calls import MAX_JOINED, Call, merge
from llm_evolink.connection import clients
from llm_evolink.errors import BadReplyError, IncompleteReplyError
from llm_evolink.redaction import Redactor

invalid_event = client_errors.InvalidEvent(
    "", data="", status_code=200, headers=httpx.Headers(), content=b""
)
HI = '{"choices": [{"delta": {"content": "hi"}}]}'


@pytest.mark.parametrize(
    ("data", "contents"),
    [
        (HI, ["hi"]),
        (f"data: {HI}", ["hi"]),
        (f"data:data: {HI}", ["hi"]),
        ("data: [DONE]", []),
        (f"{HI} \n {HI}", ["hi", "hi"]),
        (f"[{HI}]", ["hi"]),
    ],
)
def test_the_data_of_an_event_in_each_form(data, contents):
    chunk = decoding.decode_event(data, False)
    assert [choice.delta.content for choice in chunk.choices] == contents


@pytest.mark.parametrize("data", ["half {", "5", '"text"', ""])
def test_data_that_is_not_a_chunk(data):
    with pytest.raises(IncompleteReplyError, match="the server sent an event that cannot be"):
        decoding.decode_event(data, False)


def test_the_data_of_an_error_event_is_its_message():
    with pytest.raises(IncompleteReplyError, match="is incomplete: no luck; try again"):
        decoding.decode_event("no luck", True)


@pytest.mark.parametrize(
    ("function", "decoded"),
    [({"name": "add"}, {"name": "add"}), (None, None), ("add", None), ([], None)],
)
def test_the_function_of_a_call(function, decoded):
    message = decoding.valid_message({"tool_calls": [{"id": "c1", "function": function}, "c2"]})
    assert message == {"tool_calls": [{"id": "c1", "function": decoded}]}


@pytest.mark.parametrize(
    ("content", "text"),
    [("a", "a"), (["a", {"text": "b"}, 3], "ab3"), (0.5, "0.5"), (True, ""), (None, ""), ({}, "")],
)
def test_the_text_of_content(content, text):
    assert decoding.text_of(content) == text


@pytest.mark.parametrize("finish_reason", [None, ""])
def test_no_finish_reason_is_missing(finish_reason):
    assert classify(finish_reason) is Ending.MISSING


def deep(depth):
    value = "leaf"
    for _ in range(depth):
        value = {"a": [value]}
    return value


def test_values_nested_too_deep_are_null():
    kept = Sanitizer(Redactor("sk-key")).json(deep(80))
    assert str(kept).count("[") == 50
    assert "leaf" not in str(kept)


def test_arguments_that_are_nested_too_deep_are_refused():
    call = Call()
    call.name = "add"
    call.add_arguments('{"a": ' * 300 + "{}" + "}" * 300)
    with pytest.raises(BadReplyError, match="the tool add with arguments nested too deep"):
        call.parsed_arguments()


@pytest.mark.parametrize(
    ("old", "new", "joined"),
    [
        ({"a": "x"}, {"a": "x"}, {"a": "x"}),
        ({"a": "x"}, {"a": "y"}, {"a": "xy"}),
        ({"a": "x"}, {"a": None}, {"a": "x"}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": {"b": "x"}}, {"a": {"b": "y", "c": 1}}, {"a": {"b": "xy", "c": 1}}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"type": "x"}, {"type": "y"}, {"type": "y"}),
        ({"thought_signature": "x"}, {"thought_signature": "y"}, {"thought_signature": "y"}),
        ({"a": "x" * MAX_JOINED}, {"a": "y"}, {"a": "x" * MAX_JOINED}),
        ({}, {"a": deep(200)}, {}),
    ],
)
def test_unknown_fields_of_deltas_are_joined(old, new, joined):
    merge(old, new, SizeLimit())
    assert old == joined


def test_an_option_without_a_field_of_the_request_is_sent():
    class Options(llm.Options):
        top_k: int | None = None

    body = models.ChatCompletionQuickRequest(messages=[])
    request._set_options(body, Options(top_k=3))
    assert body.to_dict()["top_k"] == 3


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (invalid_event, "the server sent an event that cannot be decoded"),
        (RecursionError(), "the server sent data that is nested too deep"),
    ],
)
def test_failures_of_the_client(failure, message):
    error = failures.explain(failure, began=True)
    assert type(error) is IncompleteReplyError
    assert message in str(error)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (httpx.Response(503), "EvoLink answered 503"),
        (httpx.ConnectError("refused"), "The connection failed"),
    ],
)
def test_a_long_delay_is_reported_at_a_terminal(monkeypatch, outcome, reason):
    shown = []
    monkeypatch.setattr(clients.sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(clients.terminal, "notify", shown.append)
    for delay in (0.5, 2.0):
        clients._notify(outcome, delay)
    assert shown == [f"{reason}; trying again in 2 s"]
