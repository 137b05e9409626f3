"""OpenAI's Python client with the sandbox."""

import asyncio
import json

import httpx
import openai
import pytest
from pydantic import BaseModel

from llm_evolink.sandbox import serve
from tests.four_ways import MODEL

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
ECHO = 'This is the EvoLink sandbox, not gemini-3.5-flash. You said: "hello"'
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def client_of(server, **options):
    options = {"api_key": "sandbox", "max_retries": 0, **options}
    return openai.OpenAI(base_url=f"{server.url}/v1", **options)


@pytest.fixture(autouse=True)
def _environment(environment):
    """No proxy, and no key or base URL of OpenAI's."""


@pytest.fixture
def client(server):
    with client_of(server) as client:
        yield client


def test_a_prompt(client):
    completion = client.chat.completions.create(**HELLO)
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == (ECHO, "stop")
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (2, 17)
    assert completion._request_id


def test_a_stream(client):
    with client.chat.completions.create(
        **HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = stream
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content for choice in choices) == ECHO
    assert choices[-1].finish_reason == "stop"
    assert last.usage.completion_tokens == 17


def test_the_stream_helper_joins_the_chunks(client):
    with client.chat.completions.stream(**HELLO) as stream:
        types = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= types
    assert completion.choices[0].message.content == ECHO


def result_of(call):
    numbers = json.loads(call.function.arguments)
    return {"role": "tool", "tool_call_id": call.id, "content": str(sum(numbers.values()))}


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls_and_results(client, streamed):
    prompt = 'add {"a": 1, "b": 2} and add {"a": 3, "b": 4}'
    messages = [{"role": "user", "content": prompt}]
    if streamed:
        with client.chat.completions.stream(model=MODEL, messages=messages, tools=[ADD]) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[ADD])
        message = completion.choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["add", "add"]
    # The signature is in a field that openai does not define.
    messages.append(message.to_dict())
    messages += map(result_of, message.tool_calls)
    completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[ADD])
    assert completion.choices[0].message.content.startswith(
        "This is the EvoLink sandbox, not gemini-3.5-flash. The tool add returned: 3\n"
        "The tool add returned: 7\n"
    )


class Dog(BaseModel):
    name: str
    age: int


def test_a_reply_fits_the_schema(client):
    completion = client.chat.completions.parse(**HELLO, response_format=Dog)
    assert completion.choices[0].message.parsed == Dog(name="sandbox", age=0)


def test_the_async_client(server):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="sandbox") as client:
            completion = await client.chat.completions.create(**HELLO)
            stream = await client.chat.completions.create(**HELLO, stream=True)
            async with stream:
                text = [
                    choice.delta.content or "" async for chunk in stream for choice in chunk.choices
                ]
        return completion.choices[0].message.content, "".join(text)

    assert asyncio.run(ask()) == (ECHO, ECHO)


@pytest.mark.parametrize(
    ("options", "fields", "error", "error_type"),
    [
        ({"api_key": "invalid"}, {}, openai.AuthenticationError, "authentication_error"),
        ({}, {"model": "other"}, openai.NotFoundError, "not_found_error"),
        ({}, {"temperature": 3}, openai.BadRequestError, "invalid_request_error"),
    ],
)
def test_each_error_has_its_class(server, options, fields, error, error_type):
    with client_of(server, **options) as client, pytest.raises(error) as caught:
        client.chat.completions.create(**HELLO | fields)
    assert caught.value.type == error_type
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (502, openai.InternalServerError)],
)
def test_a_temporary_error_is_retried(status, error):
    with serve(fail=[(status, 1)]) as server, client_of(server, max_retries=1) as client:
        assert client.chat.completions.create(**HELLO).choices[0].message.content == ECHO
        assert len(server.requests) == 2
    with serve(fail=[(status, 1)]) as server, client_of(server) as client, pytest.raises(error):
        client.chat.completions.create(**HELLO)


def test_a_cut_stream_is_an_error():
    with (
        serve(cut_after=2) as server,
        client_of(server) as client,
        client.chat.completions.create(**HELLO, stream=True) as stream,
        pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)),
    ):
        list(stream)
