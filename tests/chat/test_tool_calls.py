"""Tool calls in every form that gateways send, streamed and complete.

The scripted replies end with finish_reason "stop", as some gateways' do. In other tests, the
sandbox sends "tool_calls".
"""

import json
import re

import llm
import pytest

from llm_evolink.errors import BadReplyError
from tests.four_ways import COMPLETE, WAYS, one_way, way_id
from tests.scripted_server import event_stream, serving

STREAMED = [way for way in WAYS if way.stream]

GENERATED_ID = re.compile("call_[0-9a-f]{32}")
TOOLS = [
    llm.Tool(name, implementation=lambda name=name, **arguments: f"{name} {json.dumps(arguments)}")
    for name in ("f", "g")
]


def delta(name=None, arguments=None, **fields):
    """Return a delta of a call; a field that is None is left out."""
    function = {"name": name, "arguments": arguments}
    function = {key: value for key, value in function.items() if value is not None}
    return {**fields, **({"function": function} if function else {})}


A, B = '{"x": 1}', '{"y": 2}'
F, G = ("f", {"x": 1}), ("g", {"y": 2})

# The deltas of a stream, one for each chunk, and the calls that they form: id (None for a generated
# one), name, arguments.
STREAMED_CALLS = {
    "complete call": ([delta("f", A, index=0, id="a")], [("a", *F)]),
    "name first, arguments later": (
        [delta("f", "", index=0, id="a"), delta(None, A, index=0)],
        [("a", *F)],
    ),
    "arguments in several deltas": (
        [delta("f", "", index=0, id="a"), delta(None, '{"x"', index=0), delta(None, ": 1}")],
        [("a", *F)],
    ),
    "id and name in every delta": (
        [
            delta("f", "", index=0, id="a"),
            delta("f", '{"x"', index=0, id="a"),
            delta("f", ": 1}", index=0, id="a"),
        ],
        [("a", *F)],
    ),
    "empty id and name in later deltas": (
        [delta("f", "", index=0, id="a"), delta("", A, index=0, id="")],
        [("a", *F)],
    ),
    "null fields": (
        [delta("f", "", index=None, id="a"), {"id": None, "function": {"arguments": A}}],
        [("a", *F)],
    ),
    "a null function": ([delta("f", A, id="a"), {"index": 0, "function": None}], [("a", *F)]),
    "id first, name later": (
        [delta(None, None, index=0, id="a"), delta("f", A, index=0)],
        [("a", *F)],
    ),
    "name first, id later": (
        [delta("f", "", index=0), delta(None, A, index=0, id="a")],
        [("a", *F)],
    ),
    "another id in a later delta": (
        [delta("f", "", index=0, id="a"), delta(None, A, index=0, id="b")],
        [("a", *F)],
    ),
    "index missing in a later delta": (
        [delta("f", "", index=0, id="a"), delta(None, A, id="a")],
        [("a", *F)],
    ),
    "indexes from 1": ([delta("f", "", index=1, id="a"), delta(None, A, index=1)], [("a", *F)]),
    "two calls, interleaved": (
        [
            delta("f", "", index=0, id="a"),
            delta("g", "", index=1, id="b"),
            delta(None, A, index=0),
            delta(None, B, index=1),
        ],
        [("a", *F), ("b", *G)],
    ),
    "two calls without index": (
        [delta("f", "", id="a"), delta(None, A), delta("g", "", id="b"), delta(None, B)],
        [("a", *F), ("b", *G)],
    ),
    "two calls without index, interleaved by id": (
        [
            delta("f", "", id="a"),
            delta("g", "", id="b"),
            delta(None, A, id="a"),
            delta(None, B, id="b"),
        ],
        [("a", *F), ("b", *G)],
    ),
    "all index 0": (
        [delta("f", A, index=0, id="a"), delta("g", B, index=0, id="b")],
        [("a", *F), ("b", *G)],
    ),
    "all index 0, the same tool": (
        [delta("f", A, index=0, id="a"), delta("f", A, index=0, id="b")],
        [("a", *F), ("b", *F)],
    ),
    "all index 0, in several deltas": (
        [
            delta("f", "", index=0, id="a"),
            delta(None, A, index=0),
            delta("g", "", index=0, id="b"),
            delta(None, B, index=0),
        ],
        [("a", *F), ("b", *G)],
    ),
    "all index 0, no id": (
        [delta("f", A, index=0), delta("f", '{"x": 3}', index=0)],
        [(None, *F), (None, "f", {"x": 3})],
    ),
    "missing id": ([delta("f", A, index=0)], [(None, *F)]),
    "empty ids": (
        [delta("f", A, index=0, id=""), delta("g", B, index=1, id="")],
        [(None, *F), (None, *G)],
    ),
    "neither id nor index": ([delta("f", A), delta("g", B)], [(None, *F), (None, *G)]),
    "one id for two calls": (
        [delta("f", A, index=0, id="a"), delta("g", B, index=1, id="a")],
        [("a", *F), (None, *G)],
    ),
    "one id and index for two calls": (
        [delta("f", A, index=0, id="a"), delta("f", '{"x": 3}', index=0, id="a")],
        [("a", *F), (None, "f", {"x": 3})],
    ),
    "the same call twice": (
        [delta("f", A, index=0, id="a"), delta("f", A, index=0, id="a")],
        [("a", *F)],
    ),
    "the same call again, without arguments": (
        [delta("f", A, index=0, id="a"), delta("f", "", index=0, id="a")],
        [("a", *F)],
    ),
    "an empty object before the arguments": (
        [delta("f", "{}", index=0, id="a"), delta("f", A, index=0, id="a")],
        [("a", *F)],
    ),
    "no arguments": ([delta("f", "", index=0, id="a")], [("a", "f", {})]),
    "blank arguments": ([delta("f", " ", index=0, id="a")], [("a", "f", {})]),
    "arguments missing": ([delta("f", None, index=0, id="a")], [("a", "f", {})]),
    "arguments null": (
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}],
        [("a", "f", {})],
    ),
    "arguments as an object": ([delta("f", {"x": 1}, index=0, id="a")], [("a", *F)]),
    "arguments encoded twice": ([delta("f", json.dumps(A), index=0, id="a")], [("a", *F)]),
    "null encoded": ([delta("f", "null", index=0, id="a")], [("a", "f", {})]),
    "an empty list for no arguments": ([delta("f", "[]", index=0, id="a")], [("a", "f", {})]),
    "raw line breaks": (
        [delta("f", '{"x":\n "a\nb"}', index=0, id="a")],
        [("a", "f", {"x": "a\nb"})],
    ),
    "white space around the name": ([delta(" f ", A, index=0, id="a")], [("a", *F)]),
    "an index of text": (
        [
            delta("f", "", index="0", id="a"),
            delta("g", B, index="1", id="b"),
            delta(None, A, index="0"),
        ],
        [("a", *F), ("b", *G)],
    ),
    "a quotation mark between parts": (
        [delta("f", '{"x": "\\', id="a"), delta(None, '""}')],
        [("a", "f", {"x": '"'})],
    ),
    "half of a surrogate pair": (
        [delta("f", '{"x": "\\ud800"}', index=0, id="a")],
        [("a", "f", {"x": "\ufffd"})],
    ),
}

