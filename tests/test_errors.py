"""The class, message and attributes of each failure."""

import copy
import pickle
from typing import Any

import httpx
import pytest

from llm_evolink import errors, failures
from llm_evolink.connection import clients
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, SYNC_STREAMED, Way, ask, one_way, way_id
from tests.scripted_server import REFUSED, UNREACHABLE, replying, serving

pytestmark = pytest.mark.usefixtures("environment")


def body(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


DOCUMENTED = [
    (
        400,
        body("Invalid request parameters", code=400, type="invalid_request_error"),
        errors.InvalidRequestError,
        "Invalid request parameters (status 400, request r-1)",
    ),
    (
        401,
        body("Invalid or expired token", code=401, type="authentication_error"),
        errors.AuthenticationError,
        "Invalid or expired token; set another key with: llm keys set evolink; "
        "check with: llm evolink doctor (status 401, request r-1)",
    ),
    (
        402,
        body(
            "Quota used up",
            code=402,
            type="insufficient_quota_error",
            fallback_suggestion="https://evolink.ai/dashboard/billing",
        ),
        errors.QuotaError,
        "Quota used up; the server suggests: https://evolink.ai/dashboard/billing "
        "(status 402, request r-1)",
    ),
    (
        403,
        body("Access denied for this model", type="permission_error", param="model"),
        errors.AccessError,
        "Access denied for this model (status 403, param model, request r-1)",
    ),
    (
        404,
        body(
            "Specified model not found",
            type="not_found_error",
            param="model",
            fallback_suggestion="gemini-3.5-flash",
        ),
        errors.NotFoundError,
        "Specified model not found; the server suggests: gemini-3.5-flash "
        "(status 404, param model, request r-1)",
    ),
    (
        413,
        body(
            "Image exceeds the size limit",
            type="request_too_large_error",
            param="content",
            fallback_suggestion="compress image to under 10MB",
        ),
        errors.TooLargeError,
        "Image exceeds the size limit; the server suggests: compress image to under 10MB "
        "(status 413, param content, request r-1)",
    ),
    (
        429,
        body(
            "Rate limit exceeded",
            type="rate_limit_error",
            fallback_suggestion="retry after 60 seconds",
        ),
        errors.RateLimitError,
        "Rate limit exceeded; the server suggests: retry after 60 seconds "
        "(status 429, request r-1)",
    ),
    (
        500,
        body("Internal server error", fallback_suggestion="try again later"),
        errors.ServerError,
        "Internal server error; the server suggests: try again later (status 500, request r-1)",
    ),
    (
        502,
        body("Upstream AI service unavailable", type="upstream_error"),
        errors.ServerError,
        "Upstream AI service unavailable; try again later (status 502, request r-1)",
    ),
    (
        503,
        body("Service unavailable", fallback_suggestion="retry after 30 seconds"),
        errors.ServerError,
        "Service unavailable; the server suggests: retry after 30 seconds "
        "(status 503, request r-1)",
    ),
]


@pytest.mark.parametrize(
    ("status", "sent", "error_class", "line"), DOCUMENTED, ids=[str(case[0]) for case in DOCUMENTED]
)
@one_way
def test_a_documented_error(monkeypatch, way: Way, status, sent, error_class, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, sent, x_request_id="r-1")

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (error_class, line)
    error = sent["error"]
    assert outcome.error is not None
    assert outcome.error.status_code == status
    assert outcome.error.request_id == "r-1"
    for name in ("type", "param", "fallback_suggestion"):
        assert getattr(outcome.error, name) == error.get(name)
    # A second read raises it again, and sends nothing.
    assert (type(outcome.second_read), str(outcome.second_read)) == (error_class, line)
    assert len(server.requests) == 1
    assert outcome.error.__context__ is outcome.error.__cause__ is None


def test_an_error_in_each_way(monkeypatch, way: Way):
    with serving(monkeypatch, replying(402, body("No credit"))) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.QuotaError
    assert str(outcome.error).startswith("No credit; top up at ")
    assert (type(outcome.second_read), str(outcome.second_read)) == (
        errors.QuotaError,
        str(outcome.error),
    )
    assert outcome.error.__context__ is outcome.error.__cause__ is None
    assert len(server.requests) == 1


PAGE = "<html><head><TITLE lang=en>502 Bad Gateway</TITLE></head><body><h1>no</h1></body></html>"


@pytest.mark.parametrize("status", [500, 501, 504, *range(520, 531), 599])
def test_any_other_5xx_is_a_server_error(monkeypatch, status):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, PAGE, content_type="text/html", x_oneapi_request_id="r-2")

    with serving(monkeypatch, handler):
        outcome = ask(SYNC_STREAMED)

    assert type(outcome.error) is errors.ServerError
    assert str(outcome.error) == (
        "The server answered with a web page: 502 Bad Gateway; "
        + "the request may have been billed; " * (status in (504, 520, 524))
        + f"try again later (status {status}, request r-2)"
    )


NO_CREDIT = body("No credit left", code="402", type="quota", param="key", detail="see docs")
TOP_UP = "No credit left; top up at https://evolink.ai/dashboard/billing (status 402, param key)"


@pytest.mark.parametrize("as_stream", [False, True], ids=["complete", "first event"])
@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_an_error_with_status_200(monkeypatch, way: Way, as_stream):
    def handler(reply: scripted_server.Reply) -> None:
        reply.events(NO_CREDIT) if as_stream else reply.respond(200, NO_CREDIT)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (errors.QuotaError, TOP_UP)
    assert (outcome.error.status_code, outcome.error.type) == (402, "quota")
    assert (type(outcome.second_read), str(outcome.second_read)) == (errors.QuotaError, TOP_UP)


