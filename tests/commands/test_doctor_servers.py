"""Doctor's checks of servers, authentication, certificates and proxies."""

import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_evolink.commands.doctor import checks, probe
from llm_evolink.connection import tls as tls_module
from tests import scripted_server
from tests.commands.conftest import DEAD, REFUSED, found, replying
from tests.four_ways import KEY, serving
from tests.llm_process import TIMEOUT

refusing = replying(400, REFUSED)

pytestmark = pytest.mark.usefixtures("doctor_environment")


KEYS = "https://evolink.ai/dashboard/keys"
LOGIN = "check EVOLINK_BASE_URL, and whether the network wants a login"
COMPLETION = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
ANSWERS = [
    pytest.param(refusing, None, id="400"),
    pytest.param(replying(422, {"detail": [{"msg": "messages too short"}]}), None, id="422"),
    pytest.param(replying(400, [REFUSED]), None, id="a list"),
    pytest.param(replying(200, COMPLETION), None, id="an answer"),
    pytest.param(
        replying(400, "<html><title>400 Plain HTTP was sent</title></html>"),
        "The server answered with something that is not a reply: The server answered with a web "
        "page: "
        f"400 Plain HTTP was sent; {LOGIN}",
        id="400 of something else",
    ),
    pytest.param(
        replying(200, "<html><title>Hotel</title></html>", content_type="text/html"),
        "The server answered with something that is not a reply: The server answered with a web "
        "page: "
        f"Hotel; {LOGIN}",
        id="a login page",
    ),
    pytest.param(
        replying(200, {"choices": []}),
        "The server answered with something that is not a reply: a body without a message; "
        + LOGIN,
        id="no answer",
    ),
    pytest.param(
        replying(302, b"", location="https://hotel.example/login"),
        "The server redirects to https://hotel.example/login; redirects are not followed; "
        f"{LOGIN} (status 302)",
        id="a redirect",
    ),
    pytest.param(
        replying(402, {"error": {"message": "Quota used up"}}),
        "Quota used up; top up at https://evolink.ai/dashboard/billing (status 402)",
        id="402",
    ),
    pytest.param(
        replying(403, {"error": {"message": "Access denied"}}, x_oneapi_request_id="r-1"),
        f"Access denied (status 403, request r-1); see what the key may do at {KEYS}",
        id="403",
    ),
    pytest.param(
        replying(404, {"error": {"message": "No such page"}}),
        "No such page; check EVOLINK_BASE_URL (status 404)",
        id="404",
    ),
    pytest.param(
        replying(418, {"error": {"message": "A teapot"}}),
        "A teapot (status 418); check EVOLINK_BASE_URL",
        id="418",
    ),
    pytest.param(
        replying(429, {"error": {"message": "Too many requests"}}, retry_after="60"),
        "Too many requests; wait, then try again (status 429)",
        id="429",
    ),
    pytest.param(
        replying(500, {"error": {"message": "Oh\x1b[31m\nno"}}),
        "Oh [31m no; try again later (status 500)",
        id="500",
    ),
    pytest.param(
        replying(502, "<title>502 Bad Gateway</title>"),
        "The server answered with a web page: 502 Bad Gateway; try again later (status 502)",
        id="502",
    ),
]


@pytest.mark.parametrize(("handler", "problem"), ANSWERS)
def test_what_the_server_says(monkeypatch, handler, problem):
    with serving(monkeypatch, handler) as server:
        findings = {finding.check: finding for finding in checks.examine()}

    assert len(server.requests) == 1
    assert findings["server"].status == "ok"
    authentication = findings["authentication"]
    if problem is None:
        assert (authentication.status, authentication.message) == (
            "ok",
            f"{server.url} accepts the key",
        )
    else:
        assert (authentication.status, authentication.message) == ("broken", problem)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        # LiteLLM with a wrong key.
        (
            400,
            {"error": {"message": "Authentication Error, Invalid token", "code": "400"}},
            "Authentication Error, Invalid token (status 400)",
        ),
        (400, {"error": {"message": "max_tokens is too small"}}, "max_tokens is too small"),
        (422, {"detail": [{"loc": ["body", "model"], "msg": "Unknown"}]}, "Unknown"),
        (400, {"error": {"message": f"Bad key {KEY}"}}, "Bad key …cdef"),
        # Only a text counts, not the name of a field.
        (400, {"messages": [], "error": "Not found"}, "Not found"),
    ],
)
def test_a_refusal_for_another_reason_does_not_accept_the_key(monkeypatch, status, body, words):
    with serving(monkeypatch, replying(status, body)) as server:
        ((status, message),) = found("authentication")

    start = f"unknown: {server.url} refused the test request, but not because it has no messages: "
    assert status == "note"
    assert message.startswith(start + words)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "[] is too short", "param": "messages"}},
        {"error": {"message": "field messages is required"}},
        {"detail": [{"loc": ["body", "messages"], "msg": "List should have at least 1 item"}]},
    ],
)
def test_a_refusal_of_the_messages_accepts_the_key(monkeypatch, body):
    with serving(monkeypatch, replying(400, body)) as server:
        assert found("authentication") == [("ok", f"{server.url} accepts the key")]


