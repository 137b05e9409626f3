"""The sandbox's replies as event streams."""

import asyncio
import json
import queue
from types import SimpleNamespace

import httpx
import pytest

from generated_client.api.chat_completion import create_chat_completion_quick as operation
from generated_client.client import AuthenticatedClient
from generated_client.models.chat_completion_quick_request import ChatCompletionQuickRequest
from llm_evolink.sandbox import route, serve
from llm_evolink.sandbox.reply import event_stream
from tests.four_ways import MODEL, chunks_of, client_of, message_of, post_to, text_of, tool
from tests.llm_process import TIMEOUT

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def choices_of(response):
    return [choice for chunk in chunks_of(response) for choice in chunk["choices"]]


def test_a_stream_holds_the_text_in_tokens(post):
    choices = choices_of(post(stream=True))
    assert choices[0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "finish_reason": None,
    }
    assert choices[1]["delta"] == {"content": "This"}
    assert "".join(choice["delta"]["content"] for choice in choices) == text_of(post())
    assert [choice["finish_reason"] for choice in choices] == [None] * 17 + ["stop"]


def test_all_chunks_have_the_same_id_model_and_time(post):
    heads = [
        {key: chunk[key] for key in ("id", "object", "model", "created")}
        for chunk in chunks_of(post(stream=True))
    ]
    assert heads[0]["object"] == "chat.completion.chunk"
    assert all(head == heads[0] for head in heads)


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_usage_is_streamed_only_on_request(post, options):
    assert all("usage" not in chunk for chunk in chunks_of(post(stream=True, **options)))


def test_usage_is_the_last_chunk_and_has_no_choices(post):
    *others, last = chunks_of(post(stream=True, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"] == post().json()["usage"]
    assert all("usage" not in chunk for chunk in others)


def test_reasoning_is_streamed_before_the_text(post):
    deltas = [choice["delta"] for choice in choices_of(post(stream=True, reasoning_effort="low"))]
    names = [list(delta)[-1] for delta in deltas]
    assert names == ["content"] + ["reasoning_content"] * 14 + ["content"] * 17
    thought = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert thought == message_of(post(reasoning_effort="low"))["reasoning_content"]


def test_a_tool_call_is_streamed_name_first(post):
    fields = {"messages": 'add {"a": 100}, add {"a": 2}', "tools": [tool("add")]}
    (first, other) = message_of(post(**fields))["tool_calls"]
    choices = choices_of(post(**fields, stream=True))
    assert choices[0]["delta"] == {"role": "assistant", "content": None}
    assert [choice["delta"]["tool_calls"][0] for choice in choices[1:4]] == [
        {"index": 0, **first, "function": {"name": "add", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": " 100}"}},
    ]
    assert choices[4]["delta"]["tool_calls"][0]["id"] == other["id"]
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["tool_calls"]


def test_each_chunk_has_the_index_of_its_choice(post):
    choices = choices_of(post(stream=True, n=2, max_tokens=1))
    assert [(choice["index"], choice["finish_reason"]) for choice in choices] == [
        (0, None),
        (0, "length"),
        (1, None),
        (1, "length"),
    ]


def test_logprobs_are_in_the_chunks_of_their_tokens(post):
    choices = choices_of(post(stream=True, logprobs=True))
    tokens = [
        (choice["delta"]["content"], choice["logprobs"]["content"][0]["token"])
        for choice in choices
        if "logprobs" in choice
    ]
    assert tokens == [(token, token) for token in ("This", " is ", "the ", "EvoL", "ink ")]


def test_a_long_text_is_streamed_completely(post):
    response = post("x" * 4_000, stream=True)
    assert sum(len(choice["delta"]["content"]) for choice in choices_of(response)) == 4_063


def test_the_generated_client_reads_complete_replies_and_streams(server):
    client = AuthenticatedClient(base_url=server.url, token="sandbox")
    request = ChatCompletionQuickRequest.from_dict(BODY)
    with client:
        reply = operation.sync(client=client, body=request)
        with operation.sync_stream(client=client, body=request) as chunks:
            streamed = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert reply.choices[0].message.content == streamed
    assert streamed.startswith("This is the EvoLink sandbox")


@pytest.fixture
def delays(monkeypatch):
    """The seconds for which the sandbox delays an answer or an event; nothing sleeps."""
    seconds = []

    async def sleep(delay):
        seconds.append(delay)

    for module in (event_stream, route):
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    return seconds


def test_each_event_is_followed_by_the_chunk_delay(delays):
    with serve(chunk_delay=0.5) as server, client_of(server) as client:
        events = chunks_of(post_to(client, stream=True, max_tokens=4))
    assert delays == [0, *[0.5] * (len(events) + 1)]


def test_each_response_is_preceded_by_the_latency(delays):
    with serve(latency=3) as server, client_of(server) as client:
        post_to(client, model="unknown")
    assert delays == [3]


@pytest.mark.parametrize("cut_after", [0, 1, 3, 18])
@pytest.mark.parametrize("chunk_delay", [0, 0.001])
def test_a_connection_is_dropped_after_cut_after_chunks(cut_after, chunk_delay):
    lines = []
    with (
        serve(cut_after=cut_after, chunk_delay=chunk_delay) as server,
        client_of(server) as client,
        client.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True}) as response,
    ):
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):  # noqa: PT012
            for line in response.iter_lines():
                lines.append(line)  # noqa: PERF402 - keep what came before the end
        assert response.status_code == 200
    assert [json.loads(line[6:])["object"] for line in lines if line] == [
        "chat.completion.chunk"
    ] * cut_after


def test_a_stream_shorter_than_cut_after_is_complete():
    with serve(cut_after=19) as server, client_of(server) as client:
        assert len(choices_of(post_to(client, stream=True))) == 18
        assert post_to(client).status_code == 200


def test_a_garbled_stream_has_one_invalid_event():
    with serve(garble=True) as server, client_of(server) as client:
        response = client.post("/v1/chat/completions", json={**BODY, "stream": True})
    events = [event.removeprefix("data: ") for event in response.text.split("\n\n")]
    assert events[-2:] == ["[DONE]", ""]
    for number, event in enumerate(events[:-2]):
        if number == 2:
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                json.loads(event)
        else:
            json.loads(event)


def test_a_stream_ends_when_its_client_disconnects():
    lines: queue.Queue[str] = queue.Queue()
    with serve(chunk_delay=3600, log=lines.put) as server, client_of(server) as client:
        body = {**BODY, "stream": True, "messages": [{"role": "user", "content": "x" * 40_000}]}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            next(response.iter_lines())
        line = lines.get(timeout=TIMEOUT)
    assert line.startswith("POST /v1/chat/completions 200 10000+10016 tokens ")
    assert line.endswith(" ms stream")


def test_many_streams_run_concurrently():
    async def first_line(client: httpx.AsyncClient, started: asyncio.Barrier) -> str:
        body = {**BODY, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            line = await anext(response.aiter_lines())
            await started.wait()
            return line

    async def run(url: str) -> list[str]:
        headers = {"Authorization": "Bearer a"}
        started = asyncio.Barrier(20)
        async with httpx.AsyncClient(
            base_url=url, headers=headers, trust_env=False, timeout=TIMEOUT
        ) as client:
            return await asyncio.gather(*(first_line(client, started) for _ in range(20)))

    with serve(chunk_delay=3600) as server:  # None of them ends before the others began.
        lines = asyncio.run(run(server.url))
    assert all(line.startswith("data: {") for line in lines)
