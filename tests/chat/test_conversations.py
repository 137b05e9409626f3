"""Conversations: earlier messages are sent again, and the system prompt is sent once."""

import importlib.metadata
import json

import llm
import pytest
from llm.parts import ReasoningPart, TextPart, ToolCallPart, ToolResultPart

from generated_client import models
from llm_evolink.errors import InvalidRequestError
from tests.four_ways import INTRODUCTION, MODEL, Way, one_way

ONE = f'{INTRODUCTION} You said: "one"'
SYSTEM_ONE = f'{ONE}\nSystem prompt: "Old"\nMessages: system, user.'


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def sent(server):
    """Return the messages of the last request."""
    return server.requests[-1].body["messages"]


def test_a_conversation_sends_the_earlier_messages(sandbox, way):
    conversation = way.model.conversation()
    way.prompt("one", on=conversation, system="Old")
    way.prompt("two", on=conversation)

    assert sent(sandbox) == [system("Old"), user("one"), assistant(SYSTEM_ONE), user("two")]


def test_a_complete_reply_is_decoded_once(sandbox, monkeypatch, way):
    decoded = []
    from_dict = models.ChatCompletionResponse.from_dict
    monkeypatch.setattr(
        models.ChatCompletionResponse,
        "from_dict",
        lambda data: decoded.append(data) or from_dict(data),
    )
    way.prompt("one")

    assert len(decoded) == (not way.stream)


def test_a_reply_sends_the_earlier_messages(sandbox, way):
    first = way.prompt("one")
    second = way.reply(first, "two")
    way.reply(second, "three")

    assert [message["role"] for message in sent(sandbox)] == ["user", "assistant"] * 2 + ["user"]
    assert sent(sandbox)[:2] == [user("one"), assistant(ONE)]


def test_a_conversation_from_the_database_sends_the_same_messages(sandbox, llm_command, turns):
    way = Way(asynchronous=False, stream=True)
    conversation = way.model.conversation()
    way.prompt("one", on=conversation, system="Old")
    way.prompt("two", on=conversation)
    live = sent(sandbox)

    llm_command("-m", MODEL, "-s", "Old", "one")
    llm_command("-m", MODEL, "another conversation")
    first_thread = turns()[0]["thread_id"]
    llm_command("--cid", first_thread, "two")

    assert sent(sandbox) == live
    assert [turn["thread_id"] == first_thread for turn in turns()] == [True, False, True]


def test_a_new_system_prompt_replaces_the_old_at_the_command_line(sandbox, llm_command):
    llm_command("-m", MODEL, "-s", "Old", "one")
    llm_command("-c", "-s", "New", "two", "--async")
    assert sent(sandbox)[:2] == [system("New"), user("one")]

    llm_command("-c", "three")
    assert [message["role"] for message in sent(sandbox)].count("system") == 1
    assert sent(sandbox)[0] == system("New")


def test_a_new_system_prompt_replaces_the_old_in_python(sandbox, way):
    first = way.prompt("one", system="Old")
    second = way.reply(first, "two", system="New")
    assert sent(sandbox) == [system("New"), user("one"), assistant(SYSTEM_ONE), user("two")]

    way.reply(second, "three")
    assert sent(sandbox)[0] == system("New")
    assert [message["role"] for message in sent(sandbox)].count("system") == 1


def test_a_system_prompt_comes_before_a_history_without_one(sandbox, way):
    way.prompt(messages=[llm.user("one"), llm.assistant("1"), llm.user("two")], system="New")

    assert sent(sandbox) == [system("New"), user("one"), assistant("1"), user("two")]


def test_a_system_prompt_alone_is_not_a_prompt(sandbox, way):
    with pytest.raises(InvalidRequestError, match=r"^The prompt is empty"):
        way.prompt(system="Old")

    assert sandbox.requests == []


@pytest.mark.parametrize("options", [{"prompt": ""}, {"prompt": " \n"}, {"messages": []}])
def test_an_empty_prompt_is_refused(sandbox, way, options):
    with pytest.raises(InvalidRequestError, match=r"^The prompt is empty"):
        way.prompt(**options)

    assert sandbox.requests == []


def test_an_empty_prompt_is_refused_at_the_command_line(sandbox, llm_command):
    done = llm_command("-m", MODEL, " ")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: The prompt is empty: there is nothing to send\n"
    assert sandbox.requests == []