@pytest.mark.parametrize("label", ["a..b", "a" * 64 + ".com"])
def test_a_host_name_that_idna_refuses(monkeypatch, label):
    monkeypatch.setenv("EVOLINK_BASE_URL", f"https://{label}.example")

    findings = list(checks.examine())

    broken = [finding.message for finding in findings if finding.status == "broken"]
    assert len(broken) == 1
    assert "EVOLINK_BASE_URL" in broken[0]
    assert findings[-1].check == "generated client"


def test_a_proxy_that_idna_refuses(monkeypatch, documented_servers):
    documented_servers("https://one.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@a..b:1")

    findings = list(checks.examine())

    assert not any("secret" in finding.message for finding in findings)
    ((status, message),) = [
        (finding.status, finding.message) for finding in findings if finding.check == "server"
    ]
    assert status == "broken"
    assert "PROXY" in message or "proxy" in message
    assert findings[-1].check == "generated client"


def test_a_server_that_breaks_the_connection(monkeypatch):
    with serving(monkeypatch, lambda reply: reply.cut()) as server:
        ((status, message),) = found("authentication")

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


def test_a_server_that_never_answers_is_left(monkeypatch, past_deadline):
    def never(reply: scripted_server.Reply) -> None:
        past_deadline.set()
        reply.stopping.wait(TIMEOUT)

    with serving(monkeypatch, never):
        assert found("authentication") == [
            ("broken", "127.0.0.1 did not answer within 15 s; try again later")
        ]


