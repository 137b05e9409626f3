"""Tools: offered, called and answered, through llm's chains."""

import asyncio
import json

import llm
import pytest
from llm.parts import ToolResultPart

from llm_evolink import errors
from tests.chat.test_images import PNG, data_url
from tests.four_ways import INTRODUCTION, MODEL


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def upper(text: str) -> str:
    """Return the text in upper case."""
    return text.upper()


def now() -> str:
    return "noon"


async def slowly(seconds: int) -> str:
    """Take a while."""
    await asyncio.sleep(0)
    return f"waited {seconds}"


def broken(text: str) -> str:
    """Fail."""
    raise ValueError(f"no {text} here")


class Notes(llm.Toolbox):
    """Keep notes."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def add(self, note: str) -> str:
        """Keep a note."""
        self.kept.append(note)
        return f"{len(self.kept)} kept"


def draw(of: str) -> llm.ToolOutput:
    """Draw a picture."""
    return llm.ToolOutput(f"a {of}", attachments=[llm.Attachment(content=PNG, type="image/png")])


def not_a_number(a: float = float("nan")) -> str:
    return "x"


def test_a_default_that_json_has_no_number_for_is_refused(sandbox, way):
    with pytest.raises(errors.InvalidRequestError) as raised:
        way.prompt("hi", tools=[not_a_number])

    assert str(raised.value) == (
        "A tool, the schema or an option holds NaN or infinity, which JSON has no number for"
    )
    assert sandbox.requests == []


def result_messages(server):
    """Return the last request's results of tools, in order."""
    messages = server.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] == "tool"]


def call_ids(message):
    return [call["id"] for call in message["tool_calls"]]


def test_a_tool_is_offered_as_it_is_declared(sandbox, way):
    way.prompt("hello", tools=[multiply, now])

    number = {"type": "integer"}
    assert sandbox.requests[0].body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "multiply",
                "description": "Multiply two numbers.",
                "parameters": {
                    "properties": {"a": number, "b": number},
                    "required": ["a", "b"],
                    "type": "object",
                },
            },
        },
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"properties": {}, "type": "object"}},
        },
    ]


# Prompt, tools, and the results that are sent to the model.
CHAINS = [
    pytest.param('multiply {"a": 6, "b": 7}', [multiply], ["42"], id="one"),
    pytest.param("now", [now], ["noon"], id="no-parameters"),
    pytest.param(
        'multiply {"a": 2, "b": 3} upper {"text": "ä"} multiply {"a": 4, "b": 5}',
        [multiply, upper],
        ["6", "Ä", "20"],
        id="parallel",
    ),
    pytest.param(
        'multiply {"a": 2, "b": 3} then upper {"text": "b"} then now',
        [multiply, upper, now],
        ["6", "B", "noon"],
        id="rounds",
    ),
    pytest.param('slowly {"seconds": 2} now', [slowly, now], ["waited 2", "noon"], id="async-tool"),
    pytest.param('Notes_add {"note": "a"}', [Notes], ["1 kept"], id="toolbox"),
    pytest.param('broken {"text": "cat"}', [broken], ["Error: no cat here"], id="raises"),
]


@pytest.mark.parametrize(("prompt", "tools", "results"), CHAINS)
def test_a_chain_answers_from_the_results(sandbox, way, prompt, tools, results):
    tools = [tool() if isinstance(tool, type) else tool for tool in tools]
    text = way.chain(prompt, tools=tools)

    assert result_messages(sandbox) == results
    assert text.startswith(f"{INTRODUCTION} The tool ")
    assert f"returned: {results[-1]}" in text


def test_each_result_names_its_call(sandbox, way):
    way.chain('upper {"text": "a"} now', tools=[upper, now])

    _, call, first, second = sandbox.requests[1].body["messages"]
    assert (call["role"], call["content"]) == ("assistant", None)
    assert call_ids(call) == [first["tool_call_id"], second["tool_call_id"]]
    assert [each["function"]["name"] for each in call["tool_calls"]] == ["upper", "now"]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"text": "a"}


def test_a_chain_keeps_system_prompt_options_and_tools(sandbox, way):
    way.chain("now", tools=[now], system="Be brief.", options={"seed": 7})

    first, second = (request.body for request in sandbox.requests)
    assert second["messages"][:2] == first["messages"]
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (second["seed"], second["tools"]) == (7, first["tools"])


def test_a_chain_has_a_limit(sandbox, way):
    conversation = way.model.conversation(tools=[now], chain_limit=2)
    with pytest.raises(ValueError, match="Chain limit of 2 exceeded"):
        way.chain("now then now then now", on=conversation)

    assert len(sandbox.requests) == 2


