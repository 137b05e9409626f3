"""A reply ends after the time-out without progress, even if bytes arrive."""

import itertools
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from llm_evolink import errors
from llm_evolink.connection import network, progress
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, SYNC_STREAMED, WAYS, Way, ask, way_id
from tests.scripted_server import answer, in_memory, serving, time_out

pytestmark = pytest.mark.usefixtures("environment")


def event(delta: dict[str, Any], **choice: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, **choice}]}).encode() + b"\n\n"


HI = event({"content": "hi"})


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def seconds_until_time_out(clock: Clock, part: bytes, *, step: float = 20.0) -> float | None:
    """Return the seconds until a response of this part every 20 s ends; None after 100 parts."""
    watched = progress.Progress(600, is_error=False)
    for _ in range(100):
        clock.seconds += step
        try:
            watched.check(part)
        except httpx.ReadTimeout:
            return clock.seconds
    return None


NO_PROGRESS = {
    "a comment": b": ping\n\n",
    "a comment with data": b': data: {"choices": [{"delta": {"content": "x"}}]}\n\n',
    "a comment about data": b": no data yet\n\n",
    "an empty line": b"\n",
    "an empty line, CR LF": b"\r\n",
    "a named event": b"event: ping\n\n",
    "a named event with empty data": b"event: ping\ndata:\n\n",
    "a ping with data": b'event: ping\ndata: {"type": "ping"}\n\n',
    "a ping of text": b"data: ping\n\n",
    "a ping, CR LF": b'data: {"type": "ping"}\r\n\r\n',
    "an empty object": b"data: {}\n\n",
    "a delay": b"retry: 3000\n\n",
    "no choices": b'data: {"id": "c", "choices": []}\n\n',
    "no choices, with usage": b'data: {"choices": [], "usage": {"prompt_tokens": 5}}\n\n',
    "null choices": b'data: {"choices": null}\n\n',
    "an empty delta": event({}),
    "no delta": b'data: {"choices": [{"index": 0}]}\n\n',
    "a delta with a role": event({"role": "assistant"}, index=0, finish_reason=None),
    "a delta of no text": event({"role": "assistant", "content": "", "reasoning_content": ""}),
    "a delta of null": event({"content": None, "tool_calls": None, "refusal": None}),
    "a tool call of nothing": event({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}),
    "not JSON": b"data: {choices\n\n",
    "nested too deep": b"data: " + b"[" * 100_000 + b"\n\n",
    "a web page": b"<p>wait</p>\n",
}


@pytest.mark.parametrize("part", NO_PROGRESS.values(), ids=NO_PROGRESS)
def test_parts_that_add_nothing_are_no_progress(clock, part):
    # The time-out, a hundredth of it, and the next part.
    assert seconds_until_time_out(clock, part) == 620


PROGRESS = {
    "text": HI,
    "text, CR LF": HI.replace(b"\n", b"\r\n"),
    "text, CR": HI.replace(b"\n", b"\r"),
    "text and a ping": HI + b": ping\n\n",
    "a ping and text": b": ping\n\n" + HI,
    "data in two lines": b'data: {"choices": [{"delta":\ndata: {"content": "hi"}}]}\n\n',
    "reasoning": event({"content": "", "reasoning_content": "Hm"}),
    "reasoning under another name": event({"reasoning": "Hm"}),
    "a refusal": event({"refusal": "No"}),
    "the name of a tool": event({"tool_calls": [{"function": {"name": "add", "arguments": ""}}]}),
    "arguments of a tool": event({"tool_calls": [{"function": {"arguments": "{"}}]}),
    "a list of content parts": event({"content": [{"type": "text", "text": "hi"}]}),
    "a message": b'data: {"choices": [{"message": {"content": "hi"}}]}\n\n',
    "the end": event({}, finish_reason="stop"),
    "JSON": b'{"choices": [',
}


@pytest.mark.parametrize("part", PROGRESS.values(), ids=PROGRESS)
def test_parts_that_add_to_the_answer_are_progress(clock, part):
    assert seconds_until_time_out(clock, part) is None


BYTE_BY_BYTE = {
    "a stream": (b"event: message\n" + event({"role": "assistant", "content": "hi" * 50})) * 9,
    "a stream, CR LF": event({"content": "hi" * 50}).replace(b"\n", b"\r\n") * 9,
    "JSON": b'  {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}',
    "JSON after a byte order mark": b'\xef\xbb\xbf{"choices": []}',
}


@pytest.mark.parametrize("body", BYTE_BY_BYTE.values(), ids=BYTE_BY_BYTE)
def test_an_answer_that_arrives_byte_by_byte_makes_progress(clock, body):
    watched = progress.Progress(600, is_error=False)
    for byte in range(len(body)):
        clock.seconds += 30
        watched.check(body[byte : byte + 1])


