"""Failover to the next server when the first cannot be reached or keeps failing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from llm_evolink import errors
from llm_evolink.connection import failover, retry, settings
from tests import scripted_server
from tests.four_ways import Way, ask
from tests.scripted_server import UNREACHABLE, answer, in_memory, replying, time_out

RETRIES = 1


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", str(RETRIES))
    monkeypatch.setattr(failover, "_answered", {})


Servers = Callable[..., list[scripted_server.Server]]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """Serve with these handlers, as the servers of the document."""
    with ExitStack() as stack:

        def start(*handlers: scripted_server.Handler) -> list[scripted_server.Server]:
            started = [stack.enter_context(scripted_server.serve(handler)) for handler in handlers]
            monkeypatch.setattr(settings, "SERVERS", tuple(server.url for server in started))
            return started

        yield start


def status(code: int, message: str = "") -> scripted_server.Handler:
    return replying(code, {"error": message})


def cut(reply: scripted_server.Reply) -> None:
    reply.cut()


def counts(servers: list[scripted_server.Server]) -> list[int]:
    return [len(server.requests) for server in servers]


@pytest.mark.parametrize("code", sorted(retry.FAILOVER_STATUSES))
def test_failover_after_a_status(servers: Servers, code):
    started = servers(status(code), answer)

    outcome = ask(Way(asynchronous=False, stream=True))

    assert (outcome.error, outcome.text) == (None, "hi")
    assert counts(started) == [1 + RETRIES, 1]


@pytest.mark.parametrize(
    "failing", [status(503), cut], ids=["keeps failing", "breaks the connection"]
)
def test_the_same_request_goes_to_the_next_server(servers: Servers, way: Way, failing):
    started = servers(failing, answer)

    outcome = ask(way)

    assert (outcome.error, outcome.text) == (None, "hi")
    assert counts(started) == [1 + RETRIES, 1]
    first, second = (server.requests[0] for server in started)
    assert first.body == second.body
    assert first.headers["authorization"] == second.headers["authorization"]
    assert second.headers["host"] == started[1].url.removeprefix("http://")


def test_each_server_has_its_own_path(servers: Servers, monkeypatch, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        (answer if reply.request.path.startswith("/c/d/") else status(503))(reply)

    (started,) = servers(handler)
    # All on one host; the second prompt goes to the server that answered the first.
    urls = tuple(started.url + path for path in ("/a", "", "/c/d/"))
    monkeypatch.setattr(settings, "SERVERS", urls)

    assert [ask(way).text for _ in range(2)] == ["hi"] * 2
    tails = [request.path.removesuffix("/v1/chat/completions") for request in started.requests]
    assert tails == ["/a"] * 2 + [""] * 2 + ["/c/d"] * 2


def test_failover_from_a_server_that_refuses_connections(servers: Servers, monkeypatch, way: Way):
    (started,) = servers(answer)
    monkeypatch.setattr(settings, "SERVERS", (UNREACHABLE, started.url))

    assert ask(way).text == "hi"
    assert len(started.requests) == 1


def test_the_server_that_answered_is_tried_first(servers: Servers, way: Way):
    started = servers(status(502), answer)

    assert [ask(way).text for _ in range(3)] == ["hi"] * 3
    assert counts(started) == [1 + RETRIES, 3]


def test_the_first_server_is_tried_when_the_remembered_one_fails(servers: Servers, way: Way):
    failing = [status(502), answer]
    started = servers(lambda reply: failing[0](reply), lambda reply: failing[1](reply))
    ask(way)
    failing.reverse()

    assert ask(way).text == "hi"
    assert counts(started) == [1 + RETRIES + 1, 1 + 1 + RETRIES]


@pytest.mark.parametrize("failing", [status(503, "Busy"), cut], ids=["503", "cut"])
def test_the_number_of_requests_is_bounded(servers: Servers, way: Way, failing):
    started = servers(failing, failing)

    outcome = ask(way)

    assert isinstance(outcome.error, (errors.ServerError, errors.UnreachableError))
    assert counts(started) == [1 + RETRIES, 1 + RETRIES]


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 413, 422, 429, 500, 504, 520, 524])
def test_no_failover_after_a_status(servers: Servers, code):
    started = servers(status(code), answer)

    outcome = ask(Way(asynchronous=False, stream=True))

    assert outcome.error.status_code == code
    assert counts(started)[1] == 0


def test_no_failover_after_a_read_timeout(monkeypatch, way: Way):
    requests = in_memory(monkeypatch, time_out)

    assert isinstance(ask(way).error, errors.TimedOutError)
    assert [request.url.host for request in requests] == [httpx.URL(settings.SERVERS[0]).host]


def test_no_failover_after_a_part_of_the_reply(servers: Servers, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.event({"choices": [{"delta": {"content": "Hel"}}]})
        reply.cut()

    started = servers(handler, answer)

    assert ask(way).error is not None
    assert counts(started) == [1, 0]


def test_no_failover_after_a_connection_that_broke_late(servers: Servers, later):
    later(2)
    started = servers(cut, answer)

    outcome = ask(Way(asynchronous=False, stream=True))

    assert isinstance(outcome.error, errors.UnreachableError)
    assert counts(started) == [1, 0]


def test_no_failover_from_evolink_base_url(servers: Servers, monkeypatch, way: Way):
    started = servers(status(503), answer)
    monkeypatch.setenv("EVOLINK_BASE_URL", started[0].url)

    assert isinstance(ask(way).error, errors.ServerError)
    assert counts(started) == [1 + RETRIES, 0]


def test_failover_instead_of_a_long_delay(servers: Servers, way: Way):
    started = servers(replying(503, b"", retry_after=60), answer)

    assert ask(way).text == "hi"
    assert counts(started) == [1, 1]