def test_empty_messages_of_a_history_are_left_out(sandbox, way):
    way.prompt(messages=[llm.user("one"), llm.assistant(""), llm.user(" "), llm.user("two")])

    assert sent(sandbox) == [user("one"), user("two")]


def test_a_saved_response_can_be_continued(sandbox, way):
    saved = json.dumps(way.prompt("one", system="Old").to_dict())
    response_class = llm.AsyncResponse if way.asynchronous else llm.Response
    way.reply(response_class.from_dict(json.loads(saved)), "two")

    assert sent(sandbox) == [system("Old"), user("one"), assistant(SYSTEM_ONE), user("two")]


# Parts of another model's turn, and the messages that are sent for them.
FOREIGN = [
    pytest.param(
        [TextPart("Hi.", provider_metadata={"gemini": {"thoughtSignature": "x"}})],
        [assistant("Hi.")],
        id="metadata",
    ),
    pytest.param([ReasoningPart("Hm."), TextPart("Hi.")], [assistant("Hi.")], id="reasoning"),
    pytest.param([ReasoningPart("Hm.")], [], id="reasoning-alone"),
    pytest.param(
        [
            ToolCallPart("search", {"q": "x"}, "s1", server_executed=True),
            ToolResultPart("search", "found", "s1", server_executed=True),
            TextPart("Found."),
        ],
        [assistant("Found.")],
        id="server-executed",
    ),
    pytest.param(
        [TextPart("Let me see."), ToolCallPart("add", {"a": 1, "b": "ä"}, "c1")],
        [assistant('Let me see.\n[called add({"a": 1, "b": "ä"})]')],
        id="call",
    ),
    pytest.param(
        [ToolCallPart("add", {}, "c1"), ToolCallPart("sub", {}, "c2")],
        [assistant("[called add({})]\n[called sub({})]")],
        id="calls-alone",
    ),
]


