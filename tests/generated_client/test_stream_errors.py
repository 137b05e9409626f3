"""Responses that are no event stream, invalid events, and streams that break off."""

import asyncio
import gzip
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from generated_client import errors, responses, text
from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.client import AuthenticatedClient
from generated_client.models import ChatCompletionChunk
from generated_client.responses import AsyncEventStream, EventStream
from tests import scripted_server
from tests.four_ways import KEY, SYNC_CALLS, Calls, connect, request
from tests.llm_process import TIMEOUT
from tests.scripted_server import DONE, event, stream

PAGE = b"<html>" + b"x" * 10_000_000


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        pytest.param(200, "application/json", b'{"choices": []}', id="JSON"),
        pytest.param(200, "text/event-streams", DONE.encode(), id="nearly the name"),
        pytest.param(201, "text/event-stream", DONE.encode(), id="events with another status"),
        pytest.param(204, "text/event-stream", b"", id="no content"),
        pytest.param(307, "text/html", b"moved", id="redirect"),
        pytest.param(401, "application/json", b'{"error": {}}', id="error"),
        pytest.param(502, "text/html", PAGE, id="10 MB of HTML"),
        pytest.param(520, "text/html", b"\xff\x00", id="unknown status, not UTF-8"),
        pytest.param(599, "text/event-stream", b"", id="empty"),
    ],
)
def test_a_response_that_is_not_an_event_stream_raises_unexpected_response(
    calls: Calls, status: int, content_type: str, body: bytes
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        if status == 204:
            reply.head(204, content_type=content_type)
        else:
            reply.respond(status, body, content_type=content_type, x_request_id="abc")

    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2)
    for outcome in outcomes:
        error = outcome.error
        assert isinstance(error, errors.UnexpectedResponse)
        assert (error.status_code, error.content) == (status, body)
        assert error.headers["content-type"] == content_type
        assert error.headers.get("x-request-id") == (None if status == 204 else "abc")
        size = f"status {status}, {content_type}, {len(body)} bytes"
        request_id = "" if status == 204 else " (request abc)"
        assert str(error) == f"Unexpected response: {size}{request_id}"
    assert server.connections == 1


def test_an_endless_error_body_is_read_up_to_the_limit(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", 100_000)

    def handler(reply: scripted_server.Reply) -> None:
        reply.start(500, content_type="text/html")
        while True:
            reply.chunk(b"x" * 2**16)

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert isinstance(outcome.error, errors.UnexpectedResponse)
    assert outcome.error.content == b"x" * 100_000


DEEP = '{"a":' * 100_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("{", id="not JSON"),
        pytest.param("[done]", id="not quite the end"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="an array"),
        pytest.param('"x"', id="a string"),
        pytest.param('{"choices": 5}', id="choices are a number"),
        pytest.param('{"choices": [5]}', id="a choice is a number"),
        pytest.param('{"choices": [null]}', id="a choice is null"),
        pytest.param('{"choices": [{"delta": "x"}]}', id="a delta is a string"),
        pytest.param('{"usage": "x"}', id="usage is a string"),
        pytest.param('{"usage": 0}', id="usage is a number"),
        pytest.param('{"choices": [{"delta": {"tool_calls": [7]}}]}', id="a call is a number"),
        pytest.param(DEEP, id="deep nesting"),
        pytest.param('{"created": ' + "1" * 5000 + "}", id="a number with 5,000 digits"),
    ],
)
def test_an_event_that_is_not_a_chunk_raises_invalid_event(calls: Calls, data: str) -> None:
    with scripted_server.serve(stream(event("a"), f"data: {data}\n\n", DONE)) as server:
        [outcome] = calls.streams(connect(server.url))
    assert outcome.texts == ["a"]
    assert isinstance(outcome.error, errors.InvalidEvent)
    assert outcome.error.data == data
    size = f"{len(data)} characters"
    assert str(outcome.error) == f"An event of the stream is not what was expected ({size})"


LUCK = {"message": "Out of luck", "code": 500}


