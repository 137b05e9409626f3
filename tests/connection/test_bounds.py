"""Limits of the size of a response, compressed or not."""

import gzip
import json
import os
import subprocess
import sys
import tracemalloc
import zlib
from typing import Any

import pytest

from generated_client import responses
from llm_evolink import errors
from llm_evolink.chat import size_limit
from llm_evolink.connection import bounds, json_values
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, Way, ask, way_id
from tests.scripted_server import answer, replying, serving

pytestmark = pytest.mark.usefixtures("environment")


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
            ("a reply", COMPLETE, JSON, b"[" + b" " * 2**14, "it is larger than 1 MiB"),
            ("another reply", STREAMED, JSON, b"[" + b" " * 2**14, "it is larger than 1 MiB"),
            ("a stream that was not requested", COMPLETE, {}, EVENT, "it is larger than 1 MiB"),
        ]
        for each in ways
    ],
)
def test_an_endless_reply_is_ended(monkeypatch, low_bounds, way: Way, head, part, line):
    with serving(monkeypatch, endless(head, part)) as server:
        tracemalloc.start()
        outcome = ask(way)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert str(outcome.error) == f"The answer is incomplete: {line}; try again"
    assert len(server.requests) == 1
    assert peak < 20 * 2**20


@pytest.mark.parametrize("status", [400, 503])
def test_an_endless_error_is_read_up_to_the_limit(monkeypatch, low_bounds, way: Way, status):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "1")
    with serving(monkeypatch, endless({"status": status}, b"no " * 2**12)) as server:
        outcome = ask(way)

    assert outcome.error.status_code == status
    assert str(outcome.error).startswith("no no no")
    assert len(server.requests) == {400: 1, 503: 2}[status]


@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_a_gzip_bomb_is_read_up_to_the_limit(monkeypatch, low_bounds, way: Way):
    bomb = gzip.compress(b"x" * 2**24)

    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, bomb, content_encoding="gzip")

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert str(outcome.error) == "The answer is incomplete: it is larger than 1 MiB; try again"


def test_the_bounds_are_what_security_md_says():
    assert bounds.MAX_REPLY_BYTES == 16 * 2**20
    assert bounds.MAX_STREAM_BYTES == 256 * 2**20
    assert bounds.MAX_ERROR_BYTES == 2**20
    assert responses.MAX_EVENT_BYTES == 16 * 2**20
    assert json_values.MAX_VALUES == 1_000_000
    assert size_limit.MAX_REPLY_MEMORY == 100 * 2**20


# Compression. None is requested; a single coding is decompressed in bounded steps.


def compressed(content: bytes, coding: str, status: int = 200) -> scripted_server.Handler:
    return replying(status, content, content_encoding=coding)


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
from llm_evolink import EvolinkChat
from llm_evolink.errors import EvolinkError

try:
    EvolinkChat("gemini-3.5-flash").prompt("hello", stream=sys.argv[1] == "stream").text()
except EvolinkError as error:
    print(type(error).__name__)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def event_of(**choice: Any) -> bytes:
    return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


WIDE_TEXT = event_of(delta={"content": "x" * 4000 + "\N{GRINNING FACE}"})
ARGUMENTS = event_of(delta={"tool_calls": [{"function": {"arguments": "[]," * 1000}}]})
LOGPROBS = event_of(delta={"content": "x"}, logprobs={"content": [{"token": "x"}] * 1000})


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
@pytest.mark.parametrize(
    ("mode", "status", "unit", "mebibytes", "error"),
    [
        pytest.param("complete", 200, b"\0", 80, "IncompleteReplyError", id="NUL"),
        pytest.param("complete", 200, b"[],", 80, "IncompleteReplyError", id="lists"),
        pytest.param("complete", 400, b"\0", 80, "InvalidRequestError", id="an error"),
        pytest.param("stream", 200, b"\0", 80, "IncompleteReplyError", id="a line"),
        pytest.param("stream", 200, WIDE_TEXT, 28, "IncompleteReplyError", id="wide text"),
        pytest.param("stream", 200, ARGUMENTS, 20, "IncompleteReplyError", id="arguments"),
        pytest.param("stream", 200, LOGPROBS, 20, "IncompleteReplyError", id="logprobs"),
    ],
)
def test_peak_memory_is_bounded(monkeypatch, mode, status, unit, mebibytes, error):
    content_type = "text/event-stream" if mode == "stream" else "application/json"
    packer = zlib.compressobj(wbits=31)
    part = unit * (2**20 // len(unit))
    bomb = b"".join(packer.compress(part) for _ in range(mebibytes)) + packer.flush()

    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, bomb, content_encoding="gzip", content_type=content_type)

    with serving(monkeypatch, handler):
        # Linux counts the memory of the process that starts it: a shell, not the tests.
        shell = ["sh", "-c", '"$@"; exit $?', "sh"]
        # And no coverage, which takes memory and minutes of its own.
        env = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        command = [*shell, sys.executable, "-c", BOMB, mode]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)

    name, peak = done.stdout.split()
    assert name == error
    assert int(peak) < 400


def test_a_reply_of_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(json_values, "MAX_VALUES", 4)
    with serving(monkeypatch, answer):
        outcome = ask(COMPLETE[0])

    assert str(outcome.error) == (
        "The answer is incomplete: it has more than 4 JSON values; try again"
    )
