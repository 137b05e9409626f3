"""sync_stream and asyncio_stream: what they send and yield, and what becomes of the connection."""

import asyncio
import gzip
import json
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import generated_client
from generated_client import errors, responses
from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.client import AuthenticatedClient
from generated_client.models import (
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChunkChoice,
    Delta,
    StreamOptions,
    Usage,
)
from tests import scripted_server

from .calls import TOKEN, Calls, Outcome, SyncCalls, connect, request

DONE = "data: [DONE]\n\n"
END = b"0\r\n\r\n"


def chunk(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


def event(text: str) -> str:
    """Return an event whose text is this, its JSON not escaped."""
    return f"data: {json.dumps(chunk(text), ensure_ascii=False)}\n\n"


def stream(*parts: bytes | str) -> scripted_server.Handler:
    """Return a handler that sends an event stream, each part a chunk."""

    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.chunk(*parts)
        reply.end()

    return handler


def test_asks_for_a_stream_and_keeps_the_rest_of_the_body(calls: Calls) -> None:
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
        f"Bearer {TOKEN}",
    ]


def test_yields_chunks_as_models_that_keep_unknown_fields(calls: Calls) -> None:
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
def test_reads_what_the_format_allows(
    calls: Calls, parts: list[bytes | str], texts: list[str]
) -> None:
    with scripted_server.serve(stream(*parts)) as server:
        outcomes = calls.streams(connect(server.url), 2)
    assert [(outcome.error, outcome.texts) for outcome in outcomes] == [(None, texts)] * 2
    assert server.connections == 1


def no_error(kind: type[errors.StreamError], message: str) -> errors.StreamError:
    raise AssertionError(kind, message)


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
def test_an_empty_part_changes_nothing(parts: list[bytes], found: list[str]) -> None:
    """httpx drops empty parts, a custom transport may not."""
    reader = responses.EventReader(no_error)
    assert [data for part in parts for data in reader.feed(part)] == found


def test_a_stream_that_is_not_opened_says_how_to() -> None:
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
def test_text_of_a_chunk_and_of_a_reply(chunk: dict[str, Any], text: str) -> None:
    assert generated_client.text(ChatCompletionChunk.from_dict(chunk)) == text
    reply = json.loads(json.dumps(chunk).replace("delta", "message"))
    assert generated_client.text(ChatCompletionResponse.from_dict(reply)) == text


@pytest.mark.parametrize(
    "content_type",
    ["text/event-stream", "TEXT/Event-Stream ;x=y", "text/event-stream; charset=iso-8859-1"],
)
def test_an_event_stream_is_utf_8_whatever_its_header_adds(calls: Calls, content_type: str) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, event("é") + DONE, content_type=content_type)

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert (outcome.error, outcome.texts) == (None, ["é"])


# What a server does after the event, and how many connections two streams then take.