CALLS = {
    "one": ([delta("f", A, id="a", type="function")], [("a", *F)]),
    "two": ([delta("f", A, id="a"), delta("g", B, id="b")], [("a", *F), ("b", *G)]),
    "the same call twice": ([delta("f", A), delta("f", A)], [(None, *F), (None, *F)]),
    "missing and empty ids": ([delta("f", A, id=""), delta("g", B)], [(None, *F), (None, *G)]),
    "one id for two calls": (
        [delta("f", A, id="a"), delta("g", B, id="a")],
        [("a", *F), (None, *G)],
    ),
    "all index 0": (
        [delta("f", A, index=0, id="a"), delta("f", A, index=0, id="b")],
        [("a", *F), ("b", *F)],
    ),
    "no arguments": (
        [delta("f", "", id="a"), delta("g", None, id="b")],
        [("a", "f", {}), ("b", "g", {})],
    ),
    "arguments as an object": ([delta("f", {"x": 1}, id="a")], [("a", *F)]),
}


def assert_called(way, server, calls):
    """Prompt, run the tools, and check the calls and the messages that answer them."""
    first = way.prompt("call", tools=TOOLS)
    made = first.tool_calls_or_raise()
    ids = [call.tool_call_id for call in made]
    assert [(call.name, call.arguments) for call in made] == [call[1:] for call in calls]
    assert len(set(ids)) == len(ids)
    for found, (expected, *_) in zip(ids, calls, strict=True):
        assert found == expected if expected else GENERATED_ID.fullmatch(found)
    parts = way.parts(first)
    assert [part.pop("tool_call_id") for part in parts] == ids
    assert [(part["name"], part["arguments"]) for part in parts] == [call[1:] for call in calls]

    way.reply(first)

    _, call, *results = server.requests[1].json()["messages"]
    assert call == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": each.tool_call_id,
                "type": "function",
                "function": {
                    "name": each.name,
                    "arguments": json.dumps(each.arguments, ensure_ascii=False),
                },
            }
            for each in made
        ],
    }
    assert results == [
        {
            "role": "tool",
            "tool_call_id": each.tool_call_id,
            "content": f"{each.name} {json.dumps(each.arguments)}",
        }
        for each in made
    ]