IMAGE = llm.parts.AttachmentPart(attachment=llm.Attachment(url="https://images.example/cat.png"))
SENT_IMAGE = user([{"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}])
FOREIGN += [
    pytest.param([TextPart("Hi."), IMAGE], [assistant("Hi."), SENT_IMAGE], id="image"),
    pytest.param([IMAGE], [SENT_IMAGE], id="image-alone"),
]


@pytest.mark.parametrize(("parts", "messages"), FOREIGN)
@one_way
def test_the_parts_of_another_models_answer_are_sent_as_text(sandbox, way, parts, messages):
    way.prompt(messages=[llm.user("one"), llm.assistant(*parts), llm.user("two")])

    assert sent(sandbox) == [user("one"), *messages, user("two")]


def test_an_image_of_the_model_does_not_separate_a_call_from_its_results(scripted, way):
    server = scripted({"message": {"role": "assistant", "content": "2"}})
    call = ToolCallPart("add", {}, "c1", provider_metadata={"evolink": {}})
    result = llm.tool_message(ToolResultPart("add", "2", "c1"))
    way.prompt(messages=[llm.user("one"), llm.assistant(call, IMAGE), result])

    messages = server.requests[0].json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "user"]
    assert messages[3] == SENT_IMAGE


def test_the_result_of_another_models_call_is_sent_as_text(sandbox, way):
    history = [
        llm.user("one"),
        llm.assistant(ToolCallPart("add", {"a": 1}, "c1"), ToolCallPart("sub", {}, "c2")),
        llm.tool_message(ToolResultPart("add", "2", "c1"), ToolResultPart("sub", "0", "c2")),
        llm.tool_message(ToolResultPart("web", "page", "s1", server_executed=True)),
    ]
    way.prompt(messages=history)

    texts = [{"type": "text", "text": text} for text in ("[add returned: 2]", "[sub returned: 0]")]
    assert sent(sandbox)[2:] == [user(texts)]


def test_a_conversation_with_another_model_is_continued(
    sandbox, scripted, llm_command, user_path, turns
):
    """The other model is one of llm's own class for OpenAI, which keeps no signature."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    call = {"id": "c1", "type": "function", "function": {"name": "llm_version", "arguments": "{}"}}
    other = scripted(
        {"message": {"role": "assistant", "tool_calls": [call]}, "usage": usage},
        {"message": {"role": "assistant", "content": "It is 1."}, "usage": usage},
    )
    user_path.mkdir()
    (user_path / "extra-openai-models.yaml").write_text(
        f"- {{model_id: other, model_name: other, api_base: {other.url}/v1, supports_tools: true,"
        " api_key_name: other}\n"
    )
    (user_path / "keys.json").write_text('{"other": "sk-other"}')
    done = llm_command("-m", "other", "-T", "llm_version", "one", "--no-stream")
    assert (done.stdout, done.stderr) == ("It is 1.\n", "")

    done = llm_command("-c", "-m", MODEL, "two", env={"EVOLINK_BASE_URL": sandbox.url})

    assert done.stderr == ""
    assert [turn["model"] for turn in turns()] == ["other", "other", MODEL]
    version = importlib.metadata.version("llm")
    assert sent(sandbox) == [
        user("one"),
        assistant("[called llm_version({})]"),
        user(f"[llm_version returned: {version}]"),
        assistant("It is 1."),
        user("two"),
    ]


def test_fragments_and_templates(sandbox, llm_command, tmp_path):
    (tmp_path / "notes.txt").write_text("From a file.")
    llm_command("-m", MODEL, "-s", "Old", "-o", "seed", "7", "About $topic", "--save", "about")

    llm_command("-t", "about", "-p", "topic", "cats", "-f", str(tmp_path / "notes.txt"))

    (request,) = sandbox.requests
    assert request.body["messages"] == [system("Old"), user("From a file.\nAbout cats")]
    assert request.body["seed"] == 7


def test_a_code_block_is_extracted(sandbox, llm_command):
    done = llm_command("-m", MODEL, "-x", "Say:\n```python\nprint(1)\n```\n")

    assert done.stdout == "print(1)\n\n"


def test_usage_and_json_are_shown(sandbox, llm_command):
    done = llm_command("-m", MODEL, "-u", "one")
    assert done.stdout == ONE + "\n"
    assert done.stderr == (
        'Token usage: 1 input, 17 output, {"prompt_tokens_details": {"text_tokens": 1}, '
        '"completion_tokens_details": {"text_tokens": 17}}\n'
    )

    (row,) = json.loads(llm_command("-m", MODEL, "--json", "one").stdout)
    assert (row["model"], row["prompt"], row["response"]) == (MODEL, "one", ONE)
    assert row["response_json"]["finish_reason"] == "stop"


MULTIPLY = "def multiply(a: int, b: int) -> int:\n    return a * b\n"


@pytest.mark.parametrize("flags", [[], ["--async", "--no-stream"]], ids=["sync", "async"])
def test_a_cut_answer_continues_after_tools(sandbox, llm_command, turns, flags):
    """The sandbox refuses a call that comes back without its thought signature."""
    tools = ["--functions", MULTIPLY, "-o", "max_tokens", "4"]
    done = llm_command("-m", MODEL, 'multiply {"a": 6, "b": 7}', *tools, *flags)
    assert (done.returncode, done.stdout) == (0, "This is the EvoL\n")
    assert "continue it with llm -c 'continue'" in done.stderr

    done = llm_command("-c", "continue", *flags)

    assert (done.returncode, done.stderr) == (0, "")
    _, call, result, cut, prompt = sent(sandbox)
    assert call["tool_calls"][0]["extra_content"]["google"]["thought_signature"]
    assert [result["role"], result["content"]] == ["tool", "42"]
    assert [cut, prompt] == [assistant("This is the EvoL"), user("continue")]
    assert len({turn["thread_id"] for turn in turns()}) == 1


def test_a_cut_answer_continues_with_the_signature_of_its_text(scripted, llm_command):
    signed = {"content": "Half", "extra_content": {"google": {"thought_signature": "s"}}}
    server = scripted(
        {"message": {"role": "assistant", **signed}, "finish_reason": "length"},
        {"message": {"role": "assistant", "content": " and half."}},
    )
    llm_command("-m", MODEL, "one")
    done = llm_command("-c", "continue")

    assert (done.returncode, done.stdout, done.stderr) == (0, " and half.\n", "")
    assert server.requests[1].json()["messages"] == [
        user("one"),
        {"role": "assistant", **signed},
        user("continue"),
    ]
