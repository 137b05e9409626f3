"""Streams that break off, end early or stall, and answers that the caller stops reading."""

import asyncio
import json
from typing import Any

import httpx
import llm
import pytest

from llm_evolink import AsyncEvolinkChat, EvolinkChat, errors
from llm_evolink.connection import network
from llm_evolink.constants import MODEL_ID
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, SYNC_STREAMED, Outcome, Way, ask, way_id
from tests.scripted_server import STREAM_EVENTS, Body, answer, event_stream, in_memory, serving

HI = {"choices": [{"delta": {"content": "Hi"}}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
ALLOW_MORE = "try again, or allow more seconds with -o timeout or EVOLINK_TIMEOUT"
NO_PROGRESS = f"no progress from 127.0.0.1 for 600 s; {ALLOW_MORE}"
BROKEN = (
    "the connection broke (peer closed connection without sending complete message body "
    "(incomplete chunked read)); try again"
)

streamed = pytest.mark.parametrize("way", STREAMED, ids=way_id)
complete = pytest.mark.parametrize("way", COMPLETE, ids=way_id)


pytestmark = pytest.mark.usefixtures("environment")


def error_event(reply: scripted_server.Reply) -> None:
    error = {"message": "Out of luck", "code": 500, "type": "oops", "param": "seed"}
    reply.events(HI, {"error": error}, HI, "[DONE]")


def cut_in_a_chunk(reply: scripted_server.Reply) -> None:
    reply.start()
    reply.event(HI)
    reply.send(b'40\r\ndata: {"choices": [')
    reply.cut()


def reset(reply: scripted_server.Reply) -> None:
    reply.start()
    reply.event(HI)
    reply.wait_until_read()
    reply.cut(reset=True)


def cut_after_the_finish(reply: scripted_server.Reply) -> None:
    reply.start()
    reply.event(HI)
    reply.event(STOP)
    reply.cut()


BROKEN_STREAMS = [
    pytest.param(
        error_event,
        errors.IncompleteReplyError,
        "Out of luck; try again (status 500, param seed)",
        id="an error event",
    ),
    pytest.param(
        event_stream(HI, {"error": "Out of luck"}),
        errors.IncompleteReplyError,
        "Out of luck; try again",
        id="an error event of text",
    ),
    pytest.param(
        event_stream(HI, '{"choices": [', "[DONE]"),
        errors.IncompleteReplyError,
        "the server sent an event that cannot be decoded; try again",
        id="not JSON",
    ),
    pytest.param(
        event_stream(HI, "[DONE]"),
        errors.IncompleteReplyError,
        "the server stopped before it reported the end (no finish_reason); try again",
        id="no finish_reason",
    ),
    pytest.param(
        event_stream(HI),
        errors.IncompleteReplyError,
        "the server stopped before it reported the end; try again",
        id="a clean end too early",
    ),
    pytest.param(cut_in_a_chunk, errors.IncompleteReplyError, BROKEN, id="cut in a chunk"),
    pytest.param(
        reset,
        errors.IncompleteReplyError,
        "the connection broke (",  # Then what the system calls it.
        id="reset",
    ),
    pytest.param(
        cut_after_the_finish, errors.IncompleteReplyError, BROKEN, id="cut after finish_reason"
    ),
]


@streamed
@pytest.mark.parametrize(("handler", "error_type", "line"), BROKEN_STREAMS)
def test_a_stream_that_breaks_off(monkeypatch, way: Way, handler, error_type, line):
    with serving(monkeypatch, handler) as server:
        outcome = ask(way, on_text=server.client_read.set)

    check_broken_off(outcome, error_type, line)
    assert len(server.requests) == 1


def check_broken_off(outcome: Outcome, error_type: type[Exception], line: str) -> None:
    assert outcome.text == "Hi"
    assert type(outcome.error) is error_type
    assert str(outcome.error).startswith(f"The answer is incomplete: {line}")
    assert outcome.error.__context__ is outcome.error.__cause__ is None
    # A second read sends no request, and does not take a part for the complete answer.
    assert (type(outcome.second_read), str(outcome.second_read)) == (error_type, str(outcome.error))


@streamed
@pytest.mark.parametrize("pings", [0, 5], ids=["stall", "stall after pings"])
def test_a_stream_that_stalls(monkeypatch, way: Way, pings):
    event = b"data: %b\n\n" % json.dumps(HI).encode()
    body = Body(event, *[b": ping\n\n"] * pings, httpx.ReadTimeout(""))
    headers = {"content-type": "text/event-stream"}
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1")
    requests = in_memory(monkeypatch, lambda _: httpx.Response(200, headers=headers, stream=body))
    outcome = ask(way)

    check_broken_off(outcome, errors.TimedOutError, NO_PROGRESS)
    assert len(requests) == 1


def test_a_server_that_sends_nothing_before_the_timeout(monkeypatch):
    """The only case that waits for a real time-out; no event has to occur before it."""
    with serving(monkeypatch, lambda reply: reply.closed()):
        outcome = ask(SYNC_STREAMED, timeout=0.2)

    assert type(outcome.error) is errors.TimedOutError
    assert str(outcome.error) == (
        f"No progress from 127.0.0.1 for 0.2 s; the request may have been billed; {ALLOW_MORE}"
    )


@pytest.mark.parametrize("flags", [[], ["--async"]], ids=["sync", "async"])
def test_a_stream_that_breaks_off_at_the_command_line(monkeypatch, llm_command, turns, flags):
    with serving(monkeypatch, cut_in_a_chunk):
        done = llm_command("-m", "gemini-3.5-flash", "hi", *flags)

    assert (done.stdout, done.returncode) == ("Hi", 1)
    assert done.stderr == f"Error: The answer is incomplete: {BROKEN}\n"
    assert turns() == []


@streamed
@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([], "The answer is incomplete: the server stopped before it reported the end"),
        (["[DONE]"], "EvoLink sent a reply with nothing in it"),
        ([{"choices": []}, "[DONE]"], "EvoLink sent a reply with nothing in it"),
    ],
    ids=["nothing", "nothing but the end", "no choices"],
)
def test_an_empty_stream(monkeypatch, way: Way, events, line):
    with serving(monkeypatch, event_stream(*events)):
        outcome = ask(way)

    assert str(outcome.error) == f"{line}; try again"
    assert outcome.text == ""


