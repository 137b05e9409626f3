"""Thought signatures are sent back with their calls: from memory, the log and saved JSON.

The sandbox signs the first of parallel calls, as Gemini 3 does, and answers 400 when the signature
of a call in the current turn is missing or not that of the call.
"""

import json

import llm
import pytest
from llm.parts import ToolCallPart, ToolResultPart

from llm_evolink.errors import InvalidRequestError
from tests.chat.test_tools import multiply, now, upper
from tests.four_ways import INTRODUCTION, MODEL, WAYS, way_id

TOOLS = [multiply, now, upper]
TASK = 'multiply {"b": 7, "a": 6} upper {"text": "ä"} then now'
ANSWER = f"{INTRODUCTION} The tool now returned: noon"


def calls(server):
    """Return the calls in the last request."""
    messages = server.requests[-1].body["messages"]
    return [call for message in messages for call in message.get("tool_calls", [])]


def signatures(server):
    """Return the signatures in the last request."""
    extras = [call["extra_content"] for call in calls(server) if "extra_content" in call]
    return [extra["google"]["thought_signature"] for extra in extras]


def test_signatures_are_sent_back_within_a_chain(sandbox, way):
    assert way.chain(TASK, tools=TOOLS).startswith(ANSWER)

    assert len(sandbox.requests) == 3
    assert ["extra_content" in call for call in calls(sandbox)] == [True, False, True]
    assert len(set(signatures(sandbox))) == 2


def test_signatures_are_sent_back_in_a_conversation(sandbox, way):
    conversation = way.model.conversation(tools=TOOLS)
    way.chain(TASK, on=conversation, tools=TOOLS)
    kept = signatures(sandbox)
    way.chain("now", on=conversation, tools=TOOLS)

    assert signatures(sandbox)[:2] == kept
    assert len(signatures(sandbox)) == 3


def test_signatures_are_sent_back_with_a_reply(sandbox, way):
    response = way.prompt(TASK, tools=TOOLS)
    response = way.reply(response)
    response = way.reply(response)

    assert response.text_or_raise().startswith(ANSWER)
    assert len(signatures(sandbox)) == 2


@pytest.mark.parametrize("by_id", [True, False], ids=["--cid", "-c"])
def test_signatures_are_sent_back_from_the_database(sandbox, llm_command, turns, by_id):
    """A streamed chain is continued async, and an async one streamed."""
    functions = "def multiply(a: int, b: int) -> int:\n    return a * b\n"
    first, then = ([], ["--async"]) if by_id else (["--async", "--no-stream"], [])
    prompt = 'multiply {"b": 7, "a": 6}'
    assert llm_command("-m", MODEL, "--functions", functions, prompt, *first).returncode == 0
    kept = signatures(sandbox)
    assert len(kept) == 1

    continued = ["--cid", turns()[0]["thread_id"]] if by_id else ["-c"]
    done = llm_command(*continued, "And now?", *then)

    assert (done.returncode, done.stderr) == (0, "")
    assert signatures(sandbox) == kept


def test_signatures_are_sent_back_from_a_saved_response(sandbox, way):
    saved = json.dumps(way.prompt(TASK, tools=TOOLS).to_dict())
    response_class = llm.AsyncResponse if way.asynchronous else llm.Response
    restored = response_class.from_dict(json.loads(saved))
    assert [call.name for call in restored.tool_calls_or_raise()] == ["multiply", "upper"]

    way.reply(restored, tools=TOOLS)

    assert len(signatures(sandbox)) == 1


def test_signatures_are_sent_back_after_a_pause(sandbox, way):
    """The chain is paused in the second round, and resumed from JSON."""
    paused = []

    def now() -> str:
        if not paused:
            paused.append(True)
            raise llm.PauseChain
        return "noon"

    tools = [multiply, upper, now]
    conversation = way.model.conversation()
    with pytest.raises(llm.PauseChain):
        way.chain(TASK, on=conversation, tools=tools)
    saved = json.dumps(conversation.responses[-1].to_dict())

    response_class = llm.AsyncResponse if way.asynchronous else llm.Response
    last = response_class.from_dict(json.loads(saved))
    messages = [*last.prompt.messages, *way.resolve(last.messages())]

    assert way.chain(messages=messages, tools=tools).startswith(ANSWER)
    assert len(signatures(sandbox)) == 2


def test_the_sandbox_refuses_a_call_without_its_signature(sandbox, way):
    """If it did not, the tests above could not fail."""
    first = way.prompt("now", tools=TOOLS)
    (message,) = way.resolve(first.messages())
    (call,) = message.parts
    call.provider_metadata = {"evolink": {}}
    result = ToolResultPart("now", "noon", call.tool_call_id)
    messages = [*first.prompt.messages, message, llm.tool_message(result)]

    with pytest.raises(InvalidRequestError, match="missing a thought_signature"):
        way.prompt(messages=messages)


