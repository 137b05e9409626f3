"""Error bodies in the forms that servers send, and responses that are not from the API."""

import json
from typing import Any

import pytest

from llm_evolink import errors
from tests import scripted_server
from tests.four_ways import Way, ask, one_way
from tests.scripted_server import serving

NO_MESSAGE = "EvoLink reported an error without a message"


pytestmark = pytest.mark.usefixtures("environment")


def body(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


PAGE = "<html><head><TITLE lang=en>502 Bad Gateway</TITLE></head><body><h1>no</h1></body></html>"
SHAPES = [
    pytest.param(400, body("No", code="bad_thing"), "No", id="code as text"),
    pytest.param(400, {"error": "No such thing"}, "No such thing", id="error as text"),
    pytest.param(400, [body("In a list")], "In a list", id="in a list"),
    pytest.param(400, {"detail": "Not here"}, "Not here", id="detail"),
    pytest.param(
        422,
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        "field required",
        id="detail as a list",
    ),
    pytest.param(400, {"message": "Bare"}, "Bare", id="without an outer object"),
    pytest.param(
        400, {"error": "Bad Request", "message": "Message"}, "Message", id="error as a label"
    ),
    pytest.param(400, body("Message", detail="see docs"), "Message", id="detail beside a message"),
    pytest.param(
        400,
        {"message": "Failed", "detail": [{"msg": "Message"}]},
        "Message",
        id="a list beside a message",
    ),
    pytest.param(400, {"error": {"error": body("Deep")}}, "Deep", id="deep"),
    pytest.param(400, json.dumps("Just text"), "Just text", id="JSON text"),
    pytest.param(400, "plain text", "plain text", id="plain text"),
    pytest.param(400, b"", NO_MESSAGE, id="empty"),
    pytest.param(400, " \n\t", NO_MESSAGE, id="whitespace"),
    pytest.param(400, "7", NO_MESSAGE, id="a number"),
    pytest.param(400, "[]", NO_MESSAGE, id="an empty list"),
    pytest.param(400, "null", NO_MESSAGE, id="null"),
    pytest.param(
        400, {"error": {"message": 5, "type": [], "param": {}}}, NO_MESSAGE, id="not text"
    ),
    pytest.param(400, {"error": None}, NO_MESSAGE, id="error null"),
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


@pytest.mark.parametrize(("status", "sent", "message"), SHAPES)
@one_way
def test_an_error_body_in_another_form(monkeypatch, way: Way, status, sent, message):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, sent)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert str(outcome.error) == f"{message} (status {status})"


CHECK = "check EVOLINK_BASE_URL, and whether the network wants a login"


@pytest.mark.parametrize(
    ("status", "sent", "headers", "line"),
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
            id="redirect without location",
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
def test_a_response_that_is_not_a_reply(monkeypatch, way: Way, status, sent, headers, line):
    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(status, sent, **headers)

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (type(outcome.error), str(outcome.error)) == (errors.NoReplyError, line)
    assert outcome.text == ""