@pytest.mark.parametrize(
    ("events", "error", "message"),
    [
        pytest.param(f"data: {json.dumps({'error': LUCK})}", LUCK, ": Out of luck", id="object"),
        pytest.param('data: {"error": "No luck"}', "No luck", ": No luck", id="text"),
        pytest.param('data: {"error": {}, "choices": "x"}', {}, "", id="empty object"),
        pytest.param('data: {"error": ""}', "", "", id="empty text"),
        pytest.param(f"data: [{json.dumps({'error': LUCK})}]", LUCK, ": Out of luck", id="list"),
        pytest.param(
            f"event: error\ndata: {json.dumps(LUCK)}", LUCK, ": Out of luck", id="named, object"
        ),
        pytest.param(
            f"event:error\ndata: {json.dumps({'error': LUCK})}", LUCK, ": Out of luck", id="named"
        ),
        pytest.param("data: Busy\nevent: error", "Busy", ": Busy", id="named, plain text"),
        pytest.param('event: error\ndata: "Busy"', "Busy", ": Busy", id="named, JSON text"),
    ],
)
def test_an_error_event_is_raised_after_the_chunks_before_it(
    calls: Calls, events: str, error: Any, message: str
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(
            200,
            f"{event('a')}event: ping\n\n{event('b')}{events}\n\n{event('c')}{DONE}",
            content_type="text/event-stream",
            x_request_id="abc",
        )

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert outcome.texts == ["a", "b"]
    assert isinstance(outcome.error, errors.ErrorEvent)
    assert outcome.error.error == error
    assert (outcome.error.status_code, outcome.error.request_id) == (200, "abc")
    what = "The server reported an error inside the stream"
    assert str(outcome.error) == f"{what}{message} (request abc)"


@pytest.mark.parametrize("name", ["errors", "message", ""])
def test_an_event_with_another_name_is_read_as_a_chunk(name: str) -> None:
    with scripted_server.serve(stream(f"event: {name}\n{event('a')}", DONE)) as server:
        [outcome] = SYNC_CALLS.streams(connect(server.url))
    assert (outcome.error, outcome.texts) == (None, ["a"])


@pytest.mark.parametrize(
    ("handler", "texts"),
    [
        pytest.param(stream(), [], id="empty"),
        pytest.param(stream(": ping\n\n"), [], id="comments"),
        pytest.param(stream(event("a")), ["a"], id="no end"),
        pytest.param(stream(event("a"), event("b")[:9]), ["a"], id="half"),
        pytest.param(stream(event("a"), event("b")[:-1]), ["a"], id="nearly"),
    ],
)
def test_a_stream_without_done_raises_incomplete_stream(
    calls: Calls, handler: scripted_server.Handler, texts: list[str]
) -> None:
    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2)
    found = [(type(outcome.error), outcome.texts) for outcome in outcomes]
    assert found == [(errors.IncompleteStream, texts)] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    ("reset", "error"), [(False, httpx.RemoteProtocolError), (True, httpx.ReadError)]
)
def test_a_broken_connection_raises_the_error_of_httpx(
    calls: Calls, reset: bool, error: type[Exception]
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.chunk(event("a"))
        assert read.acquire(timeout=TIMEOUT)
        reply.cut(reset=reset)

    read = threading.Semaphore(0)
    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2, on_chunk=read.release)
    assert [(type(outcome.error), outcome.texts) for outcome in outcomes] == [(error, ["a"])] * 2
    assert server.connections == 2


