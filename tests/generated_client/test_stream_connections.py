"""Whether a stream's connection is closed or used again, and streams at the same time."""

import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from generated_client import responses
from generated_client.api.chat_completion import create_chat_completion_quick as api
from tests import scripted_server
from tests.four_ways import Calls, Stream, connect, request
from tests.llm_process import TIMEOUT
from tests.scripted_server import DONE, chunk, event

# What a server does after the event, and how many connections two streams then take.


def ends(reply: scripted_server.Reply, read: threading.Semaphore) -> None:
    reply.send(b"%x\r\n%b\r\n" % (len(DONE), DONE.encode()) + b"0\r\n\r\n")


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
    assert reply.closed()


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
    assert read.acquire(timeout=TIMEOUT)
    reply.chunk(event("b") + DONE)
    assert read.acquire(timeout=TIMEOUT)
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
def test_a_connection_is_used_again_only_if_the_response_ends_after_done(
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


def test_the_short_read_time_out_after_done_does_not_apply_to_the_next_request(
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


def test_concurrent_streams_of_one_client_do_not_mix() -> None:
    endings = [ends, ends_without_blank_line, is_cut]

    def handler(reply: scripted_server.Reply) -> None:
        seed = reply.request.json()["seed"]
        reply.start()
        for _ in range(20):
            reply.event(chunk(str(seed)))
        endings[seed % 3](reply, threading.Semaphore(0))

    def read(seed: int) -> list[str]:
        with api.sync_stream(client=client, body=request(seed=seed)) as chunks:
            return Stream([*chunks]).texts

    with (
        scripted_server.serve(handler) as server,
        connect(server.url) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        results = list(pool.map(read, range(100)))
    assert results == [[str(seed)] * 20 for seed in range(100)]


@pytest.mark.parametrize("error", [None, LookupError("mine")], ids=["break", "exception"])
def test_leaving_a_stream_early_closes_its_connection(
    calls: Calls, error: Exception | None
) -> None:
    closed = threading.Event()

    def handler(reply: scripted_server.Reply) -> None:
        if len(server.requests) == 2:
            assert closed.wait(TIMEOUT)
        reply.start()
        reply.event(chunk("a"))
        if reply.closed():
            closed.set()

    with scripted_server.serve(handler) as server:
        outcomes = calls.streams(connect(server.url), 2, stop=1, error=error)
    assert [(outcome.error, outcome.texts) for outcome in outcomes] == [(error, ["a"])] * 2
