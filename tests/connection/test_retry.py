"""Which requests are retried, and after which delay."""

import re
import time
from email.utils import formatdate
from types import SimpleNamespace

import httpx
import pytest

from llm_evolink import errors, retry_after
from llm_evolink.commands.server_models import server_models
from llm_evolink.connection import failover, retry
from tests import llm_process, scripted_server
from tests.four_ways import SYNC_STREAMED, Way, ask, way_id
from tests.scripted_server import UNREACHABLE, Body, answer, in_memory, serving, time_out


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVOLINK_MAX_RETRIES")


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays between attempts; nothing sleeps."""
    found: list[float] = []

    async def asleep(seconds: float) -> None:
        found.append(seconds)

    # Of the module alone: a sandbox in another thread of this process sleeps as well.
    monkeypatch.setattr(failover, "time", SimpleNamespace(sleep=found.append))
    monkeypatch.setattr(failover, "asyncio", SimpleNamespace(sleep=asleep))
    return found


def fails(
    times: int, status: int = 503, body: object = b"", **headers: str
) -> scripted_server.Handler:
    """Refuse the first requests with the status, then answer."""
    left = [None] * times

    def handler(reply: scripted_server.Reply) -> None:
        if left:
            left.pop()
            reply.respond(status, body, **headers)
        else:
            answer(reply)

    return handler


@pytest.mark.parametrize("status", sorted(retry.RETRY_STATUSES))
def test_a_temporary_failure_is_retried(monkeypatch, delays, status):
    with serving(monkeypatch, fails(2, status)) as server:
        outcome = ask(SYNC_STREAMED)

    assert (outcome.error, outcome.text) == (None, "hi")
    assert len(server.requests) == 3
    assert len({request.body for request in server.requests}) == 1
    # Exponential, with jitter.
    assert len(delays) == 2
    assert 0.25 <= delays[0] <= 0.5 <= delays[1] <= 1


def test_a_retry_in_each_way(monkeypatch, delays, way: Way):
    with serving(monkeypatch, fails(2)) as server:
        outcome = ask(way)

    assert (outcome.error, outcome.text, len(server.requests)) == (None, "hi", 3)


@pytest.mark.parametrize(
    "status", [*range(400, 406), 300, 307, 413, 422, 501, 504, 505, 520, 524, 525]
)
def test_a_permanent_failure_is_not_retried(monkeypatch, delays, status):
    with serving(monkeypatch, fails(1, status)) as server:
        outcome = ask(SYNC_STREAMED)

    assert outcome.error.status_code == status
    assert outcome.error.may_be_billed == (status in (504, 520, 524))
    assert ("may have been billed" in str(outcome.error)) == outcome.error.may_be_billed
    assert (len(server.requests), delays) == (1, [])


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_the_environment_sets_the_number_of_retries(monkeypatch, delays, way: Way, retries):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", str(retries))
    with serving(monkeypatch, fails(99, 503, {"error": "Busy"})) as server:
        outcome = ask(way)

    assert str(outcome.error) == "Busy; try again later (status 503)"
    assert len(server.requests) == 1 + retries


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_dropped_before_the_response_is_retried(monkeypatch, delays, way: Way, reset):
    def handler(reply: scripted_server.Reply) -> None:
        if len(server.requests) < 3:
            reply.cut(reset=reset)
        else:
            answer(reply)

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert (outcome.error, outcome.text, len(server.requests)) == (None, "hi", 3)


def test_a_refused_connection_is_retried(monkeypatch, delays, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)

    assert isinstance(ask(way).error, errors.UnreachableError)
    assert len(delays) == 2


def test_nothing_is_retried_once_the_response_began(monkeypatch, delays, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        reply.head(200, content_type="application/json", content_length=100)
        reply.send('{"choices"')
        reply.cut()

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.UnreachableError)
    assert re.match(
        "The connection to 127.0.0.1:[0-9]+ broke: .*; the request may have been billed; ",
        str(outcome.error),
    )
    assert outcome.error.may_be_billed
    assert (len(server.requests), delays) == (1, [])


def test_nothing_is_retried_after_a_reset(monkeypatch, delays, way: Way):
    body = Body(b'{"choices"', httpx.ReadError("[Errno 104] Connection reset by peer"))
    headers = {"content-type": "application/json"}
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    requests = in_memory(monkeypatch, lambda _: httpx.Response(200, headers=headers, stream=body))
    outcome = ask(way)

    assert isinstance(outcome.error, errors.UnreachableError)
    assert str(outcome.error) == (
        "The connection to 127.0.0.1:1 broke: [Errno 104] Connection reset by peer; "
        "the request may have been billed; check with: llm evolink doctor"
    )
    assert (len(requests), delays) == (1, [])


def test_nothing_is_retried_when_the_response_is_not_http(monkeypatch, delays, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        reply.send("SSH-2.0-OpenSSH_9.6\r\n\r\n")
        reply.cut()

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.UnreachableError)
    assert (len(server.requests), delays) == (1, [])


def test_a_read_timeout_is_not_retried(monkeypatch, delays, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1")
    requests = in_memory(monkeypatch, time_out)
    outcome = ask(way)

    assert type(outcome.error) is errors.TimedOutError
    assert str(outcome.error) == (
        "No progress from 127.0.0.1 for 600 s; the request may have been billed; try again, or "
        "allow more seconds with -o timeout or EVOLINK_TIMEOUT"
    )
    assert outcome.error.may_be_billed
    assert (len(requests), delays) == (1, [])


NOT_BILLED = (
    "No progress from 127.0.0.1 for 600 s; try again, or allow more seconds with -o timeout or "
    "EVOLINK_TIMEOUT"
)


def test_a_timeout_before_the_request_is_written_is_not_billed(monkeypatch, delays):
    def respond(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("a proxy does not answer CONNECT")

    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1")
    requests = in_memory(monkeypatch, respond)
    error = ask(SYNC_STREAMED).error

    assert (type(error), str(error)) == (errors.TimedOutError, NOT_BILLED)
    assert not error.may_be_billed
    assert (len(requests), delays) == (1, [])


def test_a_list_of_models_is_not_billed(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1")
    in_memory(monkeypatch, time_out)

    with pytest.raises(errors.TimedOutError, match=f"^{re.escape(NOT_BILLED)}$") as raised:
        server_models()
    assert not raised.value.may_be_billed


QUOTA = [
    (429, {"error": {"code": "insufficient_quota", "message": "No credit"}}),
    (429, {"error": {"message": "You exceeded your current quota, please check your plan"}}),
    (429, {"error": {"details": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}}),
    (503, {"error": {"code": "insufficient_user_quota", "message": "No credit"}}),
]


@pytest.mark.parametrize(("status", "body"), QUOTA)
def test_a_used_up_quota_is_not_retried(monkeypatch, delays, status, body):
    with serving(monkeypatch, fails(1, status, body)) as server:
        outcome = ask(SYNC_STREAMED)

    assert outcome.error.status_code == status
    assert (len(server.requests), delays) == (1, [])


# Requests whose connection broke: the server may have worked on them.


def test_a_new_connection_dropped_after_more_than_a_second_is_not_retried(
    monkeypatch, delays, later, way: Way
):
    later(1.01)
    with serving(monkeypatch, lambda reply: reply.cut()) as server:
        outcome = ask(way)

    assert isinstance(outcome.error, errors.UnreachableError)
    assert (len(server.requests), delays) == (1, [])


@pytest.mark.parametrize(
    ("seconds", "texts", "requests"), [(0, ["hi", "hi"], 3), (1.01, ["hi", ""], 2)]
)
def test_a_reused_connection_that_is_closed_is_retried_unless_the_server_had_time_to_work(
    monkeypatch, delays, later, seconds, texts, requests
):
    if seconds:
        later(seconds)

    def handler(reply: scripted_server.Reply) -> None:
        if len(server.requests) == 2:
            reply.cut()
        else:
            answer(reply)

    with serving(monkeypatch, handler) as server:
        outcomes = [ask(SYNC_STREAMED) for _ in range(2)]

    assert [outcome.text for outcome in outcomes] == texts
    assert len(server.requests) == requests
    assert len(delays) == requests - 2


@pytest.mark.parametrize(
    "part",
    ["H", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 103 Early Hints\r\n\r\n"],
    ids=["a byte", "half a head", "1xx"],
)
@pytest.mark.parametrize("first", [True, False], ids=["new connection", "reused connection"])
def test_nothing_is_retried_after_a_byte_of_a_response(monkeypatch, delays, part, first):
    def handler(reply: scripted_server.Reply) -> None:
        if first or len(server.requests) > 1:
            reply.send(part)
            reply.cut()
        else:
            answer(reply)

    with serving(monkeypatch, handler) as server:
        outcomes = [ask(SYNC_STREAMED) for _ in range(1 if first else 2)]

    assert isinstance(outcomes[-1].error, errors.UnreachableError)
    assert (len(server.requests), delays) == (len(outcomes), [])


HOUR = 3600
ADVICE = [
    pytest.param({"retry_after": "3"}, b"", 3, id="seconds"),
    pytest.param({"retry_after": " 0 "}, b"", 0, id="at once"),
    pytest.param({"retry_after": "1.5"}, b"", 1.5, id="a fraction"),
    pytest.param({"retry_after": formatdate(1, usegmt=True)}, b"", 0, id="a date in the past"),
    pytest.param({}, {"error": {"fallback_suggestion": "retry after 7 seconds"}}, 7, id="body"),
    pytest.param({}, b"Retry after 1 second.", 1, id="other wording"),
    pytest.param(
        {"retry_after": "2"},
        {"error": {"fallback_suggestion": "retry after 7 seconds"}},
        2,
        id="the header goes before the body",
    ),
    pytest.param(
        {"retry_after": "soon"},
        {"error": {"fallback_suggestion": "retry after 7 seconds"}},
        7,
        id="an invalid header",
    ),
]


@pytest.mark.parametrize(("headers", "body", "seconds"), ADVICE)
@pytest.mark.parametrize("status", [429, 503])
def test_the_delay_that_the_server_asks_for(monkeypatch, delays, status, headers, body, seconds):
    with serving(monkeypatch, fails(1, status, body, **headers)):
        outcome = ask(SYNC_STREAMED)

    assert (outcome.text, delays) == ("hi", [seconds])


def test_the_delay_of_the_server_in_each_way(monkeypatch, delays, way: Way):
    with serving(monkeypatch, fails(1, 429, retry_after="3")):
        outcome = ask(way)

    assert (outcome.text, delays) == ("hi", [3])


def test_the_delay_until_a_date(monkeypatch, delays):
    now = 1_800_000_000.0
    monkeypatch.setattr(retry_after, "time", SimpleNamespace(time=lambda: now))
    with serving(monkeypatch, fails(1, 429, retry_after=formatdate(now + 10, usegmt=True))):
        ask(SYNC_STREAMED)

    assert delays == [10]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({"retry_after": "21"}, b"", id="seconds"),
        pytest.param({"retry_after": "9" * 400}, b"", id="10**400 seconds"),
        pytest.param({"retry_after": formatdate(time.time() + HOUR)}, b"", id="date"),
        pytest.param({}, b"retry after 60 seconds", id="body"),
    ],
)
def test_a_long_delay_is_not_waited_for(monkeypatch, delays, headers, body):
    with serving(monkeypatch, fails(1, 429, body, **headers)) as server:
        outcome = ask(SYNC_STREAMED)

    assert isinstance(outcome.error, errors.RateLimitError)
    assert (len(server.requests), delays) == (1, [])


def test_the_error_of_a_long_delay_has_the_servers_suggestion(monkeypatch, delays, way: Way):
    error = {"message": "Rate limit exceeded", "fallback_suggestion": "retry after 60 seconds"}
    with serving(monkeypatch, fails(1, 429, {"error": error}, x_request_id="r-1")) as server:
        outcome = ask(way)

    assert str(outcome.error) == (
        "Rate limit exceeded; the server suggests: retry after 60 seconds (status 429, request r-1)"
    )
    assert (len(server.requests), delays) == (1, [])


def test_the_environment_sets_the_maximum_delay(monkeypatch, delays):
    monkeypatch.setenv("EVOLINK_MAX_WAIT", "60")
    with serving(monkeypatch, fails(1, 429, b"retry after 60 seconds")):
        assert ask(SYNC_STREAMED).text == "hi"

    assert delays == [60]


@pytest.mark.parametrize(
    ("seconds", "in_terminal", "notice"),
    [
        ("1.1", True, "EvoLink answered 429; trying again in 1 s\n"),
        ("0.5", True, ""),
        ("1.1", False, ""),
    ],
)
def test_a_long_delay_has_a_notice_in_a_terminal(monkeypatch, seconds, in_terminal, notice):
    prompt = ["-m", "gemini-3.5-flash", "hi"]
    with serving(monkeypatch, fails(1, 429, retry_after=seconds)):
        if in_terminal:
            done = llm_process.run_in_terminal(*prompt, files=["stderr"])
        else:
            done = llm_process.run(*prompt)

    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", notice, 0)


@pytest.mark.parametrize("way", [SYNC_STREAMED], ids=way_id)
def test_a_delay_has_no_notice_in_python(monkeypatch, capfd, way: Way):
    with serving(monkeypatch, fails(1, 429, retry_after="1.1")):
        assert ask(way).text == "hi"

    assert capfd.readouterr() == ("", "")
