"""Tool calls in every shape that gateways send them, streamed and whole.

The scripted replies end with finish_reason "stop", as gateways do although there are calls; the
sandbox, in other tests, says "tool_calls".
"""

import json
import re

import llm
import pytest

from llm_evolink.errors import BadReplyError
from tests.four_ways import COMPLETE, WAYS, one_way, way_id

STREAMED = [way for way in WAYS if way.stream]

MADE_UP = re.compile("call_[0-9a-f]{32}")
TOOLS = [
    llm.Tool(name, implementation=lambda name=name, **arguments: f"{name} {json.dumps(arguments)}")
    for name in ("f", "g")
]


def piece(name=None, arguments=None, **fields):
    """Return a piece of a call; without a name or arguments, without their fields."""
    function = {"name": name, "arguments": arguments}
    function = {key: value for key, value in function.items() if value is not None}
    return {**fields, **({"function": function} if function else {})}


A, B = '{"x": 1}', '{"y": 2}'
F, G = ("f", {"x": 1}), ("g", {"y": 2})

# The pieces of a stream, one a chunk, and the calls they make: id (None for one made up by us),
# name, arguments.
PIECES = {
    "whole call": ([piece("f", A, index=0, id="a")], [("a", *F)]),
    "name first, arguments later": (
        [piece("f", "", index=0, id="a"), piece(None, A, index=0)],
        [("a", *F)],
    ),
    "arguments in pieces": (
        [piece("f", "", index=0, id="a"), piece(None, '{"x"', index=0), piece(None, ": 1}")],
        [("a", *F)],
    ),
    "id and name in every piece": (
        [
            piece("f", "", index=0, id="a"),
            piece("f", '{"x"', index=0, id="a"),
            piece("f", ": 1}", index=0, id="a"),
        ],
        [("a", *F)],
    ),
    "empty id and name in later pieces": (
        [piece("f", "", index=0, id="a"), piece("", A, index=0, id="")],
        [("a", *F)],
    ),
    "null fields": (
        [piece("f", "", index=None, id="a"), {"id": None, "function": {"arguments": A}}],
        [("a", *F)],
    ),
    "a null function": ([piece("f", A, id="a"), {"index": 0, "function": None}], [("a", *F)]),
    "id first, name later": (
        [piece(None, None, index=0, id="a"), piece("f", A, index=0)],
        [("a", *F)],
    ),
    "name first, id later": (
        [piece("f", "", index=0), piece(None, A, index=0, id="a")],
        [("a", *F)],
    ),
    "another id in a later piece": (
        [piece("f", "", index=0, id="a"), piece(None, A, index=0, id="b")],
        [("a", *F)],
    ),
    "index missing in a later piece": (
        [piece("f", "", index=0, id="a"), piece(None, A, id="a")],
        [("a", *F)],
    ),
    "indexes from 1": ([piece("f", "", index=1, id="a"), piece(None, A, index=1)], [("a", *F)]),
    "two calls, interleaved": (
        [
            piece("f", "", index=0, id="a"),
            piece("g", "", index=1, id="b"),
            piece(None, A, index=0),
            piece(None, B, index=1),
        ],
        [("a", *F), ("b", *G)],
    ),
    "two calls without index": (
        [piece("f", "", id="a"), piece(None, A), piece("g", "", id="b"), piece(None, B)],
        [("a", *F), ("b", *G)],
    ),
    "two calls without index, interleaved by id": (
        [
            piece("f", "", id="a"),
            piece("g", "", id="b"),
            piece(None, A, id="a"),
            piece(None, B, id="b"),
        ],
        [("a", *F), ("b", *G)],
    ),
    "all index 0": (
        [piece("f", A, index=0, id="a"), piece("g", B, index=0, id="b")],
        [("a", *F), ("b", *G)],
    ),
    "all index 0, the same tool": (
        [piece("f", A, index=0, id="a"), piece("f", A, index=0, id="b")],
        [("a", *F), ("b", *F)],
    ),
    "all index 0, in pieces": (
        [
            piece("f", "", index=0, id="a"),
            piece(None, A, index=0),
            piece("g", "", index=0, id="b"),
            piece(None, B, index=0),
        ],
        [("a", *F), ("b", *G)],
    ),
    "all index 0, no id": (
        [piece("f", A, index=0), piece("f", '{"x": 3}', index=0)],
        [(None, *F), (None, "f", {"x": 3})],
    ),
    "missing id": ([piece("f", A, index=0)], [(None, *F)]),
    "empty ids": (
        [piece("f", A, index=0, id=""), piece("g", B, index=1, id="")],
        [(None, *F), (None, *G)],
    ),
    "neither id nor index": ([piece("f", A), piece("g", B)], [(None, *F), (None, *G)]),
    "one id for two calls": (
        [piece("f", A, index=0, id="a"), piece("g", B, index=1, id="a")],
        [("a", *F), (None, *G)],
    ),
    "one id and index for two calls": (
        [piece("f", A, index=0, id="a"), piece("f", '{"x": 3}', index=0, id="a")],
        [("a", *F), (None, "f", {"x": 3})],
    ),
    "the same call twice": (
        [piece("f", A, index=0, id="a"), piece("f", A, index=0, id="a")],
        [("a", *F)],
    ),
    "the same call again, without arguments": (
        [piece("f", A, index=0, id="a"), piece("f", "", index=0, id="a")],
        [("a", *F)],
    ),
    "an empty object before the arguments": (
        [piece("f", "{}", index=0, id="a"), piece("f", A, index=0, id="a")],
        [("a", *F)],
    ),
    "no arguments": ([piece("f", "", index=0, id="a")], [("a", "f", {})]),
    "blank arguments": ([piece("f", " ", index=0, id="a")], [("a", "f", {})]),
    "arguments missing": ([piece("f", None, index=0, id="a")], [("a", "f", {})]),
    "arguments null": (
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}],
        [("a", "f", {})],
    ),
    "arguments as an object": ([piece("f", {"x": 1}, index=0, id="a")], [("a", *F)]),
    "arguments encoded twice": ([piece("f", json.dumps(A), index=0, id="a")], [("a", *F)]),
    "null encoded": ([piece("f", "null", index=0, id="a")], [("a", "f", {})]),
    "an empty list for no arguments": ([piece("f", "[]", index=0, id="a")], [("a", "f", {})]),
    "raw line breaks": (
        [piece("f", '{"x":\n "a\nb"}', index=0, id="a")],
        [("a", "f", {"x": "a\nb"})],
    ),
    "white space around the name": ([piece(" f ", A, index=0, id="a")], [("a", *F)]),
    "an index of text": (
        [
            piece("f", "", index="0", id="a"),
            piece("g", B, index="1", id="b"),
            piece(None, A, index="0"),
        ],
        [("a", *F), ("b", *G)],
    ),
    "a quotation mark between parts": (
        [piece("f", '{"x": "\\', id="a"), piece(None, '""}')],
        [("a", "f", {"x": '"'})],
    ),
    "half of a surrogate pair": (
        [piece("f", '{"x": "\\ud800"}', index=0, id="a")],
        [("a", "f", {"x": "\ufffd"})],
    ),
}

