"""A failure the server reports: its class, its one line, its attributes."""

import json
from typing import Any

import httpx
import pytest

from llm_evolink import errors, failures
from llm_evolink.connection import clients
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, SYNC_STREAMED, Way, ask, one_way, way_id
from tests.scripted_server import serving

UNSAID = "EvoLink reported an error without a message"


@pytest.fixture(autouse=True)
def _environment(environment: None) -> None:
    pass


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
    ("status", "said", "kind", "line"), DOCUMENTED, ids=[str(case[0]) for case in DOCUMENTED]
)
@one_way
def test_a_documented_error(monkeypatch, way: Way, status, said, kind, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, said, x_request_id="r-1")

    with serving(monkeypatch, handler) as server:
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (kind, line)
    error = said["error"]
    assert outcome.error is not None
    assert outcome.error.status_code == status
    assert outcome.error.request_id == "r-1"
    for name in ("type", "param", "fallback_suggestion"):
        assert getattr(outcome.error, name) == error.get(name)
    # A second read raises it again, and sends nothing.
    assert (type(outcome.second_read), str(outcome.second_read)) == (kind, line)
    assert len(server.requests) == 1
    assert outcome.error.__context__ is outcome.error.__cause__ is None


PAGE = "<html><head><TITLE lang=en>502 Bad Gateway</TITLE></head><body><h1>no</h1></body></html>"
SHAPES = [
    pytest.param(400, body("No", code="bad_thing"), "No", id="code as text"),
    pytest.param(400, {"error": "No such thing"}, "No such thing", id="error as text"),
    pytest.param(400, [body("In a list")], "In a list", id="a list around it"),
    pytest.param(400, {"detail": "Not here"}, "Not here", id="detail"),
    pytest.param(
        422,
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        "field required",
        id="detail as a list",
    ),
    pytest.param(400, {"message": "Bare"}, "Bare", id="nothing around it"),
    pytest.param(400, {"error": "Bad Request", "message": "Told"}, "Told", id="error as a label"),
    pytest.param(400, body("Told", detail="see docs"), "Told", id="detail beside a message"),
    pytest.param(
        400, {"message": "Failed", "detail": [{"msg": "Told"}]}, "Told", id="a list beside one"
    ),
    pytest.param(400, {"error": {"error": body("Deep")}}, "Deep", id="deep"),
    pytest.param(400, json.dumps("Just text"), "Just text", id="JSON text"),
    pytest.param(400, "plain text", "plain text", id="plain text"),
    pytest.param(400, b"", UNSAID, id="empty"),
    pytest.param(400, " \n\t", UNSAID, id="whitespace"),
    pytest.param(400, "7", UNSAID, id="a number"),
    pytest.param(400, "[]", UNSAID, id="an empty list"),
    pytest.param(400, "null", UNSAID, id="null"),
    pytest.param(400, {"error": {"message": 5, "type": [], "param": {}}}, UNSAID, id="not text"),
    pytest.param(400, {"error": None}, UNSAID, id="error null"),
    pytest.param(400, "[" * 100_000, "[" * 499 + "…", id="nested too deep"),
    pytest.param(400, "1" * 5000, "1" * 499 + "…", id="a number of 5,000 digits"),
    pytest.param(400, b"\xff\xfe\x00oops", "�� oops", id="not UTF-8"),
    pytest.param(400, PAGE, "The server answered with a web page: 502 Bad Gateway", id="HTML"),
    pytest.param(400, "<p>Go <b>away", "Go away", id="HTML without a title"),
    pytest.param(400, "x" * 10_000_000, "x" * 499 + "…", id="10 MB"),
    pytest.param(
        400,
        body("x" * 10_000_000),
        '{"error": {"message": "' + "x" * 476 + "…",
        id="10 MB of message",
    ),
    pytest.param(400, "<" * 1_000_000, "<" * 499 + "…", id="1 MB of <"),
    pytest.param(
        400,
        "<title>" + "x" * 1_000_000,
        "The server answered with a web page: " + "x" * 462 + "…",
        id="a title without an end",
    ),
    pytest.param(400, "<title" * 160_000, "<title" * 83 + "<…", id="titles without an end"),
    pytest.param(
        400,
        body("a\x1b[31mred\x07\r\n\tb\x00\x9bc\u202ed\u2066e\u200bf\ufeff\ud800g\u2028h\x7f"),
        "a [31mred b c d e f g h",
        id="control characters",
    ),
    pytest.param(405, body("No"), "No", id="405"),
    pytest.param(418, body("Tea"), "Tea", id="418"),
    pytest.param(408, body("Slow"), "Slow", id="408"),
]


