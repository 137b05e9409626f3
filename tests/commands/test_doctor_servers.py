"""Doctor's checks of servers, authentication and proxies."""

import re
import socket
import threading
from types import SimpleNamespace

import pytest

from llm_evolink.commands.doctor import checks, probe
from tests import scripted_server
from tests.four_ways import KEY
from tests.llm_process import TIMEOUT
from tests.scripted_server import UNREACHABLE, replying, serving

REFUSED = {"error": {"message": "messages is too short", "type": "invalid_request_error"}}
refusing = replying(400, REFUSED)  # It shows that the key is accepted.

pytestmark = pytest.mark.usefixtures("doctor_environment")

KEYS = "https://evolink.ai/dashboard/keys"
LOGIN = "check EVOLINK_BASE_URL, and whether the network wants a login"
NO_REPLY = "The server answered with something that is not a reply"
PAGE = "The server answered with a web page"
COMPLETION = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def reported(message: str, **fields: object) -> dict[str, object]:
    """Return the body of an error response."""
    return {"error": {"message": message, **fields}}


ACCEPTED = "ok", "{url} accepts the key"


def unclear(refusal: str) -> tuple[str, str]:
    reason = "refused the test request, but not because it has no messages"
    return "note", f"unknown: {{url}} {reason}: {refusal}"


# The reply of a server, and the finding about the key, where {url} is the server's URL.
REPLIES = {
    "400": (refusing, ACCEPTED),
    "422": (replying(422, {"detail": [{"msg": "messages too short"}]}), ACCEPTED),
    "a list": (replying(400, [REFUSED]), ACCEPTED),
    "a completion": (replying(200, COMPLETION), ACCEPTED),
    "messages as param": (replying(400, reported("[] is short", param="messages")), ACCEPTED),
    "messages in a text": (replying(400, reported("field messages is required")), ACCEPTED),
    "messages as location": (
        replying(400, {"detail": [{"loc": ["body", "messages"], "msg": "At least 1 item"}]}),
        ACCEPTED,
    ),
    "LiteLLM with a wrong key": (
        replying(400, reported("Authentication Error, Invalid token", code="400")),
        unclear("Authentication Error, Invalid token (status 400)"),
    ),
    "another field": (
        replying(400, reported("max_tokens is too small")),
        unclear("max_tokens is too small (status 400)"),
    ),
    "another location": (
        replying(422, {"detail": [{"loc": ["body", "model"], "msg": "Unknown"}]}),
        unclear("Unknown (status 422)"),
    ),
    "the key": (replying(400, reported(f"Bad key {KEY}")), unclear("Bad key …cdef (status 400)")),
    "messages as a name": (
        replying(400, {"messages": [], "error": "Not found"}),
        unclear("Not found (status 400)"),
    ),
    "a page with status 400": (
        replying(400, "<html><title>400 Plain HTTP was sent</title></html>"),
        ("broken", f"{NO_REPLY}: {PAGE}: 400 Plain HTTP was sent; {LOGIN}"),
    ),
    "a login page": (
        replying(200, "<html><title>Hotel</title></html>", content_type="text/html"),
        ("broken", f"{NO_REPLY}: {PAGE}: Hotel; {LOGIN}"),
    ),
    "no message": (
        replying(200, {"choices": []}),
        ("broken", f"{NO_REPLY}: a body without a message; {LOGIN}"),
    ),
    "a redirect": (
        replying(302, b"", location="https://hotel.example/login"),
        (
            "broken",
            "The server redirects to https://hotel.example/login; redirects are not followed; "
            f"{LOGIN} (status 302)",
        ),
    ),
    "402": (
        replying(402, reported("Quota used up")),
        (
            "broken",
            "Quota used up; top up at https://evolink.ai/dashboard/billing (status 402)",
        ),
    ),
    "403": (
        replying(403, reported("Access denied"), x_oneapi_request_id="r-1"),
        (
            "broken",
            f"Access denied (status 403, request r-1); see what the key may do at {KEYS}",
        ),
    ),
    "404": (
        replying(404, reported("No such page")),
        ("broken", "No such page; check EVOLINK_BASE_URL (status 404)"),
    ),
    "418": (
        replying(418, reported("A teapot")),
        ("broken", "A teapot (status 418); check EVOLINK_BASE_URL"),
    ),
    "429": (
        replying(429, reported("Too many requests"), retry_after="60"),
        ("broken", "Too many requests; try again later (status 429)"),
    ),
    "500": (
        replying(500, reported("Oh\x1b[31m\nno")),
        ("broken", "Oh [31m no; try again later (status 500)"),
    ),
    "502": (
        replying(502, "<title>502 Bad Gateway</title>"),
        ("broken", f"{PAGE}: 502 Bad Gateway; try again later (status 502)"),
    ),
}


