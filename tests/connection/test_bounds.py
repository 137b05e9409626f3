"""Limits of size and time for what a server sends."""

import gzip
import itertools
import subprocess
import sys
import tracemalloc
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from generated_client import responses
from llm_evolink import errors
from llm_evolink.connection import bounds, network, progress
from tests import scripted_server
from tests.four_ways import (
    COMPLETE,
    STREAMED,
    SYNC_STREAMED,
    Way,
    answer,
    ask,
    serving,
    way_id,
)


@pytest.fixture(autouse=True)
def _environment(environment: None) -> None:
    pass


def endless(head: dict[str, Any], part: bytes) -> scripted_server.Handler:
    def handler(reply: scripted_server.Reply) -> None:
        reply.start(**head)
        while True:
            reply.chunk(part)

    return handler


JSON = {"content_type": "application/json"}
EVENT = b'data: {"choices": [{"delta": {"content": "' + b"x" * 2**14 + b'"}}]}\n\n'


@pytest.fixture
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_REPLY_BYTES", 2**20)
    monkeypatch.setattr(bounds, "MAX_STREAM_BYTES", 2**21)
    monkeypatch.setattr(bounds, "MAX_ERROR_BYTES", 2**18)
    monkeypatch.setattr(responses, "MAX_EVENT_BYTES", 2**20)


@pytest.mark.parametrize(
    ("way", "head", "part", "line"),
    [
        pytest.param(each, head, part, line, id=f"{way_id(each)}-{name}")
        for name, ways, head, part, line in [
            ("a line", STREAMED, {}, b"x" * 2**14, "the server sent an event that is too large"),
            (
                "comments",
                STREAMED,
                {},
                b": x\n\n" * 2**12,
                "the server sent an event that is too large",
            ),
            ("events", STREAMED, {}, EVENT, "it is larger than 2 MiB"),
            ("a reply", COMPLETE, JSON, b"[" * 2**14, "it is larger than 1 MiB"),
            ("another reply", STREAMED, JSON, b"[" * 2**14, "it is larger than 1 MiB"),
            ("a stream not asked for", COMPLETE, {}, EVENT, "it is larger than 1 MiB"),
        ]
        for each in ways
    ],
)
def test_what_has_no_end_is_given_up(monkeypatch, low_bounds, way: Way, head, part, line):
    with serving(monkeypatch, endless(head, part)) as server:
        tracemalloc.start()
        outcome = ask(way)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert str(outcome.error) == f"The answer is incomplete: {line}; try again"
    assert len(server.requests) == 1
    assert peak < 20 * 2**20


@pytest.mark.parametrize("status", [400, 503])
def test_an_error_without_an_end_is_read_to_a_bound(monkeypatch, low_bounds, way: Way, status):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "1")
    with serving(monkeypatch, endless({"status": status}, b"no " * 2**12)) as server:
        outcome = ask(way)

    assert outcome.error.status_code == status
    assert str(outcome.error).startswith("no no no")
    assert len(server.requests) == {400: 1, 503: 2}[status]


@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_a_bomb_of_gzip_is_read_to_a_bound(monkeypatch, low_bounds, way: Way):
    bomb = gzip.compress(b"x" * 2**24)

    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, bomb, content_encoding="gzip")

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert str(outcome.error) == "The answer is incomplete: it is larger than 1 MiB; try again"


def test_the_bounds_are_what_security_md_says():
    assert bounds.MAX_REPLY_BYTES == 64 * 2**20
    assert bounds.MAX_STREAM_BYTES == 256 * 2**20
    assert bounds.MAX_ERROR_BYTES == 2**20
    assert responses.MAX_EVENT_BYTES == 16 * 2**20


# Compression. None is requested; a single coding is decompressed in bounded steps.


def compressed(content: bytes, coding: str, status: int = 200) -> scripted_server.Handler:
    return lambda reply: reply.respond(status, content, content_encoding=coding)


REPLY = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(REPLY)),
        ("X-Gzip", gzip.compress(REPLY)),
        ("deflate", zlib.compress(REPLY)),
        ("identity", REPLY),
    ],
    ids=["gzip", "X-Gzip", "deflate", "identity"],
)
def test_a_single_coding_is_decompressed(monkeypatch, coding, content):
    with serving(monkeypatch, compressed(content, coding)) as server:
        outcome = ask(COMPLETE[0])

    assert (outcome.text, outcome.error) == ("hi", None)
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,deflate", "br", "zstd", "x"])
def test_any_other_coding_is_refused(monkeypatch, way: Way, coding):
    with serving(monkeypatch, compressed(gzip.compress(REPLY), coding)) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.EvolinkError)
    assert f"compressed its response as '{coding}', which is not supported" in str(outcome.error)
    assert len(server.requests) == 1