DONE = {"message": {"content": "Done."}}


@pytest.mark.parametrize(("deltas", "calls"), STREAMED_CALLS.values(), ids=STREAMED_CALLS)
@one_way
def test_deltas_of_a_stream_form_the_calls(scripted, way, deltas, calls):
    messages = [{"tool_calls": [each]} for each in deltas]

    assert_called(way, scripted({"deltas": messages}, DONE), calls)


@pytest.mark.parametrize(("deltas", "calls"), STREAMED_CALLS.values(), ids=STREAMED_CALLS)
def test_the_deltas_can_come_in_one_chunk(scripted, deltas, calls):
    message = {"role": "assistant", "content": None, "tool_calls": deltas}

    assert_called(STREAMED[0], scripted({"deltas": [message]}, DONE), calls)


@pytest.mark.parametrize(("sent", "calls"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_calls_of_a_complete_reply(scripted, way, sent, calls):
    message = {"role": "assistant", "content": "", "tool_calls": sent}

    assert_called(way, scripted({"message": message}, DONE), calls)


CALL = delta("f", A, index=0, id="a")


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ([{"delta": {"tool_calls": [CALL]}, "message": {"tool_calls": [CALL]}}], ""),
        ([{"delta": {"tool_calls": [CALL]}}, {"message": {"tool_calls": [CALL]}}], ""),
        (
            [
                {"delta": {"content": "I call"}},
                {"message": {"content": "I call", "tool_calls": [CALL]}},
            ],
            "I call",
        ),
    ],
    ids=["in one choice", "later", "with text"],
)
@pytest.mark.parametrize("way", STREAMED, ids=way_id)
@pytest.mark.usefixtures("environment")
def test_a_message_beside_deltas_adds_what_they_lack(monkeypatch, way, choices, text):
    events = [{"choices": [choice]} for choice in choices]
    end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    with serving(monkeypatch, event_stream(*events, end, "[DONE]")):
        response = way.prompt("call", tools=TOOLS)

    assert response.text_or_raise() == text
    assert [each.tool_call_id for each in response.tool_calls_or_raise()] == ["a"]


def test_text_before_a_call_is_kept(scripted, way):
    message = {"content": "Let me see.", "tool_calls": [delta("f", A, id="a")]}
    server = scripted({"message": message}, DONE)

    assert way.chain("call", tools=TOOLS) == "Let me see. Done."
    _, call, _ = server.requests[1].json()["messages"]
    assert (call["content"], [each["id"] for each in call["tool_calls"]]) == ("Let me see.", ["a"])


@pytest.mark.parametrize(
    "arguments",
    ["[1]", '"text"', "{", '{"x": 1} and more', "x" * 30, "[" * 100_000],
    ids=lambda arguments: arguments[:20],
)
@one_way
def test_the_error_of_invalid_arguments_names_the_tool(scripted, way, arguments):
    scripted({"message": {"tool_calls": [delta("f", arguments, id="a")]}})

    message = re.escape(
        "EvoLink called the tool f with arguments that are not a JSON object: "
        + repr(arguments)[:30]
    )
    with pytest.raises(BadReplyError, match=f"^{message}"):
        way.prompt("call", tools=TOOLS)


def test_invalid_arguments_at_the_command_line(scripted, llm_command):
    scripted({"message": {"tool_calls": [delta("f", "{oops", id="a")]}})
    done = llm_command("-m", "gemini-3.5-flash", "call", "-T", "llm_version")

    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert done.stderr == (
        "Error: EvoLink called the tool f with arguments that are not a JSON object: '{oops'\n"
    )


def test_a_call_without_a_name_is_refused(scripted, way):
    scripted({"message": {"tool_calls": [delta(None, A, index=0, id="a")]}})

    with pytest.raises(BadReplyError, match=r"^EvoLink called a tool without naming it; try again"):
        way.prompt("call", tools=TOOLS)