def test_a_server_that_never_takes_the_connection_is_left(monkeypatch, past_deadline):
    past_deadline.set()
    with socket.create_server(("127.0.0.1", 0)) as listener:  # It never answers TLS.
        monkeypatch.setenv("EVOLINK_BASE_URL", f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert found("server") == [
            (
                "broken",
                "Cannot reach 127.0.0.1 within 15 s; check the network, the proxy and "
                "EVOLINK_BASE_URL",
            )
        ]


def test_unencrypted_beyond_this_machine(monkeypatch):
    with scripted_server.serve(refusing) as proxy:
        monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.example")
        monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")
        monkeypatch.setenv("http_proxy", proxy.url)
        ((status, message),) = found("server")

    assert status == "note"
    assert re.fullmatch(
        r"http://evolink\.example connected in [0-9]+ ms, unencrypted: who sees the traffic can "
        "read the key; use https://",
        message,
    )


def test_the_second_is_checked_when_the_first_is_not_there(documented_servers):
    with scripted_server.serve(refusing) as second:
        documented_servers(DEAD, second.url)
        findings = list(checks.examine())

    first, other = (finding for finding in findings if finding.check == "server")
    assert first.status == "note"
    assert first.message.startswith("Cannot reach 127.0.0.1:1: ")
    assert first.message.endswith(f"; meanwhile prompts go to {second.url}")
    assert (other.status, other.message[: len(second.url)]) == ("ok", second.url)
    assert [finding.status for finding in findings if finding.check == "authentication"] == ["ok"]


def test_none_is_there(documented_servers):
    documented_servers(DEAD, "http://127.0.0.1:2")

    assert [status for status, _ in found("server")] == ["broken", "broken"]
    assert found("authentication") == [("note", "not checked: no server was reached")]


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
def test_the_key_is_checked_where_a_prompt_would_end(documented_servers, first, second, problem):
    with scripted_server.serve(first) as one, scripted_server.serve(second) as other:
        documented_servers(one.url, other.url)
        expected = ("broken", problem) if problem else ("ok", f"{other.url} accepts the key")
        assert found("authentication") == [expected]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a certificate of 127.0.0.1 that nobody trusts, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        *(openssl, "req", "-x509", "-nodes", "-newkey", "ec", "-subj", "/CN=localhost"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", path, "-out", path.with_suffix(".crt")),
    ]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def fresh_context(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have this environment read anew for TLS, and put back what was after the test."""
    monkeypatch.setattr(tls_module, "tls_context", tls_module.tls_context.__wrapped__)
    return lambda **variables: [monkeypatch.setenv(*item) for item in variables.items()]


def test_a_certificate_that_nobody_trusts(monkeypatch, tls, fresh_context):
    with scripted_server.serve(refusing, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        ((status, message),) = found("server")

    assert status == "broken"
    assert message.startswith(f"Cannot reach {server.url.removeprefix('https://')}: [SSL: CERT")
    assert message.endswith("; SSL_CERT_FILE can name a file with the CA certificate to trust")
    assert server.requests == []


def test_a_certificate_that_is_trusted(monkeypatch, tls, certificate, fresh_context):
    authority = certificate.with_suffix(".crt")
    fresh_context(SSL_CERT_FILE=str(authority))
    with scripted_server.serve(refusing, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        findings = {finding.check: finding for finding in checks.examine()}

    assert findings["certificates"].message == f"SSL_CERT_FILE={authority}"
    assert findings["server"].status == "ok"
    assert findings["authentication"].message == f"{server.url} accepts the key"


def test_the_system_s_authorities(fresh_context):
    places = list(tls_module.system_ca_certificates().values())
    if not places:
        pytest.skip("the system has none")

    assert found("certificates") == [("ok", f"the system's trust store, {places[0]}")]


def test_where_the_system_has_none(fresh_context):
    fresh_context(SSL_CERT_FILE="", SSL_CERT_DIR="")

    expected = "certifi's CA certificates; the system has none"
    assert found("certificates") == [("ok", expected)]


def test_where_the_system_is_asked_itself(monkeypatch):
    monkeypatch.setattr(tls_module, "tls_context", lambda: None)
    monkeypatch.setattr(sys, "platform", "darwin")

    assert found("certificates") == [("ok", "the system's trust store")]

    monkeypatch.setenv("SSL_CERT_DIR", "/certificates")
    assert found("certificates") == [("ok", "SSL_CERT_DIR=/certificates")]


def test_authorities_that_are_not_there(fresh_context, tmp_path):
    fresh_context(SSL_CERT_FILE=str(tmp_path / "none.pem"))

    ((status, message),) = found("certificates")

    assert status == "broken"
    assert message.startswith("SSL_CERT_FILE names a file without a readable certificate: ")


def test_a_proxy_is_named_without_its_password(monkeypatch, documented_servers):
    def refuse(reply: scripted_server.Reply) -> None:
        assert reply.request.method == "CONNECT"
        reply.respond(407)

    with scripted_server.serve(refuse) as proxy:
        documented_servers("https://one.example", "https://two.example", "https://three.example")
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
        monkeypatch.setenv("NO_PROXY", "three.example")
        findings = list(checks.examine())

    assert not any("secret" in finding.message for finding in findings)
    assert [finding.message for finding in findings if finding.check == "proxy"] == [
        f"NO_PROXY, https_proxy: to https://one.example through {proxy.url}, "
        f"to https://two.example through {proxy.url}, to https://three.example directly"
    ]
    messages = [finding.message for finding in findings if finding.check == "server"]
    assert messages[0] == (
        "Cannot reach one.example through the proxy: 407 Scripted; check the network, the proxy "
        "and EVOLINK_BASE_URL"
    )


def test_a_proxy_that_is_not_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(monkeypatch, refusing) as server:
        assert found("proxy") == [("ok", f"HTTP_PROXY: to {server.url} directly")]


def test_a_proxy_of_no_use(monkeypatch, documented_servers):
    documented_servers("https://one.example")
    monkeypatch.setenv("ALL_PROXY", "ftp://user:secret@127.0.0.1:9")

    problem = "ALL_PROXY is not the URL of an http://, https:// or socks5:// proxy"
    assert found("proxy") == [("broken", problem)]
    assert found("server") == [("broken", problem)]


def test_a_proxy_and_no_server(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert found("proxy") == [("ok", "HTTPS_PROXY: there is no server to reach")]