@pytest.mark.parametrize(("handler", "finding"), REPLIES.values(), ids=REPLIES)
def test_a_reply_shows_whether_the_key_is_accepted(monkeypatch, handler, finding):
    with serving(monkeypatch, handler) as server:
        all_findings = {each.check: each for each in checks.examine()}

    status, message = finding
    assert all_findings["server"].status == "ok"
    authentication = all_findings["authentication"]
    assert (authentication.status, authentication.message) == (
        status,
        message.format(url=server.url),
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize("label", ["a..b", "a" * 64 + ".com", "xn--a"])
def test_a_host_name_that_idna_refuses(monkeypatch, label):
    url = f"https://{label}.example"
    monkeypatch.setenv("EVOLINK_BASE_URL", url)

    all_findings = list(checks.examine())

    broken = [(each.check, each.message) for each in all_findings if each.status == "broken"]
    assert broken == [
        (
            "settings",
            "EVOLINK_BASE_URL is not the URL of a server, such as https://direct.evolink.ai: "
            f"{url!r}; change it, or unset it",
        )
    ]
    assert all_findings[-1].check == "generated client"


def test_a_proxy_that_idna_refuses(monkeypatch, documented_servers):
    documented_servers("https://one.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@a..b:1")

    all_findings = list(checks.examine())

    assert not any("secret" in finding.message for finding in all_findings)
    problem = "HTTPS_PROXY is not the URL of an http://, https:// or socks5:// proxy"
    broken = [(each.check, each.message) for each in all_findings if each.status == "broken"]
    assert broken == [("server", problem), ("proxy", problem)]
    assert all_findings[-1].check == "generated client"


def test_a_dropped_connection_is_broken(monkeypatch, findings):
    with serving(monkeypatch, lambda reply: reply.cut()) as server:
        ((status, message),) = findings("authentication")

    host = server.url.removeprefix("http://")
    assert status == "broken"
    assert message.startswith(f"The connection to {host} broke: ")
    assert message.endswith("; check the network, the proxy and EVOLINK_BASE_URL")


@pytest.fixture
def past_deadline(monkeypatch):
    """Let the deadline of each probe pass as soon as the event that is returned is set."""
    event = threading.Event()

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            assert timeout is not None
            assert event.wait(TIMEOUT)

    monkeypatch.setattr(probe, "threading", SimpleNamespace(Thread=Thread))
    return event


def test_a_probe_without_an_answer_ends_at_the_deadline(monkeypatch, past_deadline, findings):
    def never(reply: scripted_server.Reply) -> None:
        past_deadline.set()
        reply.stopping.wait(TIMEOUT)

    with serving(monkeypatch, never):
        assert findings("authentication") == [
            ("broken", "127.0.0.1 did not answer within 15 s; try again later")
        ]


def test_a_probe_without_a_connection_ends_at_the_deadline(monkeypatch, past_deadline, findings):
    past_deadline.set()
    with socket.create_server(("127.0.0.1", 0)) as listener:  # It never answers TLS.
        monkeypatch.setenv("EVOLINK_BASE_URL", f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert findings("server") == [
            (
                "broken",
                "Cannot reach 127.0.0.1 within 15 s; check the network, the proxy and "
                "EVOLINK_BASE_URL",
            )
        ]


def test_http_beyond_this_machine_is_a_note(monkeypatch, findings):
    with scripted_server.serve(refusing) as proxy:
        monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.example")
        monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")
        monkeypatch.setenv("http_proxy", proxy.url)
        ((status, message),) = findings("server")

    assert status == "note"
    assert re.fullmatch(
        r"http://evolink\.example connected in [0-9]+ ms, unencrypted: anyone who sees the "
        "traffic can read the key; use https://",
        message,
    )


def test_the_second_server_is_checked_when_the_first_is_unreachable(documented_servers):
    with scripted_server.serve(refusing) as second:
        documented_servers(UNREACHABLE, second.url)
        all_findings = list(checks.examine())

    first, other = (finding for finding in all_findings if finding.check == "server")
    assert first.status == "note"
    assert first.message.startswith("Cannot reach 127.0.0.1:1: ")
    assert first.message.endswith(f"; meanwhile prompts go to {second.url}")
    assert (other.status, other.message[: len(second.url)]) == ("ok", second.url)
    assert [finding.status for finding in all_findings if finding.check == "authentication"] == [
        "ok"
    ]


def test_all_servers_are_unreachable(documented_servers, findings):
    documented_servers(UNREACHABLE, "http://127.0.0.1:2")

    assert [status for status, _ in findings("server")] == ["broken", "broken"]
    assert findings("authentication") == [("note", "not checked: no server was reached")]


BUSY = "Busy; try again later (status 503)"
NOT_VALID = "Not valid; set another key with: llm keys set evolink (status 401)"


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (replying(503, {"error": "Busy"}), refusing, None),
        (lambda reply: reply.cut(), refusing, None),
        (replying(503, {"error": "Busy"}), replying(401, {"error": "Not valid"}), NOT_VALID),
        (replying(503, {"error": "Busy"}), replying(503, {"error": "Shut"}), BUSY),
        (replying(401, {"error": "Not valid"}), refusing, NOT_VALID),
    ],
    ids=["busy", "cut", "busy, then 401", "both busy", "401"],
)
def test_the_key_is_checked_where_a_prompt_would_end(
    documented_servers, first, second, problem, findings
):
    with scripted_server.serve(first) as one, scripted_server.serve(second) as other:
        documented_servers(one.url, other.url)
        expected = ("broken", problem) if problem else ("ok", f"{other.url} accepts the key")
        assert findings("authentication") == [expected]


