"""sync_stream and asyncio_stream: the request they send and the chunks they yield."""

import asyncio
import json
from typing import Any

import pytest

import generated_client
from generated_client import errors, responses
from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.models import (
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChunkChoice,
    Delta,
    StreamOptions,
    Usage,
)
from tests import scripted_server
from tests.four_ways import KEY, Calls, connect, request
from tests.scripted_server import DONE, chunk, event, stream


def test_the_request_asks_for_a_stream_and_keeps_the_other_fields(calls: Calls) -> None:
    body = request(
        stream=False, stream_options=StreamOptions(include_usage=True), temperature=0.5, seed=1
    )
    body["extra"] = {"kept": True}
    before = body.to_dict()
    with scripted_server.serve(stream(DONE)) as server:
        [outcome] = calls.streams(connect(server.url), body=body)
    assert outcome.error is None
    assert body.to_dict() == before
    [sent] = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.json() == {
        "model": "gemini-3.5-flash",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "seed": 1,
        "extra": {"kept": True},
    }
    names = ("accept", "accept-encoding", "content-type", "authorization")
    assert [sent.headers[name] for name in names] == [
        "text/event-stream, application/json",
        "identity",
        "application/json",
        f"Bearer {KEY}",
    ]


def test_chunks_are_models_that_keep_unknown_fields(calls: Calls) -> None:
    events = [
        {"id": "1", "choices": [{"index": 0, "delta": {"content": "Hi", "new": 1}}], "extra": 2},
        {"choices": [{"delta": {}, "finish_reason": "a new reason"}]},
        {"choices": [], "usage": {"prompt_tokens": 3}},
        {"choices": None, "usage": None},
        {"choices": [{"delta": None}]},
        {"choices": [], "error": None},
    ]
    first = ChunkChoice(index=0, delta=Delta(content="Hi"))
    assert isinstance(first.delta, Delta)
    first.delta["new"] = 1
    chunks = [
        ChatCompletionChunk(id="1", choices=[first]),
        ChatCompletionChunk(choices=[ChunkChoice(delta=Delta(), finish_reason="a new reason")]),
        ChatCompletionChunk(choices=[], usage=Usage(prompt_tokens=3)),
        ChatCompletionChunk(choices=None, usage=None),
        ChatCompletionChunk(choices=[ChunkChoice(delta=None)]),
        ChatCompletionChunk(choices=[], error=None),
    ]
    chunks[0]["extra"] = 2
    with scripted_server.serve(lambda reply: reply.events(*events, "[DONE]")) as server:
        [outcome] = calls.streams(connect(server.url))
    assert (outcome.chunks, outcome.error) == (chunks, None)
    assert [chunk.to_dict() for chunk in outcome.chunks] == events


def split(text: str, size: int = 1) -> list[bytes]:
    data = text.encode()
    return [data[start : start + size] for start in range(0, len(data), size)]


PRETTY = "".join(f"data: {line}\n" for line in json.dumps(chunk("Hi"), indent=1).split("\n"))


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        pytest.param([event("a"), event("b"), DONE], ["a", "b"], id="one event a packet"),
        pytest.param([event("a") + event("b") + DONE], ["a", "b"], id="all in one packet"),
        pytest.param([DONE], [], id="nothing but the end"),
        pytest.param([event("a"), DONE, event("b")], ["a"], id="an event after the end"),
        pytest.param([event("a").replace("\n", "\r\n"), DONE], ["a"], id="CR LF"),
        pytest.param([(event("a") + event("b") + DONE).replace("\n", "\r")], ["a", "b"], id="CR"),
        pytest.param(split((event("a") + DONE).replace("\n", "\r\n")), ["a"], id="CR LF by byte"),
        pytest.param(split((event("a") + DONE).replace("\n", "\r")), ["a"], id="CR by byte"),
        pytest.param(split(event("한국어 🎉") + DONE), ["한국어 🎉"], id="UTF-8 by byte"),
        pytest.param(split(event("한국어 🎉") + DONE, 3), ["한국어 🎉"], id="UTF-8 by three bytes"),
        pytest.param(
            [event("\u2028\u2029\x85\x0b\x1c"), DONE], ["\u2028\u2029\x85\x0b\x1c"], id="U+2028"
        ),
        pytest.param(["\ufeff" + event("a"), DONE], ["a"], id="byte order mark"),
        pytest.param(split("\ufeff" + event("a") + DONE), ["a"], id="byte order mark by byte"),
        pytest.param(
            [event("a"), "\ufeff" + event("b"), event("c"), DONE],
            ["a", "c"],
            id="byte order mark after the start",
        ),
        pytest.param([PRETTY + "\n", DONE], ["Hi"], id="data in many lines"),
        pytest.param([event("x" * 5_000_000), DONE], ["x" * 5_000_000], id="5 MB"),
        pytest.param([": hello\n\n:\n", event("a"), ":\n\n", DONE], ["a"], id="comments"),
        pytest.param(["\n\n\r\n", event("a"), "\n\n", DONE], ["a"], id="blank lines"),
        pytest.param(["data\n\ndata:\n\ndata:  \n\n", event("a"), DONE], ["a"], id="empty data"),
        pytest.param(["event: ping\n\n", event("a"), DONE], ["a"], id="ping"),
        pytest.param(
            [f"id: 7\nevent: message\nretry: 10\nother: x\n{event('a')}", "\n", DONE],
            ["a"],
            id="other fields",
        ),
        pytest.param([event("a").replace(": ", ":", 1), "data:[DONE]\n\n"], ["a"], id="no blank"),
        pytest.param([event("a"), "data: [DONE] \n\n"], ["a"], id="blank after the end"),
        pytest.param([event("a"), "data:  [DONE]\t\n\n"], ["a"], id="blanks around the end"),
        pytest.param([event("a"), "data: [DONE]\n"], ["a"], id="no blank line after the end"),
        pytest.param([event("a"), "data: [DONE]"], ["a"], id="no newline after the end"),
        pytest.param([event("a").encode().replace(b'"a"', b'"\xff"'), DONE], ["�"], id="not UTF-8"),
    ],
)
def test_each_form_that_the_event_stream_format_allows_is_decoded(
    calls: Calls, parts: list[bytes | str], texts: list[str]
) -> None:
    with scripted_server.serve(stream(*parts)) as server:
        outcomes = calls.streams(connect(server.url), 2)
    assert [(outcome.error, outcome.texts) for outcome in outcomes] == [(None, texts)] * 2
    assert server.connections == 1


