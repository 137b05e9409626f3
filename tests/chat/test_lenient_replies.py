"""Replies whose fields have other types or places than the document gives them."""

import json
from typing import Any

import click
import pytest

from llm_evolink import errors
from llm_evolink.chat.think_tags import ThinkTags
from tests import scripted_server
from tests.four_ways import COMPLETE, KEY, STREAMED, SYNC_STREAMED, Outcome, Way, ask, way_id
from tests.scripted_server import serving

END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


pytestmark = pytest.mark.usefixtures("environment")


def outcome_of(monkeypatch, way: Way, choices: Any, **fields: Any) -> Outcome:
    """Return the outcome of a reply with these choices, which are one event of a stream."""

    def handler(reply: scripted_server.Reply) -> None:
        data = {"choices": choices, **fields}
        if way.stream:
            reply.events(data, "[DONE]")
        else:
            reply.respond(200, data)

    # Notices are printed for a command only.
    with serving(monkeypatch, handler), click.Context(click.Command("llm")):
        return ask(way)


def place(way: Way) -> str:
    return "delta" if way.stream else "message"


CONTENTS = [
    ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
    ([{"content": "a"}, "b", 3], "ab3"),
    ({"text": "a"}, "a"),
    (7, "7"),
    (0.5, "0.5"),
]