UNKNOWN = {
    "extra_content": {"google": {"thought_signature": "s", "more": [1, {"x": None}]}},
    "provider_specific_fields": {"thought_signature": "s"},
    "note": "ä",
}


def test_only_signatures_and_extra_content_of_a_call_are_sent_back(scripted, way):
    signed = {"id": "a", "type": "function", "extra_content": UNKNOWN["extra_content"]}
    signed |= {"thoughtSignature": "s"}
    signed["function"] = {"name": "now", "arguments": "{}", "thought_signature": "t"}
    call = {**signed, **UNKNOWN, "function": {**signed["function"], "thought": "t"}}
    server = scripted({"message": {"tool_calls": [call]}}, {"message": {"content": "Done."}})

    first = way.prompt("call", tools=TOOLS)
    assert way.parts(first)[0]["provider_metadata"] == {
        "evolink": {
            **UNKNOWN,
            "thoughtSignature": "s",
            "function": {"thought_signature": "t", "thought": "t"},
        }
    }
    way.reply(first)

    assert server.requests[1].json()["messages"][1]["tool_calls"] == [signed]


@pytest.mark.parametrize("way", [way for way in WAYS if way.stream], ids=way_id)
def test_a_signature_can_arrive_in_a_late_delta(scripted, way):
    calls_in_deltas = [
        {"index": 0, "id": "a", "function": {"name": "now", "arguments": ""}},
        {"index": 0, "extra_content": {"google": {"more": 1}}, "function": {"arguments": "{}"}},
        {"index": 0, "extra_content": {"google": {"thought_signature": "s"}}, "function": None},
        {"index": 0, "extra_content": None, "a_signature": ["n"], "function": {"signature": "t"}},
    ]
    deltas = [{"tool_calls": [call]} for call in calls_in_deltas]
    server = scripted({"deltas": deltas}, {"message": {"content": "Done."}})
    way.reply(way.prompt("call", tools=TOOLS))

    (call,) = server.requests[1].json()["messages"][1]["tool_calls"]
    assert call["extra_content"] == {"google": {"more": 1, "thought_signature": "s"}}
    assert call["a_signature"] == ["n"]
    assert call["function"] == {"name": "now", "arguments": "{}", "signature": "t"}


def test_parallel_calls_of_which_only_the_first_is_signed(scripted, way):
    """Gemini 3 signs only the first; the others are sent back as calls too, not as text."""
    made = [{"id": str(n), "function": {"name": "now", "arguments": "{}"}} for n in range(2)]
    made[0]["extra_content"] = {"google": {"thought_signature": "s"}}
    server = scripted({"message": {"tool_calls": made}}, {"message": {"content": "Done."}})
    first = way.prompt("call", tools=TOOLS)
    restored = llm.Response.from_dict(json.loads(json.dumps(first.to_dict())))
    restored.reply(tools=TOOLS).text()

    _, call, *results = server.requests[1].json()["messages"]
    assert [each.get("extra_content") for each in call["tool_calls"]] == [
        {"google": {"thought_signature": "s"}},
        None,
    ]
    assert [result["tool_call_id"] for result in results] == ["0", "1"]


@pytest.mark.parametrize("after", [[], [{"content": ""}], [{"tool_calls": []}]], ids=repr)
def test_the_signature_of_a_text_is_sent_back(scripted, way, after):
    signed = {"extra_content": {"google": {"thought_signature": "s"}}}
    message = {"content": "Hello there", **signed, "refusal": None}
    deltas = [{"content": "Hello"}, {"content": " there", **signed}, *after]
    server = scripted({"message": message, "deltas": deltas}, {"message": {"content": "Done."}})

    first = way.prompt("hi")
    assert way.parts(first) == [
        {"type": "text", "text": "Hello there", "provider_metadata": {"evolink": signed}}
    ]
    way.reply(first, "more")

    assert server.requests[1].json()["messages"][1] == {
        "role": "assistant",
        "content": "Hello there",
        **signed,
    }


def test_calls_of_two_models_with_the_same_id(sandbox, way):
    """The results belong to the call before them."""
    ours = way.prompt("now", tools=TOOLS)
    (call,) = ours.tool_calls_or_raise()
    theirs = ToolCallPart("f", {}, call.tool_call_id, provider_metadata={"other": {}})
    messages = [
        llm.user("before"),
        llm.assistant(theirs),
        llm.tool_message(ToolResultPart("f", "0", call.tool_call_id)),
        *ours.prompt.messages,
        *way.resolve(ours.messages()),
        llm.tool_message(ToolResultPart("now", "noon", call.tool_call_id)),
        # A second result of a call is sent as text.
        llm.tool_message(ToolResultPart("now", "late", call.tool_call_id)),
    ]
    way.prompt(messages=messages, tools=TOOLS)

    contents = [message["content"] for message in sandbox.requests[1].body["messages"]]
    assert contents == [
        "before",
        "[called f({})]",
        "[f returned: 0]",
        "now",
        None,
        "noon",
        "[now returned: late]",
    ]