def no_error(error_class: type[errors.StreamError], message: str) -> errors.StreamError:
    raise AssertionError(error_class, message)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        pytest.param([b"data: a\r", b"", b"\ndata: b\r\n\r\n"], ["a\n b"], id="within an event"),
        pytest.param([b"data: a\r\n\r", b"", b"\ndata: b\r\n\r\n"], ["a", "b"], id="between"),
        pytest.param([b"data: a\r", b"", b"", b"\r", b"data: b\n\n"], ["a", "b"], id="CR CR"),
        pytest.param([b"data: a\r", b"\n", b"\r\n"], ["a"], id="a newline alone"),
        pytest.param([b"", b"\xef\xbb", b"", b"\xbfdata: a\n\n"], ["a"], id="byte order mark"),
        pytest.param([b"\n\xef\xbb\xbfdata: a\n\n"], [], id="byte order mark in the second line"),
    ],
)
def test_an_empty_part_is_ignored(parts: list[bytes], found: list[str]) -> None:
    """httpx drops empty parts, a custom transport may not."""
    reader = responses.EventReader(no_error)
    assert [data for part in parts for data in reader.feed(part)] == found


def test_the_error_of_an_unopened_stream_shows_how_to_open_it() -> None:
    client = connect("http://127.0.0.1:9")
    message = (
        "the request is not sent yet: open the stream with `with stream as events:`, "
        "and iterate over events inside"
    )
    stream = api.sync_stream(client=client, body=request())
    for use in (iter, list, lambda stream: stream.headers):
        with pytest.raises(RuntimeError) as raised:
            use(stream)
        assert str(raised.value) == message

    async def iterate() -> None:
        async for _ in api.asyncio_stream(client=client, body=request()):
            pass

    with pytest.raises(RuntimeError) as raised:
        asyncio.run(iterate())
    assert str(raised.value) == message.replace("`with", "`async with")
    with pytest.raises(RuntimeError):
        asyncio.run(anext(api.asyncio_stream(client=client, body=request())))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ({"choices": [{"delta": {"content": "Hi"}}]}, "Hi"),
        ({"choices": [{"index": 1, "delta": {"content": "b"}}, {"delta": {"content": "a"}}]}, "a"),
        ({"choices": [{"index": 1, "delta": {"content": "b"}}]}, ""),
        ({"choices": [{"delta": {"content": None}}]}, ""),
        ({"choices": [{"delta": {"content": 5}}]}, ""),
        ({"choices": [{"delta": {}}]}, ""),
        ({"choices": [{"delta": None}]}, ""),
        ({"choices": [{}]}, ""),
        ({"choices": [], "usage": {"prompt_tokens": 3}}, ""),
        ({"choices": None}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_text_returns_the_content_of_a_chunk_or_a_response(
    chunk: dict[str, Any], text: str
) -> None:
    assert generated_client.text(ChatCompletionChunk.from_dict(chunk)) == text
    reply = json.loads(json.dumps(chunk).replace("delta", "message"))
    assert generated_client.text(ChatCompletionResponse.from_dict(reply)) == text


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream", "TEXT/Event-Stream ;x=y", "text/event-stream; charset=iso-8859-1"],
)
def test_an_event_stream_is_decoded_as_utf_8_with_any_content_type_parameter(
    calls: Calls, content_type: str
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, event("é") + DONE, content_type=content_type)

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert (outcome.error, outcome.texts) == (None, ["é"])