class Stalling(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that sends one event, and no data within the read time-out after it."""

    def __iter__(self) -> Iterator[bytes]:
        yield event("a").encode()
        raise httpx.ReadTimeout("no data")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def test_a_read_time_out_raises_the_error_of_httpx(calls: Calls) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Stalling())

    client = AuthenticatedClient(
        base_url="http://a", token=KEY, httpx_args={"transport": httpx.MockTransport(answer)}
    )
    [outcome] = calls.streams(client)
    assert (type(outcome.error), outcome.texts) == (httpx.ReadTimeout, ["a"])


INTERRUPTED = "An earlier error or cancellation interrupted the stream"


def test_an_interrupted_stream_does_not_look_complete(calls: Calls) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Stalling())

    found: list[str] = []

    def read_on(chunks: EventStream[ChatCompletionChunk]) -> None:
        events = iter(chunks)
        for again in (events, events, events, chunks, chunks):
            try:
                found.extend(map(text, again))
            except (httpx.ReadTimeout, errors.IncompleteStream) as error:
                found.append(str(error))

    async def aread_on(chunks: AsyncEventStream[ChatCompletionChunk]) -> None:
        for _ in range(6):
            try:
                found.append(text(await anext(chunks)))
            except (httpx.ReadTimeout, errors.IncompleteStream) as error:
                found.append(str(error))

    async def stream_on() -> None:
        async with api.asyncio_stream(client=client, body=request()) as chunks:
            await aread_on(chunks)
        assert [chunk async for chunk in chunks] == []

    client = AuthenticatedClient(
        base_url="http://a", token=KEY, httpx_args={"transport": httpx.MockTransport(answer)}
    )
    if calls.asynchronous:
        asyncio.run(stream_on())
    else:
        with api.sync_stream(client=client, body=request()) as chunks:
            read_on(chunks)
        assert list(chunks) == []
    assert found == ["a", "no data", *[INTERRUPTED] * 4]


def test_a_stream_does_not_look_complete_after_a_cancelled_wait() -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield event("a").encode()
            waiting.set()
            await asyncio.Event().wait()

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Silent())

    async def interrupt() -> None:
        async with api.asyncio_stream(client=client, body=request()) as chunks:
            assert text(await anext(chunks)) == "a"
            task = asyncio.ensure_future(anext(chunks))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(errors.IncompleteStream, match=INTERRUPTED):
                await anext(chunks)

    client = AuthenticatedClient(
        base_url="http://a", token=KEY, httpx_args={"transport": httpx.MockTransport(answer)}
    )
    waiting = asyncio.Event()
    asyncio.run(interrupt())


def test_an_error_after_the_end_of_a_stream_does_not_make_it_incomplete(calls: Calls) -> None:
    class Ending(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield (event("a") + DONE).encode()
            raise KeyboardInterrupt

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Ending())

    async def read() -> None:
        async with api.asyncio_stream(client=client, body=request()) as chunks:
            assert text(await anext(chunks)) == "a"
            with pytest.raises(KeyboardInterrupt):
                await anext(chunks)
            assert [chunk async for chunk in chunks] == []

    client = AuthenticatedClient(
        base_url="http://a", token=KEY, httpx_args={"transport": httpx.MockTransport(answer)}
    )
    if calls.asynchronous:
        asyncio.run(read())
        return
    with api.sync_stream(client=client, body=request()) as chunks:
        assert text(next(iter(chunks))) == "a"
        with pytest.raises(KeyboardInterrupt):
            next(iter(chunks))
        assert list(chunks) == []


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"x" * 2**14, id="a line"),
        pytest.param(b": ping\n\n" * 2**11, id="comments"),
        pytest.param(b"data: x\n" * 2**11, id="an event"),
    ],
)
def test_an_endless_event_raises_event_too_large(
    calls: Calls, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_EVENT_BYTES", 2**20)

    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        while True:
            reply.chunk(part)

    with scripted_server.serve(handler) as server:
        tracemalloc.start()
        [outcome] = calls.streams(connect(server.url))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(outcome.error, errors.EventTooLarge)
    assert peak < 20 * 2**20


@pytest.mark.parametrize(
    ("events", "texts", "error"),
    [
        pytest.param((event("a") + DONE).encode(), ["a"], None, id="small"),
        pytest.param(b"x" * 2**25, [], errors.EventTooLarge, id="a bomb"),
    ],
)
def test_a_compressed_stream_is_decompressed_up_to_the_limit(
    calls: Calls, events: bytes, texts: list[str], error: type[Exception] | None
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start(content_encoding="gzip")
        reply.chunk(packed)
        reply.end()

    packed = gzip.compress(events, 1)
    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert outcome.texts == texts
    assert type(outcome.error) is (error or type(None))


def test_a_stream_that_cannot_be_decompressed_raises_the_error_of_httpx(calls: Calls) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, DONE, content_type="text/event-stream", content_encoding="gzip")

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert isinstance(outcome.error, httpx.DecodingError)