CALLS = {
    "one": ([piece("f", A, id="a", type="function")], [("a", *F)]),
    "two": ([piece("f", A, id="a"), piece("g", B, id="b")], [("a", *F), ("b", *G)]),
    "the same call twice": ([piece("f", A), piece("f", A)], [(None, *F), (None, *F)]),
    "missing and empty ids": ([piece("f", A, id=""), piece("g", B)], [(None, *F), (None, *G)]),
    "one id for two calls": (
        [piece("f", A, id="a"), piece("g", B, id="a")],
        [("a", *F), (None, *G)],
    ),
    "all index 0": (
        [piece("f", A, index=0, id="a"), piece("f", A, index=0, id="b")],
        [("a", *F), ("b", *F)],
    ),
    "no arguments": (
        [piece("f", "", id="a"), piece("g", None, id="b")],
        [("a", "f", {}), ("b", "g", {})],
    ),
    "arguments as an object": ([piece("f", {"x": 1}, id="a")], [("a", *F)]),
}


def assert_called(way, server, calls):
    """Prompt, run the tools, and check the calls and the messages that answer them."""
    first = way.prompt("call", tools=TOOLS)
    made = first.tool_calls_or_raise()
    ids = [call.tool_call_id for call in made]
    assert [(call.name, call.arguments) for call in made] == [call[1:] for call in calls]
    assert len(set(ids)) == len(ids)
    for found, (expected, *_) in zip(ids, calls, strict=True):
        assert found == expected if expected else MADE_UP.fullmatch(found)
    said = way.parts(first)
    assert [part.pop("tool_call_id") for part in said] == ids
    assert [(part["name"], part["arguments"]) for part in said] == [call[1:] for call in calls]

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


@pytest.mark.parametrize(("pieces", "calls"), PIECES.values(), ids=PIECES)
@one_way
def test_pieces_of_a_stream_make_the_calls(scripted, way, pieces, calls):
    deltas = [{"tool_calls": [each]} for each in pieces]

    assert_called(way, scripted({"deltas": deltas}, DONE), calls)


@pytest.mark.parametrize(("pieces", "calls"), PIECES.values(), ids=PIECES)
def test_pieces_can_come_together(scripted, pieces, calls):
    delta = {"role": "assistant", "content": None, "tool_calls": pieces}

    assert_called(STREAMED[0], scripted({"deltas": [delta]}, DONE), calls)


@pytest.mark.parametrize(("sent", "calls"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_calls_of_a_whole_reply(scripted, way, sent, calls):
    message = {"role": "assistant", "content": "", "tool_calls": sent}

    assert_called(way, scripted({"message": message}, DONE), calls)


def test_text_before_a_call_is_kept(scripted, way):
    message = {"content": "Let me see.", "tool_calls": [piece("f", A, id="a")]}
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
def test_arguments_that_are_no_object_name_the_tool(scripted, way, arguments):
    scripted({"message": {"tool_calls": [piece("f", arguments, id="a")]}})

    told = re.escape(
        "EvoLink called the tool f with arguments that are not a JSON object: "
        + repr(arguments)[:30]
    )
    with pytest.raises(BadReplyError, match=f"^{told}"):
        way.prompt("call", tools=TOOLS)


def test_arguments_that_are_no_object_are_told_at_the_command_line(scripted, llm_command):
    scripted({"message": {"tool_calls": [piece("f", "{oops", id="a")]}})
    done = llm_command("-m", "gemini-3.5-flash", "call", "-T", "llm_version")

    assert (done.returncode, done.stdout.strip()) == (1, "")
    assert done.stderr == (
        "Error: EvoLink called the tool f with arguments that are not a JSON object: '{oops'\n"
    )


def test_a_call_without_a_name_is_refused(scripted, way):
    scripted({"message": {"tool_calls": [piece(None, A, index=0, id="a")]}})

    with pytest.raises(BadReplyError, match=r"^EvoLink called a tool without naming it; try again"):
        way.prompt("call", tools=TOOLS)
