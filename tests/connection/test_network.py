"""A connection on which data arrived after the response is not reused."""

import select
import socket
import threading

import pytest

from llm_evolink.connection import network
from tests import scripted_server
from tests.four_ways import COMPLETE, SYNC_STREAMED, Way, ask, way_id
from tests.llm_process import TIMEOUT
from tests.scripted_server import answer, serving

pytestmark = pytest.mark.usefixtures("environment")


def response(text: str) -> str:
    body = f'{{"choices": [{{"message": {{"content": "{text}"}}, "finish_reason": "stop"}}]}}'
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return head.format(len(body)) + body


STALE = {
    "a response": response("stale"),
    "the end of a chunk": "\r\n0\r\n\r\n",
    "one byte": "x",
    "text": "not HTTP",
}


@pytest.mark.parametrize("stale", STALE.values(), ids=STALE)
@pytest.mark.parametrize(
    "kept_back",
    [0, 1, 2, 4, 20],
    ids=lambda size: f"with the last {size} bytes" if size else "with the response",
)
def test_data_after_a_response_is_not_the_answer_to_the_next_prompt(monkeypatch, stale, kept_back):
    """The last `kept_back` bytes of the response (0: all) come in one packet with the data."""

    def with_stale_data(reply: scripted_server.Reply) -> None:
        first = response(f"answer {len(server.requests)}")
        cut = len(first) - kept_back if kept_back else 0
        reply.send(first[:cut])
        reply.send(first[cut:] + stale)

    with serving(monkeypatch, with_stale_data) as server:
        texts = [ask(COMPLETE[0]).text for _ in range(3)]

    assert texts == ["answer 1", "answer 2", "answer 3"]
    assert (len(server.requests), server.connections) == (3, 3)


def test_data_after_a_response_in_each_way(monkeypatch, way: Way):
    sent = threading.Semaphore(0)

    def with_stale_data(reply: scripted_server.Reply) -> None:
        answer(reply, f"answer {len(server.requests)}")
        reply.send(response("stale"))
        sent.release()

    texts = []
    with serving(monkeypatch, with_stale_data) as server:
        for _ in range(2):
            texts.append(ask(way).text)
            assert sent.acquire(timeout=TIMEOUT)

    assert texts == ["answer 1", "answer 2"]
    assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("way", [COMPLETE[0], SYNC_STREAMED], ids=way_id)
def test_a_connection_without_such_data_is_reused(monkeypatch, way: Way):
    with serving(monkeypatch, answer) as server:
        texts = [ask(way).text for _ in range(3)]

    assert (texts, server.connections) == (["hi"] * 3, 1)


@pytest.mark.parametrize("has_poll", [True, False], ids=["poll", "no poll, as on Windows"])
def test_whether_an_idle_connection_has_data_or_is_closed(monkeypatch, has_poll):
    if not has_poll:
        monkeypatch.delattr(select, "poll")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = network._is_readable(ours)
        theirs.send(b"x")
        after = network._is_readable(ours)

    assert (before, after, network._is_readable(ours), network._is_readable(None)) == (
        False,
        True,
        True,
        True,
    )
