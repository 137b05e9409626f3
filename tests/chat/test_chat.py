"""Prompts through the real llm, and what it logs."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import llm
import pytest
from ruamel.yaml import YAML

from generated_client import FORMER_MODELS, MODELS
from tests import scripted_server
from tests.four_ways import KEY

ROOT = Path(__file__).parents[2]
HELLO = 'This is the EvoLink sandbox, not gemini-3.5-flash. You said: "hello"'
# The sandbox counts a token for every 4 bytes, rounded up.
HELLO_USAGE = {
    "prompt_tokens": 2,
    "completion_tokens": 17,
    "total_tokens": 19,
    "prompt_tokens_details": {
        "cached_tokens": 0,
        "text_tokens": 2,
        "audio_tokens": 0,
        "image_tokens": 0,
    },
    "completion_tokens_details": {"text_tokens": 17, "audio_tokens": 0, "reasoning_tokens": 0},
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": None,
}

WAYS = [
    pytest.param([], id="streamed"),
    pytest.param(["--no-stream"], id="complete"),
    pytest.param(["--async"], id="async-streamed"),
    pytest.param(["--async", "--no-stream"], id="async-complete"),
]


@pytest.mark.parametrize("flags", WAYS)
def test_a_prompt_is_answered_and_logged(sandbox, llm_command, turns, flags):
    done = llm_command("-m", "gemini-3.5-flash", "hello", *flags)

    assert (done.stdout, done.stderr, done.returncode) == (HELLO + "\n", "", 0)
    (turn,) = turns()
    assert turn["model"] == turn["resolved_model"] == "gemini-3.5-flash"
    assert (turn["input_tokens"], turn["output_tokens"]) == (2, 17)
    assert turn["token_details"] == {
        "prompt_tokens_details": {"text_tokens": 2},
        "completion_tokens_details": {"text_tokens": 17},
    }
    log = turn["response_json"]
    assert log.pop("id").startswith("chatcmpl-")
    assert isinstance(log.pop("created"), int)
    assert log.pop("request_id")
    assert log.pop("server") == sandbox.url
    assert log == {"model": "gemini-3.5-flash", "finish_reason": "stop", "usage": HELLO_USAGE}


@pytest.mark.parametrize("flags", WAYS)
def test_the_system_prompt_is_sent(sandbox, llm_command, flags):
    llm_command("-m", "evolink/gemini-3.5-flash", "-s", "Be brief.", "hello", *flags)

    (request,) = sandbox.requests
    assert request.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]
    assert request.body.get("stream") == (None if "--no-stream" in flags else True)


def test_the_log_is_read_back_by_llm(sandbox, llm_command):
    llm_command("-m", "gemini-3.5-flash", "hello", fresh=True)

    (row,) = json.loads(llm_command("logs", "--json").stdout)

    assert (row["prompt"], row["response"]) == ("hello", HELLO)
    assert row["response_json"]["usage"] == HELLO_USAGE


def test_a_chat_of_three_turns_sends_the_earlier_messages(sandbox, llm_command, turns):
    done = llm_command(
        "chat", "-m", "gemini-3.5-flash", input="one\ntwo\nthree\nexit\n", fresh=True
    )

    assert done.returncode == 0
    assert [len(request.body["messages"]) for request in sandbox.requests] == [1, 3, 5]
    assert [m["role"] for m in sandbox.requests[2].body["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert len({turn["thread_id"] for turn in turns()}) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_python_sync(sandbox, stream):
    response = llm.get_model("gemini-3.5-flash").prompt("hello", stream=stream)

    assert response.text() == HELLO
    usage = response.usage()
    assert (usage.input, usage.output) == (2, 17)
    assert response.resolved_model == "gemini-3.5-flash"
    assert [m.to_dict() for m in response.messages()] == [
        {"role": "assistant", "parts": [{"type": "text", "text": HELLO}]}
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_python_async(sandbox, stream):
    async def main() -> tuple[str, llm.Usage]:
        response = llm.get_async_model("gemini-3.5-flash").prompt("hello", stream=stream)
        return await response.text(), await response.usage()

    text, usage = asyncio.run(main())

    assert text == HELLO
    assert (usage.input, usage.output) == (2, 17)


@pytest.mark.parametrize("stream", [True, False])
def test_python_async_events(sandbox, stream):
    async def main() -> list[str]:
        model = llm.get_async_model("gemini-3.5-flash")
        response = model.prompt("hello")
        events = model.execute(response.prompt, stream, response, None, KEY)
        return [event.chunk async for event in events]

    assert "".join(asyncio.run(main())) == HELLO


def answer(reply: scripted_server.Reply) -> None:
    reply.respond(200, {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})


def test_the_key_can_come_from_three_places(environment, llm_command, monkeypatch):
    with scripted_server.serve(answer) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        llm_command("-m", "gemini-3.5-flash", "hi")
        llm_command("keys", "set", "evolink", "--value", "sk-stored-0123456789")
        llm_command("-m", "gemini-3.5-flash", "hi")
        llm_command("-m", "gemini-3.5-flash", "hi", "--key", "sk-given-0123456789")

    assert [request.headers["authorization"] for request in server.requests] == [
        f"Bearer {KEY}",
        "Bearer sk-stored-0123456789",
        "Bearer sk-given-0123456789",
    ]


@pytest.mark.parametrize(
    "arguments",
    [["-m", "gemini-3.5-flash", "hi"], ["chat", "-m", "gemini-3.5-flash"]],
    ids=["prompt", "chat"],
)
def test_no_key_is_one_line(environment, llm_command, arguments):
    done = llm_command(*arguments, input="hi\n", env={"EVOLINK_API_KEY": ""})

    assert done.returncode == 1
    assert done.stderr == (
        "Error: No key found - add one using 'llm keys set evolink' or set the EVOLINK_API_KEY "
        "environment variable; check with: llm evolink doctor\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["-m", "gemini-3.5-flash", "hi"], ["chat", "-m", "gemini-3.5-flash"]],
    ids=["prompt", "chat"],
)
def test_an_invalid_host_name_is_one_line(environment, llm_command, arguments):
    done = llm_command(*arguments, input="hi\n", env={"EVOLINK_BASE_URL": "https://a..b"})

    assert done.returncode == 1
    assert done.stderr == (
        "Error: EVOLINK_BASE_URL is not the URL of a server, such as https://direct.evolink.ai: "
        "'https://a..b'\n"
    )


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_base_url_may_end_in_v1(sandbox, llm_command, monkeypatch, suffix):
    monkeypatch.setenv("EVOLINK_BASE_URL", sandbox.url + suffix)

    assert llm_command("-m", "gemini-3.5-flash", "hello").stdout == HELLO + "\n"


@pytest.mark.parametrize("flags", WAYS)
@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {}}], ids=repr)
def test_usage_that_was_not_sent_is_unknown_not_zero(
    environment, monkeypatch, llm_command, turns, usage, flags
):
    def without_usage(reply: scripted_server.Reply) -> None:
        choice = {"message": {"content": "hi"}, "finish_reason": "stop"}
        reply.respond(200, {"choices": [choice], **usage})

    with scripted_server.serve(without_usage) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        assert llm_command("-m", "gemini-3.5-flash", "hello", *flags).stdout == "hi\n"

    (turn,) = turns()
    assert (turn["input_tokens"], turn["output_tokens"], turn["token_details"]) == (None,) * 3


def test_the_request_fits_the_published_document(sandbox):
    """A single user message fits the document as EvoLink published it, and as we extend it."""
    llm.get_model("gemini-3.5-flash").prompt("hello").text()

    (request,) = sandbox.requests
    assert request.body == {
        "model": "gemini-3.5-flash",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    published = YAML(typ="safe").load(ROOT / "tests/regeneration/frozen/gemini-3.5-flash.yaml")
    effective = json.loads((ROOT / "generated_client" / "openapi.json").read_text())
    for document in (published, effective):
        schema = {"$ref": "#/components/schemas/ChatCompletionQuickRequest", **document}
        jsonschema.validate(request.body, schema)


def test_listing_the_models_loads_two_modules_and_no_http_client(environment):
    script = (
        "import sys, llm; llm.get_models();"
        "ours = [name for name in sys.modules if name.startswith(('llm_evolink', 'generated'))];"
        "print(*sorted(ours), *{'httpx', 'attr', 'starlette'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "generated_client llm_evolink\n"


def test_the_models_of_the_document_are_listed(environment, llm_command):
    listed = llm_command("models", "-q", "evolink").stdout

    named = {**dict.fromkeys(MODELS, ""), **dict.fromkeys(FORMER_MODELS, " (removed)")}
    assert listed == "".join(
        f"EvoLink: {name}{mark} (aliases: evolink/{name})\n" for name, mark in named.items()
    )