def ends(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.send(b"%x\r\n%b\r\n" % (len(DONE), DONE.encode()) + END)


def ends_later(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE, pause=0.05)
    reply.end()


def ends_after_comments(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE, *[": ping\n\n"] * 5, pause=0.02)
    reply.end()


def ends_without_blank_line(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk("data: [DONE]\n", pause=0.05)
    reply.end()


def stays_open(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE)
    assert reply.closed(60)


def trickles(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE)
    while True:  # Until the client closes the connection.
        reply.chunk(": ping\n\n", pause=0.02)


def floods(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE)
    while True:
        reply.chunk(": " + "x" * 2**14 + "\n\n")


def is_cut(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE)
    reply.cut()


def is_reset(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    # A reset discards what the client has not read: it reads both events in one packet.
    assert read.acquire(timeout=60)
    reply.chunk(event("b") + DONE)
    assert read.acquire(timeout=60)
    reply.cut(reset=True)


def breaks_the_protocol(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.chunk(DONE)
    reply.send(b"nonsense\r\n")


Ending = Callable[[scripted_server.Reply, threading.Semaphore], None]

AFTER_DONE = [
    # The seconds that the rest may take are more than enough, or never enough.
    pytest.param(ends, 60, 1, id="ends"),
    pytest.param(ends_later, 60, 1, id="ends later"),
    pytest.param(ends_after_comments, 60, 1, id="ends after comments"),
    pytest.param(ends_without_blank_line, 60, 1, id="ends without a blank line"),
    pytest.param(stays_open, 0.05, 2, id="stays open"),
    pytest.param(trickles, 0.05, 2, id="trickles"),
    pytest.param(floods, 60, 2, id="floods"),
    pytest.param(is_cut, 60, 2, id="is cut"),
    pytest.param(is_reset, 60, 2, id="is reset"),
    pytest.param(breaks_the_protocol, 60, 2, id="breaks the protocol"),
]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(("after", "seconds", "connections"), AFTER_DONE)
def test_a_finished_stream_is_read_to_its_end_or_its_connection_is_closed(
    calls: Calls,
    after: Ending,
    seconds: float,
    connections: int,
    secure: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.event(chunk("a"))
        after(reply, read)

    read = threading.Semaphore(0)
    monkeypatch.setattr(responses, "DRAIN_SECONDS", seconds)
    tls: ssl.SSLContext | None = request.getfixturevalue("tls") if secure else None
    with scripted_server.serve(handler, tls=tls) as server:
        outcomes = calls.streams(connect(server.url), 2, on_chunk=read.release)
    texts = ["a", "b"] if after is is_reset else ["a"]
    assert [(outcome.error, outcome.texts) for outcome in outcomes] == [(None, texts)] * 2
    assert server.connections == connections


def test_the_read_time_out_after_a_stream_is_not_that_of_the_next_request(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        if len(server.requests) == 2:
            reply.pause(3 * responses.DRAIN_SECONDS)
        reply.start()
        ends(reply, threading.Semaphore(0))

    monkeypatch.setattr(responses, "DRAIN_SECONDS", 0.1)
    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2)
    assert [outcome.error for outcome in outcomes] == [None, None]


def test_streams_of_one_client_at_once_do_not_mix() -> None:
    endings = [ends, ends_without_blank_line, is_cut]

    def handler(reply: scripted_server.Reply) -> None:
        seed = reply.request.json()["seed"]
        reply.start()
        for _ in range(20):
            reply.event(chunk(str(seed)))
        endings[seed % 3](reply, threading.Semaphore(0))

    def read(seed: int) -> list[str]:
        with api.sync_stream(client=client, body=request(seed=seed)) as chunks:
            return Outcome(list(chunks)).texts

    with (
        scripted_server.serve(handler) as server,
        connect(server.url) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        results = list(pool.map(read, range(100)))
    assert results == [[str(seed)] * 20 for seed in range(100)]


@pytest.mark.parametrize("error", [None, LookupError("mine")], ids=["break", "exception"])
def test_a_stream_left_early_is_closed(calls: Calls, error: Exception | None) -> None:
    closed = threading.Event()

    def handler(reply: scripted_server.Reply) -> None:
        if len(server.requests) == 2:
            assert closed.wait(60)
        reply.start()
        reply.event(chunk("a"))
        if reply.closed(60):
            closed.set()

    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2, stop=1, error=error)
    assert [(outcome.error, outcome.texts) for outcome in outcomes] == [(error, ["a"])] * 2


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
def test_anything_but_an_event_stream_is_unexpected(
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


def test_an_endless_body_is_read_up_to_the_limit(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_event_of_another_shape_is_invalid(calls: Calls, data: str) -> None:
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
def test_an_error_in_a_stream_is_raised_after_what_precedes_it(
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
def test_an_event_with_another_name_is_no_error(name: str) -> None:
    with scripted_server.serve(stream(f"event: {name}\n{event('a')}", DONE)) as server:
        [outcome] = SyncCalls().streams(connect(server.url))
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
def test_a_stream_that_stops_before_its_end_is_an_error(
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
def test_a_stream_whose_connection_breaks_is_httpx_s_error(
    calls: Calls, reset: bool, error: type[Exception]
) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.chunk(event("a"))
        assert read.acquire(timeout=60)
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


def test_a_stream_that_stalls_is_httpx_s_error(calls: Calls) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Stalling())

    client = AuthenticatedClient(
        base_url="http://a", token=TOKEN, httpx_args={"transport": httpx.MockTransport(answer)}
    )
    [outcome] = calls.streams(client)
    assert (type(outcome.error), outcome.texts) == (httpx.ReadTimeout, ["a"])


@pytest.mark.parametrize(
    ("part", "texts"),
    [
        pytest.param(b"x" * 2**14, [], id="a line"),
        pytest.param(b": ping\n\n" * 2**11, [], id="comments"),
        pytest.param(b"data: x\n" * 2**11, [], id="an event"),
    ],
)
def test_an_endless_event_is_too_large(
    calls: Calls, part: bytes, texts: list[str], monkeypatch: pytest.MonkeyPatch
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
def test_a_stream_that_is_compressed_is_read_up_to_the_limit(
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
    assert error is None or isinstance(outcome.error, error)


def test_a_stream_that_cannot_be_decompressed_is_httpx_s_error(calls: Calls) -> None:
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, DONE, content_type="text/event-stream", content_encoding="gzip")

    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(connect(server.url))
    assert isinstance(outcome.error, httpx.DecodingError)