@pytest.mark.parametrize("part", [b'data: {"type": "ping"}\n\n', b": data: x\n\n"])
def test_pings_that_arrive_byte_by_byte_make_no_progress(clock, part):
    watched = progress.Progress(600, is_error=False)

    def check_for_ever() -> None:
        for byte in itertools.cycle(part):
            clock.seconds += 30
            watched.check(bytes([byte]))

    with pytest.raises(httpx.ReadTimeout):
        check_for_ever()
    assert clock.seconds < 600 + 30 * (len(part) + 2)


def test_pings_after_a_part_of_the_answer_end_in_time(clock):
    watched = progress.Progress(600, is_error=False)
    clock.seconds = 599
    watched.check(HI)
    watched.check(HI[:9])
    watched.check(HI[9:])
    clock.seconds = 1204
    watched.check(b": ping\n\n")
    clock.seconds = 1206
    with pytest.raises(httpx.ReadTimeout):
        watched.check(b": ping\n\n")


def test_an_error_has_to_be_complete_within_the_time_out(clock):
    watched = progress.Progress(600, is_error=True)
    clock.seconds = 600
    watched.check(HI)
    clock.seconds = 601
    with pytest.raises(httpx.ReadTimeout):
        watched.check(b'{"error"')


def test_without_a_time_out_nothing_ends(clock):
    watched = progress.Progress(None, is_error=True)
    clock.seconds = 1e9
    watched.check(b"x")


# The read time-out.


@pytest.mark.parametrize(
    ("variable", "option", "seconds"),
    [(None, None, 600), ("30", None, 30), ("30", "1.5", 1.5), (None, 86400, 86400)],
)
def test_an_option_or_the_environment_sets_the_time_out(monkeypatch, variable, option, seconds):
    if variable:
        monkeypatch.setenv("EVOLINK_TIMEOUT", variable)
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1")
    requests = in_memory(monkeypatch, time_out)
    for way in WAYS:
        error = ask(way, timeout=option).error
        assert str(error).startswith(f"No progress from 127.0.0.1 for {seconds:g} s; ")

    limits = [request.extensions["timeout"] for request in requests]
    assert limits == [{"connect": 10, "read": seconds, "write": seconds, "pool": None}] * 4


def test_a_time_out_of_one_prompt_keeps_the_connection(monkeypatch):
    with serving(monkeypatch, answer) as server:
        texts = [ask(SYNC_STREAMED, timeout=timeout).text for timeout in (None, 5, 7)]

    assert (texts, server.connections) == (["hi"] * 3, 1)


# Through the model. Each reading of the clock advances it by 400 s; the time-out is 600 s.


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0, 400)
    clock = SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(network, "time", clock)


def repeated(head: dict[str, Any], part: bytes | str) -> scripted_server.Handler:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start(**head)
        while True:
            reply.chunk(part)

    return handler


def drip(reply: scripted_server.Reply) -> None:
    for character in "HTTP/1.1 200 OK\r\nX-Long: " + "x" * 1000:
        reply.send(character)
    reply.closed()


def informational(reply: scripted_server.Reply) -> None:
    while True:
        reply.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


@pytest.mark.parametrize(
    ("handler", "way"),
    [
        *(
            pytest.param(repeated({}, ": no data\n\n"), way, id=f"comments-{way_id(way)}")
            for way in [*STREAMED, *COMPLETE]
        ),
        pytest.param(repeated({}, event({"content": ""})), SYNC_STREAMED, id="empty deltas"),
        pytest.param(
            repeated({"content_type": "application/json"}, " \n"), COMPLETE[0], id="white space"
        ),
        pytest.param(drip, SYNC_STREAMED, id="a head byte by byte"),
        pytest.param(drip, COMPLETE[1], id="a head byte by byte, async"),
        pytest.param(informational, SYNC_STREAMED, id="1xx responses"),
    ],
)
def test_time_without_progress_ends_a_prompt(monkeypatch, fast_clock, handler, way: Way):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")
    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.TimedOutError
    assert str(outcome.error) == (
        "No progress from 127.0.0.1 for 600 s; the request may have been billed; try again, or "
        "allow more seconds with -o timeout or EVOLINK_TIMEOUT"
    )
    assert len(server.requests) <= 1


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_the_body_of_an_error_ends_in_time(monkeypatch, fast_clock, way: Way):
    with serving(monkeypatch, repeated({"status": 401}, "no no ")) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.AuthenticationError)
    assert str(outcome.error).startswith("no no")
    assert len(server.requests) == 1


def test_an_answer_among_pings_is_complete(monkeypatch, fast_clock):
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        for _ in range(20):
            reply.chunk(HI, ": ping\n\n")
        reply.chunk(event({}, finish_reason="stop"), "data: [DONE]\n\n")
        reply.end()

    with serving(monkeypatch, handler):
        outcome = ask(SYNC_STREAMED)

    assert (outcome.text, outcome.error) == ("hi" * 20, None)