def test_an_unknown_tool_is_reported_to_the_model(scripted, way):
    call = {"id": "c1", "function": {"name": "fly", "arguments": "{}"}}
    server = scripted({"message": {"tool_calls": [call]}}, {"message": {"content": "Sorry."}})

    assert way.chain("fly", tools=[now]) == "Sorry."
    assert server.requests[1].json()["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": 'Error: tool "fly" does not exist',
    }


def test_a_reply_runs_the_tools(sandbox, way):
    first = way.prompt("now", tools=[now])
    assert [(call.name, call.arguments) for call in first.tool_calls_or_raise()] == [("now", {})]

    second = way.reply(first)

    assert second.text_or_raise() == (
        f"{INTRODUCTION} The tool now returned: noon\nMessages: user, assistant, tool.\nTools: now."
    )


def test_results_that_a_caller_gives_are_sent(sandbox, way):
    conversation = way.model.conversation(tools=[now])
    first = way.prompt("now", on=conversation, tools=[now])
    (call,) = first.tool_calls_or_raise()
    result = llm.ToolResult("now", "midnight", tool_call_id=call.tool_call_id)
    way.prompt(on=conversation, tool_results=[result], tools=[now])

    assert result_messages(sandbox) == ["midnight"]


def test_a_call_without_a_result_is_sent_as_text(sandbox, way):
    conversation = way.model.conversation()
    way.prompt("now", on=conversation, tools=[now])
    way.prompt("Never mind.", on=conversation)

    assert sandbox.requests[1].body["messages"] == [
        {"role": "user", "content": "now"},
        {"role": "assistant", "content": "[called now({})]"},
        {"role": "user", "content": "Never mind."},
    ]


DRAWN = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": data_url(PNG)}}],
}


def test_an_image_that_a_tool_returns_follows_its_result(sandbox, way):
    text = way.chain('draw {"of": "cat"} now', tools=[draw, now])

    *_, drawn, time, image = sandbox.requests[1].body["messages"]
    assert [drawn["content"], time["content"], image] == ["a cat", "noon", DRAWN]
    assert "Image 1: image/png, 3x2 pixels" in text


def test_an_image_within_a_result_follows_all_results(sandbox, way):
    """prompt(tool_results=…) makes such messages, and so does a history written by hand."""
    first = way.prompt('draw {"of": "cat"} now', tools=[draw, now])
    drawn, time = first.tool_calls_or_raise()
    attachment = llm.Attachment(content=PNG, type="image/png")
    messages = [
        *first.prompt.messages,
        *way.resolve(first.messages()),
        llm.tool_message(
            ToolResultPart("draw", "a cat", drawn.tool_call_id, attachments=[attachment])
        ),
        llm.tool_message(ToolResultPart("now", "noon", time.tool_call_id)),
    ]
    way.prompt(messages=messages)

    *_, first_result, second_result, image = sandbox.requests[1].body["messages"]
    assert [first_result["content"], second_result["content"]] == ["a cat", "noon"]
    assert image == DRAWN


def test_a_paused_chain_is_resumed(sandbox, way):
    """The pause comes in the second round, after one of two calls was answered."""
    allowed = []

    def ask_first(what: str) -> str:
        if not allowed:
            raise llm.PauseChain("ask someone")
        return f"{what} allowed"

    prompt = 'now then upper {"text": "a"} ask_first {"what": "trip"}'
    tools = [now, upper, ask_first]
    conversation = way.model.conversation()
    with pytest.raises(llm.PauseChain) as pause:
        way.chain(prompt, on=conversation, tools=tools)
    assert [result.output for result in pause.value.tool_results] == ["A"]
    last = conversation.responses[-1]
    kept = [message.to_dict() for message in last.prompt.messages + way.resolve(last.messages())]
    done = llm.tool_message(
        *(ToolResultPart(r.name, r.output, r.tool_call_id) for r in pause.value.tool_results)
    )

    allowed.append(True)
    history = [llm.Message.from_dict(message) for message in json.loads(json.dumps(kept))]
    text = way.chain(messages=[*history, done], tools=tools)

    assert result_messages(sandbox) == ["noon", "A", "trip allowed"]
    assert "The tool ask_first returned: trip allowed" in text
    assert len(sandbox.requests) == 3


def test_tools_of_the_command_line(sandbox, llm_command, turns):
    functions = "def double(n: int) -> int:\n    return 2 * n\n"
    prompt = 'double {"n": 21} then llm_version'
    done = llm_command(
        "-m", MODEL, "--functions", functions, "-T", "llm_version", prompt, fresh=True
    )

    assert done.returncode == 0
    assert result_messages(sandbox)[0] == "42"
    assert "The tool llm_version returned: 0." in done.stdout
    assert [turn["response_json"]["finish_reason"] for turn in turns()] == [
        "tool_calls",
        "tool_calls",
        "stop",
    ]

    again = llm_command("-c", "--async", "--functions", functions, 'double {"n": 1}')
    assert again.returncode == 0
    assert result_messages(sandbox)[-1] == "2"