@pytest.mark.parametrize(
    ("code", "error_class", "line"),
    [
        (402, errors.QuotaError, TOP_UP),
        (418, errors.BadReplyError, "No credit left (status 418, param key)"),
        (503, errors.ServerError, "No credit left; try again later (status 503, param key)"),
        (
            "no_credit",
            errors.IncompleteReplyError,
            "The answer is incomplete: No credit left; try again (param key)",
        ),
    ],
)
@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_the_code_of_an_error_in_a_complete_reply(monkeypatch, way: Way, code, error_class, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, {"error": {**NO_CREDIT["error"], "code": code}})

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (error_class, line)


@pytest.mark.parametrize("name", ["content", "reasoning_content"])
@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_an_error_after_a_part_of_the_reply(monkeypatch, way: Way, name):
    def handler(reply: scripted_server.Reply) -> None:
        reply.events({"choices": [{"delta": {name: "Hi"}}]}, NO_CREDIT)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert type(outcome.error) is errors.IncompleteReplyError
    assert str(outcome.error) == (
        "The answer is incomplete: No credit left; try again (status 402, param key)"
    )
    assert outcome.error.type == "quota"
    assert (type(outcome.second_read), str(outcome.second_read)) == (
        type(outcome.error),
        str(outcome.error),
    )


RETRY_INFO = {
    "code": 429,
    "message": "Resource exhausted",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}],
}


def test_the_delay_in_the_details_of_an_error(monkeypatch, way: Way):
    with serving(monkeypatch, replying(429, {"error": RETRY_INFO})):
        outcome = ask(way)

    assert type(outcome.error) is errors.RateLimitError
    assert outcome.error.retry_after == 3.5


@pytest.mark.parametrize("status", [402, 403, 429])
def test_a_used_up_quota_is_not_retried_and_says_how_to_top_up(monkeypatch, way: Way, status):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")
    error = {"message": "No credit", "code": "insufficient_user_quota"}
    with serving(monkeypatch, replying(status, {"error": error})) as server:
        outcome = ask(way)

    assert len(server.requests) == 1
    assert type(outcome.error) is errors.QuotaError
    assert "top up" in str(outcome.error).lower()


def test_an_unreachable_server(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)

    outcome = ask(way)

    assert type(outcome.error) is errors.UnreachableError
    reason = "All connection attempts failed" if way.asynchronous else REFUSED  # anyio's, Python's
    assert str(outcome.error) == (
        f"Cannot reach 127.0.0.1:1: {reason}; check with: llm evolink doctor"
    )
    assert outcome.error.status_code is None


def test_a_host_name_that_does_not_resolve(monkeypatch, no_dns, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://nowhere.invalid")

    assert str(ask(way).error) == (
        "Cannot reach nowhere.invalid: [Errno -2] Name or service not known; "
        "check with: llm evolink doctor"
    )


def test_a_host_that_does_not_answer():
    """The error is constructed: on loopback no packets are dropped."""
    request = httpx.Request("POST", "https://far.example", extensions={"timeout": {"connect": 10}})
    failure = httpx.ConnectTimeout("", request=request)

    error = failures.explain(failure, began=False)

    assert (type(error), str(error)) == (
        errors.UnreachableError,
        "Cannot reach far.example within 10 s; check with: llm evolink doctor",
    )


def test_a_defect_of_the_plugin_is_raised_unchanged(monkeypatch, way: Way):
    defect = RuntimeError("a defect")

    def client(key: str, timeout: float | None) -> None:
        raise defect

    monkeypatch.setattr(clients, "client", client)
    monkeypatch.setattr(clients, "async_client", client)

    with pytest.raises(RuntimeError) as raised:
        ask(way)
    assert raised.value is defect


def test_each_failure_has_its_own_class():
    classes = {
        errors.AuthenticationError,
        errors.QuotaError,
        errors.RateLimitError,
        errors.NotFoundError,
        errors.TooLargeError,
        errors.ServerError,
        errors.UnreachableError,
        errors.TimedOutError,
        errors.IncompleteReplyError,
        errors.BadReplyError,
    }
    for error_class in classes:
        assert issubclass(error_class, errors.EvolinkError)
        assert not any(issubclass(error_class, other) for other in classes - {error_class})


def test_one_line_at_the_prompt_and_in_a_chat(monkeypatch, llm_command, turns):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(401, body("Invalid or expired token"))

    with serving(monkeypatch, handler):
        prompted = llm_command("-m", "gemini-3.5-flash", "hi", fresh=True)
        chatted = llm_command("chat", "-m", "gemini-3.5-flash", input="hi\n")

    line = (
        "Error: Invalid or expired token; set another key with: llm keys set evolink; "
        "check with: llm evolink doctor (status 401)\n"
    )
    assert (prompted.stdout, prompted.stderr, prompted.returncode) == ("", line, 1)
    assert (chatted.stderr, chatted.returncode) == (line, 1)
    assert turns() == []


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_can_be_copied_and_pickled(copied):
    error = errors.IncompleteReplyError("it broke", note="a note", status_code=503)
    other = copied(error)

    assert (str(other), repr(other), vars(other)) == (str(error), repr(error), vars(error))
    assert str(other) == "The answer is incomplete: it broke; a note; try again (status 503)"