@pytest.mark.parametrize(("content", "text"), CONTENTS)
@pytest.mark.parametrize("way", [SYNC_STREAMED, COMPLETE[0]], ids=way_id)
def test_the_text_is_taken_from_other_types_of_content(monkeypatch, way, content, text):
    choice = {place(way): {"content": content}, "finish_reason": "stop"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert (outcome.text, outcome.error) == (text, None)


def test_a_list_of_parts_in_each_way(monkeypatch, way):
    choice = {place(way): {"content": CONTENTS[0][0]}, "finish_reason": "stop"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert (outcome.text, outcome.error) == ("ab", None)


CHOICES = {
    "a delta that is text": [{"delta": "hi", "finish_reason": "stop"}],
    "a message in a stream": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
    "legacy text": [{"text": "hi", "finish_reason": "stop"}],
    "choices as an object": {"delta": {"content": "hi"}, "finish_reason": "stop"},
    "null among the choices": [None, {"delta": {"content": "hi"}, "finish_reason": "stop"}],
    "an index as text": [{"index": "0", "delta": {"content": "hi"}, "finish_reason": "stop"}],
    "a delta of another type": [
        {"delta": 5, "message": {"content": "hi"}, "finish_reason": "stop"},
    ],
}


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_the_text_is_taken_from_other_places(monkeypatch, choices):
    outcome = outcome_of(monkeypatch, SYNC_STREAMED, choices)

    assert (outcome.text, outcome.error) == ("hi", None)


def test_fields_of_another_type_are_left_out(monkeypatch, way):
    choice = {place(way): {"content": "hi"}, "finish_reason": 3, "index": "0", "logprobs": "n/a"}
    fields = {"id": 5, "model": 6, "created": "now", "usage": "n/a", "object": None}
    outcome = outcome_of(monkeypatch, way, [choice], **fields)

    assert (outcome.text, outcome.error) == ("hi", None)
    assert (outcome.response.input_tokens, outcome.response.output_tokens) == (None, None)
    assert outcome.response.response_json["id"] == "5"


def test_usage_of_a_choice_counts(monkeypatch):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": "none"}
    choice = {"delta": {"content": "hi"}, "finish_reason": "stop", "usage": usage}
    outcome = outcome_of(monkeypatch, SYNC_STREAMED, [choice])

    assert (outcome.response.input_tokens, outcome.response.output_tokens) == (3, 4)


def test_a_refusal_is_the_answer_with_a_notice(monkeypatch, capsys, way):
    choice = {place(way): {"content": None, "refusal": "I will not."}, "finish_reason": "stop"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert (outcome.text, outcome.error) == ("I will not.", None)
    assert "The model refused to answer; the text is its reason" in capsys.readouterr().err


def test_a_legacy_function_call_is_shown_with_a_notice(monkeypatch, capsys, way):
    call = {"name": "weather", "arguments": '{"city": "Paris"}'}
    choice = {place(way): {"content": None, "function_call": call}, "finish_reason": "stop"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert (outcome.text, outcome.error) == ('{"city": "Paris"}', None)
    assert "The answer came as a function_call of weather" in capsys.readouterr().err


@pytest.mark.parametrize("calls", [[], [5], None], ids=str)
def test_an_announced_tool_call_that_cannot_be_read_is_an_error(monkeypatch, way, calls):
    choice = {place(way): {"content": "x", "tool_calls": calls}, "finish_reason": "tool_calls"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert type(outcome.error) is errors.IncompleteReplyError
    assert str(outcome.error) == (
        "The answer is incomplete: the server reported a tool call and sent none to read; try again"
    )


def test_an_error_of_a_choice_is_the_reason(monkeypatch, way):
    choice = {place(way): {"content": "half"}, "error": {"message": "upstream broke"}}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert isinstance(outcome.error, errors.EvolinkError)
    assert "upstream broke" in str(outcome.error)


@pytest.mark.parametrize("name", ["think", "thought"])
def test_text_in_tags_at_the_beginning_is_reasoning(monkeypatch, way, name):
    content = f"\n<{name}>\nfirst\nsecond\n</{name}>\n\nThe answer"
    choice = {place(way): {"content": content}, "finish_reason": "stop"}
    outcome = outcome_of(monkeypatch, way, [choice])

    assert (outcome.text, outcome.error) == ("The answer", None)
    (message,) = way.resolve(outcome.response.messages())
    assert [part.text for part in message.parts] == ["first\nsecond", "The answer"]


SPLIT = [
    ("<think>a\nb\n</think>\n\nc", [("reasoning", "a\nb"), ("text", "c")]),
    ("<thought>a</thought>c<think>d", [("reasoning", "a"), ("text", "c<think>d")]),
    ("<think>a</thi", [("reasoning", "a</thi")]),
    ("<think></think>c", [("text", "c")]),
    ("<thing>a", [("text", "<thing>a")]),
    ("<th", [("text", "<th")]),
    ("a <think>b</think>", [("text", "a <think>b</think>")]),
]


@pytest.mark.parametrize(("content", "expected"), SPLIT)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_tags_are_found_however_the_text_is_split(content, expected, size):
    tags = ThinkTags()
    found: list[tuple[str, str]] = []
    for start in range(0, len(content), size):
        part = content[start : start + size]
        found += [("text", part)] if tags.in_answer else tags.split(part)
    found += tags.rest()

    joined: list[tuple[str, str]] = []
    for event_type, text in found:
        if joined and joined[-1][0] == event_type:
            joined[-1] = event_type, joined[-1][1] + text
        else:
            joined.append((event_type, text))
    assert joined == expected


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_text_that_could_begin_the_key_is_shown_when_the_stream_breaks(monkeypatch, way):
    assert KEY.startswith("s")
    event = {"choices": [{"delta": {"content": "This is s"}}]}
    with serving(monkeypatch, lambda reply: reply.events(event)):
        outcome = ask(way)

    assert outcome.text == "This is s"
    assert type(outcome.error) is errors.IncompleteReplyError


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_metadata_that_comes_in_parts_is_joined(monkeypatch, way):
    deltas = [
        {"reasoning_details": [{"text": "a"}], "thought_signature": "x"},
        {"content": "hi", "reasoning_details": [{"text": "b"}]},
    ]
    events = [*({"choices": [{"delta": delta}]} for delta in deltas), END, "[DONE]"]
    with serving(monkeypatch, lambda reply: reply.events(*events)):
        outcome = ask(way)

    (message,) = way.resolve(outcome.response.messages())
    assert message.parts[-1].provider_metadata == {
        "evolink": {
            "reasoning_details": [{"text": "a"}, {"text": "b"}],
            "thought_signature": "x",
        }
    }


@pytest.mark.parametrize(
    ("depth", "text_shown"),
    [(900, "hi"), (20_000, "")],
    ids=["900", "deeper than Python decodes"],
)
def test_a_deep_unknown_field(monkeypatch, way, depth, text_shown):
    deep = '{"a":' * depth + "1" + "}" * depth
    text = json.dumps({"choices": [{place(way): {"content": "hi"}, "finish_reason": "stop"}]})
    text = text[:-1] + f', "unknown": {deep}}}'

    def handler(reply: scripted_server.Reply) -> None:
        if way.stream:
            reply.events(text, "[DONE]")
        else:
            reply.respond(200, text, content_type="application/json")

    with serving(monkeypatch, handler):
        outcome = ask(way)
    assert outcome.text == text_shown
    unreadable = errors.IncompleteReplyError if way.stream else errors.NoReplyError
    assert type(outcome.error) is (type(None) if text_shown else unreadable)