def test_an_answer_that_the_caller_stopped_reading_is_not_requested_again(monkeypatch):
    with serving(monkeypatch, event_stream(HI, *STREAM_EVENTS)) as server:
        response = EvolinkChat(MODEL_ID).prompt("hi")
        assert next(iter(response)) == "Hi"
        lines = []
        for _ in range(2):
            with pytest.raises(errors.IncompleteReplyError) as raised:
                response.text()
            lines.append(str(raised.value))

    assert lines == ["The answer is incomplete: the caller stopped reading it; try again"] * 2
    assert len(server.requests) == 1


class AlarmError(Exception):
    """An exception of the caller's own, of a signal handler."""


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, AlarmError])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_whose_wait_was_interrupted_is_not_requested_again(
    monkeypatch, interruption, stream
):
    read = network.RecordingStream.read

    def interrupt(*arguments: Any, **named: Any) -> bytes:
        read(*arguments, **named)  # The server has the request.
        raise interruption

    with serving(monkeypatch, answer) as server:
        response = EvolinkChat(MODEL_ID).prompt("hi", stream=stream)
        with monkeypatch.context() as patch:
            patch.setattr(network.RecordingStream, "read", interrupt)
            with pytest.raises(interruption):
                response.text()
        with pytest.raises(errors.IncompleteReplyError) as raised:
            response.text()

    assert str(raised.value) == (
        "The answer is incomplete: the caller stopped reading it; try again"
    )
    assert len(server.requests) == 1


def test_a_second_reader_of_an_async_answer_leaves_it_to_the_first(monkeypatch):
    async def main() -> list[Any]:
        response = AsyncEvolinkChat(MODEL_ID).prompt("hi")
        return await asyncio.gather(response.text(), response.usage(), return_exceptions=True)

    with serving(monkeypatch, answer) as server:
        text, refused = asyncio.run(main())

    assert (text, len(server.requests)) == ("hi", 1)
    assert repr(refused) == "RuntimeError('the response is already being read by another task')"


def test_an_async_answer_that_the_caller_stopped_reading_can_be_read_on(monkeypatch):
    async def main() -> str:
        response = AsyncEvolinkChat(MODEL_ID).prompt("hi")
        async for _ in response:
            break
        return await response.text()

    with serving(monkeypatch, event_stream(HI, *STREAM_EVENTS)) as server:
        assert asyncio.run(main()) == "Hihi"

    assert len(server.requests) == 1


async def close(response: llm.AsyncResponse) -> None:
    events = response.astream_events()
    await anext(events)
    await events.aclose()


async def cancel(response: llm.AsyncResponse) -> None:
    read = asyncio.Event()

    async def events() -> None:
        async for _ in response.astream_events():
            read.set()

    task = asyncio.create_task(events())
    await read.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [close, cancel])
def test_an_async_answer_that_was_closed_or_cancelled_is_incomplete(monkeypatch, leave):
    async def main() -> list[str]:
        response = AsyncEvolinkChat(MODEL_ID).prompt("hi")
        await leave(response)
        lines = []
        for _ in range(2):
            with pytest.raises(errors.IncompleteReplyError) as raised:
                await response.text()
            lines.append(str(raised.value))
        return lines

    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.event(HI)
        assert reply.closed()

    with serving(monkeypatch, handler) as server:
        lines = asyncio.run(main())

    assert lines == ["The answer is incomplete: the caller stopped reading it; try again"] * 2
    assert len(server.requests) == 1


@complete
def test_a_reply_cut_short(monkeypatch, way: Way):
    body = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})

    def handler(reply: scripted_server.Reply) -> None:
        reply.head(200, content_type="application/json", content_length=len(body) + 1)
        reply.send(body)
        reply.cut()

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert outcome.text == ""
    assert "peer closed connection without sending complete message body" in str(outcome.error)


@complete
def test_a_reply_that_cannot_be_decompressed(monkeypatch, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, b"not gzip at all", content_encoding="gzip")

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.BadReplyError
    assert str(outcome.error) == (
        "The server's response is not valid gzip (Error -3 while decompressing data: incorrect "
        "header check)"
    )
    assert outcome.error.may_be_billed
    assert len(server.requests) == 1


def test_a_connection_attempt_times_out_after_10_seconds(monkeypatch, way: Way):
    def connect(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("", request=request)

    monkeypatch.setenv("EVOLINK_BASE_URL", "https://192.0.2.1")
    requests = in_memory(monkeypatch, connect)
    outcome = ask(way)

    assert str(outcome.error).startswith("Cannot reach 192.0.2.1")
    assert [request.extensions["timeout"]["connect"] for request in requests] == [10]