def test_a_proxy_is_named_without_its_password(monkeypatch, documented_servers, no_dns):
    def refuse(reply: scripted_server.Reply) -> None:
        assert reply.request.method == "CONNECT"
        reply.respond(407)

    with scripted_server.serve(refuse) as proxy:
        documented_servers("https://one.example", "https://two.example", "https://three.example")
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
        monkeypatch.setenv("NO_PROXY", "three.example")
        all_findings = list(checks.examine())

    assert not any("secret" in finding.message for finding in all_findings)
    assert [finding.message for finding in all_findings if finding.check == "proxy"] == [
        f"NO_PROXY, https_proxy: to https://one.example through {proxy.url}, "
        f"to https://two.example through {proxy.url}, to https://three.example directly"
    ]
    messages = [finding.message for finding in all_findings if finding.check == "server"]
    advice = "check the network, the proxy and EVOLINK_BASE_URL"
    assert messages == [
        f"Cannot reach one.example through the proxy: 407 Scripted; {advice}",
        f"Cannot reach two.example through the proxy: 407 Scripted; {advice}",
        f"Cannot reach three.example: [Errno -2] Name or service not known; {advice}",
    ]


def test_loopback_is_reached_without_the_proxy(monkeypatch, findings):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(monkeypatch, refusing) as server:
        assert findings("proxy") == [("ok", f"HTTP_PROXY: to {server.url} directly")]


def test_a_proxy_with_an_unknown_scheme(monkeypatch, documented_servers, findings):
    documented_servers("https://one.example")
    monkeypatch.setenv("ALL_PROXY", "ftp://user:secret@127.0.0.1:9")

    problem = "ALL_PROXY is not the URL of an http://, https:// or socks5:// proxy"
    assert findings("proxy") == [("broken", problem)]
    assert findings("server") == [("broken", problem)]


def test_a_proxy_without_a_usable_server(monkeypatch, findings):
    monkeypatch.setenv("EVOLINK_BASE_URL", "nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert findings("proxy") == [("ok", "HTTPS_PROXY: there is no server to reach")]
