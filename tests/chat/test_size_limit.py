"""The limit of what is kept of a reply, in memory."""

import sys
from typing import Any

import click
import pytest

from generated_client.models import ToolCallDelta
from llm_evolink.chat import size_limit
from llm_evolink.chat.size_limit import CALL_BYTES, SizeLimit, json_size
from llm_evolink.chat.tool_calls import Call, ToolCalls
from llm_evolink.chat.usage import update
from tests import scripted_server
from tests.four_ways import SYNC_STREAMED, ask
from tests.scripted_server import STREAM_EVENTS, serving

LIMIT = 2**20


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    monkeypatch.setattr(size_limit, "MAX_REPLY_MEMORY", LIMIT)


def stream(*deltas: dict[str, Any], **choice: Any) -> scripted_server.Handler:
    chunks = [{"choices": [{"delta": delta, **choice}]} for delta in deltas]
    return lambda reply: reply.events(*chunks, *STREAM_EVENTS[1:])


def calls(arguments: str, count: int) -> dict[str, Any]:
    """Return a delta with so many calls, each with an id."""
    function = {"name": "f", "arguments": arguments}
    return {"tool_calls": [{"id": f"c-{n}", "function": function} for n in range(count)]}


TEXT = "x" * (2**18 - 1)


@pytest.mark.parametrize(
    ("deltas", "is_complete"),
    [
        pytest.param([{"content": TEXT}] * 4, True, id="ASCII text"),
        pytest.param([{"content": TEXT}] * 5, False, id="too much ASCII text"),
        pytest.param([{"content": TEXT}, {"content": "é"}], False, id="a character makes it wide"),
        pytest.param([{"reasoning_content": TEXT}, {"content": TEXT}] * 3, False, id="reasoning"),
        pytest.param([calls("{}", LIMIT // CALL_BYTES - 20)], True, id="tool calls"),
        pytest.param([calls("{}", LIMIT // CALL_BYTES + 1)], False, id="too many tool calls"),
        pytest.param([calls(f'{{"x": "{TEXT}', 5)], False, id="arguments"),
        pytest.param([calls(f'{{"x": [{"[]," * 6000}[]]}}', 1)], False, id="values in arguments"),
        pytest.param(
            [{"content": "", "x": [[n]] * 4000} for n in range(2)], False, id="an unknown list"
        ),
        pytest.param([{"content": "", f"x{n}": TEXT} for n in range(5)], False, id="unknown text"),
        pytest.param(
            [{"content": "", "x": {"signature": TEXT}}] * 9, True, id="the same signature"
        ),
        pytest.param(
            [{"content": "", "signature": f"{n}{TEXT}"} for n in range(9)], True, id="the last one"
        ),
    ],
)
def test_a_reply_that_takes_too_much_memory_is_incomplete(
    monkeypatch, low_limit, deltas, is_complete
):
    with serving(monkeypatch, stream({"content": "hi"}, *deltas)):
        outcome = ask(SYNC_STREAMED)

    expected = (
        "None"
        if is_complete
        else "The answer is incomplete: it takes more than 1 MiB of memory; try again"
    )
    assert str(outcome.error) == expected
    assert outcome.text.startswith("hi")


@pytest.mark.parametrize(
    ("size", "is_complete"), [(LIMIT // 64 - 2, True), (LIMIT // 64 - 1, False)]
)
def test_text_that_llm_logs_takes_more(monkeypatch, low_limit, size, is_complete):
    with (
        serving(monkeypatch, stream({"content": "hi"}, {"content": "x" * size})),
        click.Context(click.Command("llm")),
    ):
        outcome = ask(SYNC_STREAMED)

    assert (outcome.error is None) is is_complete


def test_log_probabilities_beyond_half_of_the_limit_are_left_out(monkeypatch, low_limit):
    logprobs = {"content": [{"token": "x", "logprob": -1.5}] * 500}
    assert 2 * json_size(logprobs) < LIMIT // 2 < 3 * json_size(logprobs)
    with serving(monkeypatch, stream(*[{"content": "x"}] * 4, logprobs=logprobs)):
        outcome = ask(SYNC_STREAMED)

    assert (outcome.text, outcome.error) == ("xxxx", None)
    assert len(outcome.response.response_json["logprobs"]["content"]) == 1000


def test_counts_that_are_sent_again_and_again_are_counted_once(monkeypatch):
    monkeypatch.setattr(size_limit, "MAX_REPLY_MEMORY", 2000)
    limit = SizeLimit()
    counts: dict[str, Any] = {}
    for number in range(1000):
        update(counts, {"total_tokens": number, "x_details": {"text_tokens": number}}, limit)

    assert counts == {"total_tokens": 999, "x_details": {"text_tokens": 999}}


# Work that grows with the square of what is sent would hang a prompt.


def delta(**fields: Any) -> ToolCallDelta:
    return ToolCallDelta.from_dict(fields)


def test_arguments_in_small_parts_are_read_a_bounded_number_of_times(monkeypatch):
    read = [0]

    class Structure:
        """Counts the characters that are searched for strings and brackets."""

        def __init__(self, pattern: Any) -> None:
            self.pattern = pattern

        def finditer(self, text: str) -> Any:
            read[0] += len(text)
            return self.pattern.finditer(text)

    joined = Call.arguments.fget

    def arguments(call: Call) -> str:
        text: str = joined(call)
        read[0] += len(text)
        return text

    monkeypatch.setattr(
        "llm_evolink.chat.tool_calls._STRUCTURE", Structure(sys.modules[Call.__module__]._STRUCTURE)
    )
    monkeypatch.setattr(Call, "arguments", property(arguments))
    found = ToolCalls(SizeLimit())
    found.add_delta(delta(index=0, id="a", function={"name": "f", "arguments": '{"x": ["'}))
    for _ in range(2000):
        found.add_delta(delta(index=0, function={"arguments": 'abc", "'}))
    found.add_delta(delta(index=0, function={"arguments": '"]}'}))
    (call,) = found.finished()

    assert call.parsed_arguments()["x"][:2] == ["abc", "abc"]
    assert read[0] < 6 * 2000 * len('abc", "')


@pytest.mark.parametrize("fields", [{}, {"id": True}, {"index": True}, {"id": True, "index": True}])
def test_the_work_for_each_call_does_not_grow_with_their_number(fields):
    def work(count: int) -> int:
        """Return the number of function calls that it takes to read so many tool calls."""
        made = 0

        def count_call(frame: Any, event: str, argument: Any) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        deltas = [
            delta(
                **({"id": f"call-{number}"} if "id" in fields else {}),
                **({"index": number} if "index" in fields else {}),
                function={"name": "f", "arguments": '{"x": 1}'},
            )
            for number in range(count)
        ]
        found = ToolCalls(SizeLimit())
        sys.setprofile(count_call)
        for each in deltas:
            found.add_delta(each)
        calls = found.finished()
        sys.setprofile(None)
        assert len(calls) == count
        return made

    assert work(1000) <= 10 * work(100) * 1.05