def test_an_error_in_each_way(monkeypatch, way: Way):
    with serving(monkeypatch, lambda reply: reply.respond(402, body("No credit"))) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.QuotaError
    assert str(outcome.error).startswith("No credit; top up at ")
    assert (type(outcome.second_read), str(outcome.second_read)) == (
        errors.QuotaError,
        str(outcome.error),
    )
    assert outcome.error.__context__ is outcome.error.__cause__ is None
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "said", "told"), SHAPES)
@one_way
def test_a_body_of_another_shape(monkeypatch, way: Way, status, said, told):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, said)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert str(outcome.error) == f"{told} (status {status})"


@pytest.mark.parametrize("status", [500, 501, 504, *range(520, 531), 599])
def test_any_other_status_of_the_server_is_its_error(monkeypatch, status):
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


CHECK = "check EVOLINK_BASE_URL, and whether the network wants a login"


@pytest.mark.parametrize(
    ("status", "said", "headers", "line"),
    [
        pytest.param(
            307,
            b"",
            {"location": "https://other.example/v1"},
            "The server redirects to https://other.example/v1; redirects are not followed; "
            f"{CHECK} (status 307)",
            id="redirect",
        ),
        pytest.param(
            302,
            b"",
            {},
            f"The server redirects to another URL; redirects are not followed; {CHECK} "
            "(status 302)",
            id="redirect to nowhere",
        ),
        pytest.param(
            200,
            "<title>Log in to Free WiFi</title>",
            {"content_type": "text/html"},
            "The server answered with something that is not a reply: The server answered with a "
            f"web page: Log in to Free WiFi; {CHECK}",
            id="captive portal",
        ),
        pytest.param(
            200,
            b"",
            {},
            f"The server answered with something that is not a reply: an empty body; {CHECK}",
            id="empty",
        ),
        pytest.param(
            200,
            '{"choices": [',
            {},
            'The server answered with something that is not a reply: {"choices": [; ' + CHECK,
            id="half a JSON",
        ),
        pytest.param(
            200,
            '{"choices": 7}',
            {},
            "The server answered with something that is not a reply: a body without a message; "
            + CHECK,
            id="wrong shape",
        ),
    ],
)
def test_what_is_no_reply(monkeypatch, way: Way, status, said, headers, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, said, **headers)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (errors.NoReplyError, line)
    assert outcome.text == ""


NO_CREDIT = body("No credit left", code="402", type="quota", param="key", detail="see docs")
TOP_UP = "No credit left; top up at https://evolink.ai/dashboard/billing (status 402, param key)"


@pytest.mark.parametrize("as_stream", [False, True], ids=["whole", "first event"])
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
    ("code", "kind", "line"),
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
def test_the_code_of_an_error_in_a_whole_reply(monkeypatch, way: Way, code, kind, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, {"error": {**NO_CREDIT["error"], "code": code}})

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (kind, line)


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


def test_a_server_that_is_not_there(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://127.0.0.1:1")

    outcome = ask(way)

    assert type(outcome.error) is errors.UnreachableError
    assert str(outcome.error).startswith("Cannot reach 127.0.0.1:1: ")
    assert outcome.error.status_code is None


def test_a_host_that_has_no_address(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://nowhere.invalid")

    assert str(ask(SYNC_STREAMED).error).startswith("Cannot reach nowhere.invalid: [Errno -")


def test_a_host_that_does_not_answer():
    """As httpx tells it; a network that drops packets cannot be had on loopback."""
    request = httpx.Request("POST", "https://far.example", extensions={"timeout": {"connect": 10}})
    failure = httpx.ConnectTimeout("", request=request)

    error = failures.explain(failure, began=False)

    assert (type(error), str(error)) == (
        errors.UnreachableError,
        "Cannot reach far.example within 10 s; check with: llm evolink doctor",
    )


def test_a_defect_of_ours_is_not_dressed_up(monkeypatch, way: Way):
    defect = RuntimeError("a defect")

    def client(key: str, timeout: float | None) -> None:
        raise defect

    monkeypatch.setattr(clients, "client", client)
    monkeypatch.setattr(clients, "async_client", client)

    with pytest.raises(RuntimeError) as raised:
        ask(way)
    assert raised.value is defect


def test_what_a_python_caller_can_tell_apart():
    kinds = {
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
    for kind in kinds:
        assert issubclass(kind, errors.EvolinkError)
        assert not any(issubclass(kind, other) for other in kinds - {kind})


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