def test_an_error_in_another_coding_is_still_that_error(monkeypatch, way: Way):
    with serving(monkeypatch, compressed(b"?", "br", 401)):
        outcome = ask(way)

    assert isinstance(outcome.error, errors.AuthenticationError)


BOMB = """
import resource, sys
from llm_evolink.chat import EvolinkChat
from llm_evolink.errors import EvolinkError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    EvolinkChat().prompt("hello", stream=sys.argv[1] == "stream").text()
except EvolinkError as error:
    print(type(error).__name__)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.parametrize(
    ("mode", "status", "content_type", "unit", "error"),
    [
        ("complete", 200, "application/json", b"\0", "IncompleteReplyError"),
        ("complete", 200, "application/json", b"[],", "IncompleteReplyError"),
        ("complete", 400, "application/json", b"\0", "InvalidRequestError"),
        ("stream", 200, "text/event-stream", b"\0", "IncompleteReplyError"),
    ],
)
def test_peak_memory_is_bounded(monkeypatch, mode, status, content_type, unit, error):
    packer = zlib.compressobj(wbits=31)
    part = unit * (2**20 // len(unit))
    bomb = b"".join(packer.compress(part) for _ in range(80)) + packer.flush()

    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, bomb, content_encoding="gzip", content_type=content_type)

    with serving(monkeypatch, handler):
        # Linux counts the memory of the process that starts it: a shell, not the tests.
        shell = ["sh", "-c", '"$@"; exit $?', "sh"]
        done = subprocess.run(
            [*shell, sys.executable, "-c", BOMB, mode], capture_output=True, text=True, check=True
        )

    name, peak = done.stdout.split()
    assert name == error
    assert int(peak) < 400


def test_a_reply_of_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(progress, "MAX_VALUES", 4)
    with serving(monkeypatch, answer):
        outcome = ask(COMPLETE[0])

    assert str(outcome.error) == (
        "The answer is incomplete: it has more than 4 JSON values; try again"
    )


# Time without progress. The clock advances by 400 s at each look; the read time-out is 600 s.


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(0, 400)
    clock = SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr(bounds, "time", clock)
    monkeypatch.setattr(network, "time", clock)


def repeated(head: dict[str, Any], part: str) -> scripted_server.Handler:
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


NO_PROGRESS = [
    pytest.param(repeated({}, ": ping\n\n"), SYNC_STREAMED, id="comments"),
    pytest.param(repeated({}, "\n"), SYNC_STREAMED, id="empty lines"),
    pytest.param(repeated({}, "event: ping\n\n"), SYNC_STREAMED, id="pings"),
    pytest.param(repeated({"content_type": "application/json"}, " \n"), COMPLETE[0], id="spaces"),
    pytest.param(drip, SYNC_STREAMED, id="a head byte by byte"),
    pytest.param(informational, SYNC_STREAMED, id="1xx responses"),
    pytest.param(drip, COMPLETE[1], id="a head byte by byte, async"),
    pytest.param(repeated({}, ": ping\n\n"), STREAMED[1], id="comments, async"),
]


@pytest.mark.parametrize(("handler", "way"), NO_PROGRESS)
def test_time_without_progress_ends_a_reply(monkeypatch, fast_clock, handler, way):
    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.TimedOutError
    assert len(server.requests) <= 1


@pytest.mark.parametrize("way", [SYNC_STREAMED, STREAMED[1]], ids=way_id)
def test_the_body_of_an_error_ends_in_time(monkeypatch, fast_clock, way):
    with serving(monkeypatch, repeated({"status": 401}, "no no ")) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.AuthenticationError)
    assert str(outcome.error).startswith("no no")
    assert len(server.requests) == 1


def test_data_is_progress(monkeypatch, fast_clock):
    event = 'data: {"choices": [{"delta": {"content": "hi "}}]}\n\n'

    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        for _ in range(20):
            reply.chunk(event, ": ping\n\n")
        reply.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        reply.event("[DONE]")
        reply.end()

    with serving(monkeypatch, handler):
        outcome = ask(SYNC_STREAMED)

    assert (outcome.text, outcome.error) == ("hi " * 20, None)


# Data after the response.


@pytest.mark.parametrize("way", [COMPLETE[0], SYNC_STREAMED], ids=way_id)
def test_a_response_glued_to_another_is_not_the_answer_to_the_next_prompt(monkeypatch, way):
    def glued(reply: scripted_server.Reply) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        first = f"answer {len(server.requests)}"
        body = '{"choices": [{"message": {"content": "TEXT"}, "finish_reason": "stop"}]}'
        texts = [body.replace("TEXT", text) for text in (first, "stale")]
        reply.send("".join(head.format(len(text)) + text for text in texts))

    with serving(monkeypatch, glued) as server:
        texts = [ask(way).text for _ in range(2)]

    assert texts == ["answer 1", "answer 2"]
    assert server.connections == 2
