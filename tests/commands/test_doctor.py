"""`llm evolink doctor`: one line a check, ok or what to do, and never the key."""

import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import llm
import pytest
from llm.plugins import pm

import generated_client
from llm_evolink.commands.doctor import checks, finding, probe
from llm_evolink.connection import settings
from llm_evolink.connection import tls as tls_module
from tests import llm_process, scripted_server
from tests.conftest import KEY
from tests.four_ways import in_memory, serving
from tests.llm_process import TIMEOUT

STORED = "sk-stored-0123456789wxyz"
DEAD = "http://127.0.0.1:1"
REFUSED = {"error": {"message": "messages is too short", "type": "invalid_request_error"}}


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("EVOLINK_MAX_RETRIES")
    # What no test here reaches.
    monkeypatch.setenv("EVOLINK_BASE_URL", DEAD)


def found(check: str) -> list[tuple[str, str]]:
    """Return status and message of the check."""
    return [(each.status, each.message) for each in checks.examine() if each.check == check]


def replying(status: int, body: Any = b"", **headers: str) -> scripted_server.Handler:
    return lambda reply: reply.respond(status, body, **headers)


refusing = replying(400, REFUSED)


def store(user_path: Path, name: str, content: str) -> None:
    user_path.mkdir(exist_ok=True)
    (user_path / name).write_text(content)


# The command


def lines(url: str, **changed: str) -> str:
    """Return the pattern of what the command prints, with these lines changed."""
    expected = {
        "versions": rf"ok      versions  llm {WORD}, llm-evolink {WORD}, Python {WORD}, {WORD}",
        "settings": f"ok      settings  EVOLINK_BASE_URL={url}",
        "key": "ok      key       that of EVOLINK_API_KEY, ending in cdef",
        "trust": "ok      trust     .+",
        "server": f"ok      server    {url} connected in [0-9]+ ms",
        "access": f"ok      access    {url} accepts the key",
        "proxy": "ok      proxy     none",
        "model": r"ok      model     gemini-3\.5-flash is EvoLink's",
        "logging": "ok      logging   on",
        "database": r"ok      database  \S+/logs\.db, not there before the first prompt",
        "client": r"ok      client    its servers and parameters are those of openapi\.json",
    }
    assert expected.keys() >= changed.keys()
    return "".join(f"{line}\n" for line in {**expected, **changed}.values())


WORD = r"[\w.]+"


def check_output(done: subprocess.CompletedProcess[str], pattern: str, returncode: int) -> None:
    assert re.fullmatch(pattern, done.stdout), done.stdout
    assert (done.stderr, done.returncode) == ("", returncode)


def test_all_is_well(sandbox, llm_command):
    done = llm_command("evolink", "doctor")

    check_output(done, lines(sandbox.url), 0)
    (request,) = sandbox.requests
    assert request.body == {"model": "gemini-3.5-flash", "messages": []}


def test_after_a_prompt_the_database_is_there(sandbox, llm_command, user_path):
    llm_command("-m", "gemini-3.5-flash", "hello")
    before = (user_path / "logs.db").read_bytes()

    done = llm_command("evolink", "doctor")

    database = re.escape(f"ok      database  {user_path}/logs.db")
    check_output(done, lines(sandbox.url, database=database), 0)
    assert (user_path / "logs.db").read_bytes() == before
    assert {path.name for path in user_path.iterdir()} == {"logs.db"}


def test_a_key_that_is_refused(sandbox, llm_command):
    done = llm_command("evolink", "doctor", env={"EVOLINK_API_KEY": "invalid"})

    pattern = lines(
        sandbox.url,
        key="ok      key       that of EVOLINK_API_KEY, of 7 characters",
        access="broken  access    Invalid or expired token; set another key with: llm keys set "
        rf"evolink \(status 401, request {WORD}\)",
    )
    check_output(done, pattern, 1)


def test_no_key_and_no_server(llm_command):
    done = llm_command("evolink", "doctor", env={"EVOLINK_API_KEY": ""})

    pattern = lines(
        DEAD,
        key="broken  key       No key found - add one using 'llm keys set evolink' or set the "
        "EVOLINK_API_KEY environment variable",
        server=r"broken  server    Cannot reach 127\.0\.0\.1:1: .+; check the network, the proxy "
        "and EVOLINK_BASE_URL",
        access="note    access    not checked: there is no key to send",
    )
    check_output(done, pattern, 1)


def test_json(sandbox, llm_command, user_path):
    store(user_path, "logs-off", "")

    done = llm_command("evolink", "doctor", "--json")

    findings = json.loads(done.stdout)
    assert (done.stderr, done.returncode) == ("", 0)
    assert [finding["check"] for finding in findings] == [
        "versions",
        "settings",
        "key",
        "trust",
        "server",
        "access",
        "proxy",
        "model",
        "logging",
        "database",
        "client",
    ]
    assert findings[5] == {
        "check": "access",
        "status": "ok",
        "message": f"{sandbox.url} accepts the key",
    }
    assert findings[8] == {
        "check": "logging",
        "status": "note",
        "message": "off, so nothing is logged; turn it on with: llm logs on",
    }


@pytest.mark.parametrize("order", ["llm-gemini,llm-evolink", "llm-evolink,llm-gemini"])
def test_beside_llm_gemini(sandbox, llm_command, order):
    done = llm_command("evolink", "doctor", env={"LLM_LOAD_PLUGINS": order})

    model = (
        r"ok      model     gemini-3\.5-flash is EvoLink's; llm-gemini has it as well, as "
        r"gemini/gemini-3\.5-flash"
    )
    check_output(done, lines(sandbox.url, model=model), 0)


def test_the_key_is_not_shown_when_a_server_sends_it_back(monkeypatch, llm_command):
    echo = replying(401, {"error": {"message": f"Bad key {KEY}!"}}, x_request_id=KEY)
    with serving(monkeypatch, echo) as server:
        done = llm_command("evolink", "doctor")
        as_json = finding.as_json(checks.examine())

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert done.returncode == 1
    assert KEY not in done.stdout + done.stderr + as_json
    assert (
        "broken  access    Bad key …cdef!; set another key with: llm keys set evolink (status 401, "
        "request …cdef)\n"
    ) in done.stdout


def test_a_server_that_is_silent(monkeypatch, llm_in_process):
    def respond(request: httpx.Request) -> httpx.Response:
        sent = SimpleNamespace(method=b"POST")
        request.extensions["trace"]("http11.send_request_headers.started", {"request": sent})
        raise httpx.ReadTimeout("")

    url = "http://127.0.0.1:1"
    monkeypatch.setenv("EVOLINK_BASE_URL", url)
    in_memory(monkeypatch, respond)
    done = llm_in_process("evolink", "doctor")

    silent = r"127\.0\.0\.1 was silent for 60 s; try again, or set EVOLINK_TIMEOUT to more seconds"
    model = "ok      model     .+"  # Other plugins are loaded in this process.
    check_output(done, lines(url, access=f"broken  access    {silent}", model=model), 1)


def in_terminal(*command: str) -> str:
    """Return what the command writes to a terminal."""
    with (
        llm_process.Terminal() as terminal,
        llm_process.start(*command, stdout=terminal.fd) as process,
    ):
        text = terminal.read()
    assert process.returncode == 0
    return text


def test_in_a_terminal_it_is_coloured_and_fits(sandbox, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")

    shown = in_terminal("evolink", "doctor")

    assert "\x1b[32mok    \x1b[0m  key       that of EVOLINK_API_KEY, ending in cdef\n" in shown
    plain = re.sub(r"\x1b\[\d+m", "", shown).splitlines()
    # But a path is not broken.
    assert max(len(line) for line in plain if "/logs.db" not in line) <= 70


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, "broken  server    Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (80, "broken  server    Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (
            60,
            "broken  server    Cannot reach …; check EVOLINK_BASE_URL, or\n"
            "                  log in there",
        ),
        (59, "broken  server\n  Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (30, "broken  server\n  Cannot reach …; check\n  EVOLINK_BASE_URL, or log in\n  there"),
        (9, "broken  server\n  Cannot\n  reach\n  …;\n  check\n  EVOLINK_BASE_URL,\n  or log\n"
            "  in\n  there"),
    ],
)  # fmt: skip
def test_any_width(width, shown):
    message = "Cannot reach …; check EVOLINK_BASE_URL, or log in there"
    found = finding.Finding("server", "broken", message)

    styled = finding.as_lines(found, width)

    assert styled == shown.replace("broken", "\x1b[31mbroken\x1b[0m")
    ascii_only = finding.as_lines(found, width, "ascii")
    assert ascii_only == styled.replace("…", "?")


# The key


def test_a_stored_key(user_path, monkeypatch):
    store(user_path, "keys.json", json.dumps({"evolink": STORED}))
    monkeypatch.delenv("EVOLINK_API_KEY")

    assert found("key") == [("ok", "the one stored in llm, ending in wxyz")]


def test_a_stored_key_and_the_same_in_the_environment(user_path):
    store(user_path, "keys.json", json.dumps({"evolink": KEY}))

    assert found("key") == [("ok", "the one stored in llm, ending in cdef")]


def test_a_stored_key_and_another_in_the_environment(user_path, monkeypatch):
    store(user_path, "keys.json", json.dumps({"evolink": STORED}))
    # Neither is shown, whichever the server sends back.
    body = {"error": {"message": f"{KEY} or {STORED}"}}
    with serving(monkeypatch, replying(401, body)) as server:
        key, access = found("key"), found("access")

    assert server.requests[0].headers["authorization"] == f"Bearer {STORED}"
    assert key == [
        (
            "note",
            "the one stored in llm, ending in wxyz, not that of EVOLINK_API_KEY, ending in cdef; "
            "llm takes the stored one: to use the other, store it with: llm keys set evolink",
        )
    ]
    assert access == [
        (
            "broken",
            "…cdef or …wxyz; set another key with: llm keys set evolink (status 401)",
        )
    ]


def test_a_key_that_cannot_be_one(monkeypatch):
    monkeypatch.setenv("EVOLINK_API_KEY", "two words")

    assert found("key") == [
        (
            "broken",
            "The EvoLink key holds a character that no key has: a space, or a quotation mark of an "
            "editor; set another key with: llm keys set evolink",
        )
    ]
    assert found("access") == [("note", "not checked: there is no key to send")]


def test_a_key_in_the_place_of_something_else(monkeypatch):
    monkeypatch.setenv("EVOLINK_TIMEOUT", KEY)

    assert not any(KEY in finding.message for finding in checks.examine())


def test_stored_keys_that_are_not_json(user_path):
    store(user_path, "keys.json", "{")

    ((status, message),) = found("key")

    assert status == "broken"
    assert message.startswith(f"{user_path}/keys.json is not JSON (")
    assert message.endswith("): correct it or remove it")


def test_a_user_folder_that_cannot_be(user_path):
    user_path.write_text("")

    advice = "give yourself the right to it, or name another folder in LLM_USER_PATH"
    for check in ("key", "model", "logging", "database"):
        assert found(check) == [("broken", f"{user_path}: File exists; {advice}")]


# Settings


def test_no_setting(monkeypatch):
    monkeypatch.delenv("EVOLINK_BASE_URL")
    monkeypatch.setattr(settings, "SERVERS", (DEAD,))

    assert found("settings") == [("ok", "the defaults")]


def test_each_setting_that_is_useless_is_named(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.example")
    monkeypatch.setenv("EVOLINK_TIMEOUT", "soon")
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "-1")

    assert found("settings") == [
        (
            "broken",
            "EVOLINK_BASE_URL would send the key unencrypted to evolink.example: use https://, or "
            "set EVOLINK_ALLOW_HTTP=1; change it, or unset it. "
            "EVOLINK_TIMEOUT is not a number from 0.001 to 86400: 'soon'; change it, or unset it. "
            "EVOLINK_MAX_RETRIES is not a whole number from 0 to 100: '-1'; change it, or unset it",
        )
    ]
    assert found("server") == [
        ("note", "not checked: EVOLINK_BASE_URL names none that can be used")
    ]
    assert found("access") == [("note", "not checked: no server was reached")]
    assert found("proxy") == [("ok", "none")]


def test_the_servers_are_checked_whatever_the_timeout_is(monkeypatch):
    monkeypatch.setenv("EVOLINK_TIMEOUT", "soon")
    with serving(monkeypatch, refusing) as server:
        assert found("access") == [("ok", f"{server.url} accepts the key")]


# What a server says


KEYS = "https://evolink.ai/dashboard/keys"
LOGIN = "check EVOLINK_BASE_URL, and whether the network wants a login"
COMPLETION = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
ANSWERS = [
    pytest.param(refusing, None, id="400"),
    pytest.param(replying(422, {"detail": [{"msg": "too short"}]}), None, id="422"),
    pytest.param(replying(400, [REFUSED]), None, id="a list"),
    pytest.param(replying(200, COMPLETION), None, id="an answer"),
    pytest.param(
        replying(400, "<html><title>400 Plain HTTP was sent</title></html>"),
        "The server answered with something that is no reply: The server answered with a web page: "
        f"400 Plain HTTP was sent; {LOGIN}",
        id="400 of something else",
    ),
    pytest.param(
        replying(200, "<html><title>Hotel</title></html>", content_type="text/html"),
        "The server answered with something that is no reply: The server answered with a web page: "
        f"Hotel; {LOGIN}",
        id="a login page",
    ),
    pytest.param(
        replying(200, {"choices": []}),
        "The server answered with something that is no reply: a body without a message; " + LOGIN,
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
    access = findings["access"]
    if problem is None:
        assert (access.status, access.message) == ("ok", f"{server.url} accepts the key")
    else:
        assert (access.status, access.message) == ("broken", problem)


def test_a_server_that_breaks_the_connection(monkeypatch):
    with serving(monkeypatch, lambda reply: reply.cut()) as server:
        ((status, message),) = found("access")

    host = server.url.removeprefix("http://")
    assert status == "broken"
    assert message.startswith(f"The connection to {host} broke: ")
    assert message.endswith("; check the network, the proxy and EVOLINK_BASE_URL")


def test_a_server_that_never_answers_is_left(monkeypatch):
    asked = threading.Event()

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            """Let the time go by, at least until the server was asked."""
            assert timeout is not None
            assert asked.wait(TIMEOUT)

    def never(reply: scripted_server.Reply) -> None:
        asked.set()
        reply.stopping.wait(TIMEOUT)

    monkeypatch.setattr(probe, "threading", SimpleNamespace(Thread=Thread))
    with serving(monkeypatch, never):
        assert found("access") == [
            ("broken", "127.0.0.1 did not answer within 15 s; try again later")
        ]


def test_a_server_that_never_takes_the_connection_is_left(monkeypatch):
    monkeypatch.setattr(probe, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # It says nothing to TLS.
        monkeypatch.setenv("EVOLINK_BASE_URL", f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert found("server") == [
            (
                "broken",
                "Cannot reach 127.0.0.1 within 0.5 s; check the network, the proxy and "
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


# Several servers


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Name the servers that the document is to have."""

    def name(*urls: str) -> None:
        monkeypatch.delenv("EVOLINK_BASE_URL")
        monkeypatch.setattr(settings, "SERVERS", urls)

    return name


def test_the_second_is_checked_when_the_first_is_not_there(servers):
    with scripted_server.serve(refusing) as second:
        servers(DEAD, second.url)
        findings = list(checks.examine())

    first, other = (finding for finding in findings if finding.check == "server")
    assert first.status == "note"
    assert first.message.startswith("Cannot reach 127.0.0.1:1: ")
    assert first.message.endswith(f"; meanwhile prompts go to {second.url}")
    assert (other.status, other.message[: len(second.url)]) == ("ok", second.url)
    assert [finding.status for finding in findings if finding.check == "access"] == ["ok"]


def test_none_is_there(servers):
    servers(DEAD, "http://127.0.0.1:2")

    assert [status for status, _ in found("server")] == ["broken", "broken"]
    assert found("access") == [("note", "not checked: no server was reached")]


BUSY = "Busy; try again later (status 503)"
NOT_VALID = "Not valid; set another key with: llm keys set evolink (status 401)"


@pytest.mark.parametrize(
    ("first", "second", "access"),
    [
        (replying(503, {"error": "Busy"}), refusing, None),
        (lambda reply: reply.cut(), refusing, None),
        (replying(503, {"error": "Busy"}), replying(401, {"error": "Not valid"}), NOT_VALID),
        (replying(503, {"error": "Busy"}), replying(503, {"error": "Shut"}), BUSY),
        (replying(401, {"error": "Not valid"}), refusing, NOT_VALID),
    ],
    ids=["busy", "cut", "busy, then 401", "both busy", "401"],
)
def test_the_key_is_checked_where_a_prompt_would_end(servers, first, second, access):
    with scripted_server.serve(first) as one, scripted_server.serve(second) as other:
        servers(one.url, other.url)
        expected = ("broken", access) if access else ("ok", f"{other.url} accepts the key")
        assert found("access") == [expected]


# TLS


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
    assert message.endswith("; SSL_CERT_FILE can name the file of an authority to trust")
    assert server.requests == []


def test_a_certificate_that_is_trusted(monkeypatch, tls, certificate, fresh_context):
    authority = certificate.with_suffix(".crt")
    fresh_context(SSL_CERT_FILE=str(authority))
    with scripted_server.serve(refusing, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        findings = {finding.check: finding for finding in checks.examine()}

    assert findings["trust"].message == f"SSL_CERT_FILE={authority}"
    assert findings["server"].status == "ok"
    assert findings["access"].message == f"{server.url} accepts the key"


def test_the_system_s_authorities(fresh_context):
    places = list(tls_module.system_authorities().values())
    if not places:
        pytest.skip("the system has none")

    assert found("trust") == [("ok", f"the system's certificate authorities, {places[0]}")]


def test_where_the_system_has_none(fresh_context):
    fresh_context(SSL_CERT_FILE="", SSL_CERT_DIR="")

    expected = "certifi's certificate authorities; the system has none"
    assert found("trust") == [("ok", expected)]


def test_where_the_system_is_asked_itself(monkeypatch):
    monkeypatch.setattr(tls_module, "tls_context", lambda: None)
    monkeypatch.setattr(sys, "platform", "darwin")

    assert found("trust") == [("ok", "the system's certificate authorities")]

    monkeypatch.setenv("SSL_CERT_DIR", "/certificates")
    assert found("trust") == [("ok", "SSL_CERT_DIR=/certificates")]


def test_authorities_that_are_not_there(fresh_context, tmp_path):
    fresh_context(SSL_CERT_FILE=str(tmp_path / "none.pem"))

    ((status, message),) = found("trust")

    assert status == "broken"
    assert message.startswith("SSL_CERT_FILE names a file without a readable certificate: ")


# Proxies


def test_a_proxy_is_named_without_its_password(monkeypatch, servers):
    def refuse(reply: scripted_server.Reply) -> None:
        assert reply.request.method == "CONNECT"
        reply.respond(407)

    with scripted_server.serve(refuse) as proxy:
        servers("https://one.example", "https://two.example", "https://three.example")
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


def test_a_proxy_of_no_use(monkeypatch, servers):
    servers("https://one.example")
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@127.0.0.1:9")

    problem = "ALL_PROXY is not the address of an http:// or https:// proxy"
    assert found("proxy") == [("broken", problem)]
    assert found("server") == [("broken", problem)]


def test_a_proxy_and_no_server(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert found("proxy") == [("ok", "HTTPS_PROXY: there is no server to reach")]


# The model


class Rival(llm.Model):
    model_id = "rival"

    def execute(self, *arguments: Any) -> Any:
        raise NotImplementedError


def test_a_plugin_that_takes_the_name(user_path):
    class Plugin:
        __name__ = "rival"

        # Beside ours, which is trylast as well, the one installed last.
        @staticmethod
        @llm.hookimpl(trylast=True)
        def register_models(register: Callable[..., None]) -> None:
            register(Rival(), aliases=("gemini-3.5-flash",))

    plugin = Plugin()
    llm.get_models()
    pm.register(plugin)
    try:
        taken = isinstance(llm.get_model("gemini-3.5-flash"), Rival)
        ((status, message),) = found("model")
    finally:
        pm.unregister(plugin)

    assert taken
    assert (status, message) == (
        "broken",
        "gemini-3.5-flash is rival of tests: use -m evolink/gemini-3.5-flash, or: "
        "llm uninstall tests",
    )


def test_aliases_that_are_not_json(user_path):
    store(user_path, "aliases.json", "{")

    ((status, message),) = found("model")

    assert status == "broken"
    assert message.startswith(f"{user_path}/aliases.json is not JSON (")


# The log


def database(user_path: Path) -> Path:
    user_path.mkdir(exist_ok=True)
    path = user_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table turns (id text)")
    connection.close()
    return path


def test_a_database_that_is_locked(user_path, monkeypatch):
    monkeypatch.setattr(checks, "LOCK_TIMEOUT", 0.1)
    path = database(user_path)
    other = sqlite3.connect(path)
    other.execute("begin immediate")

    assert found("database") == [
        ("broken", f"{path} is locked by another process: wait for it, or end it")
    ]
    other.close()
    assert found("database") == [("ok", str(path))]


@pytest.mark.parametrize("logging", ["on", "off"])
def test_a_database_that_is_none(user_path, logging):
    store(user_path, "logs.db", "x" * 4096)
    if logging == "off":
        store(user_path, "logs-off", "")

    assert found("database") == [
        (
            "broken" if logging == "on" else "note",
            f"{user_path}/logs.db cannot be written to (file is not a database): move it "
            "away, and llm makes a new one",
        )
    ]


@pytest.fixture
def unprivileged() -> list[str]:
    """What to put before a command that rights on files are to bind, root's as well."""
    if os.geteuid():
        return []
    if setpriv := shutil.which("setpriv"):
        return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]
    pytest.skip("root may write anywhere, and setpriv is not installed")


@pytest.mark.parametrize("name", ["", "logs.db"], ids=["folder", "file"])
def test_what_may_not_be_written_to(user_path, sandbox, unprivileged, name):
    database(user_path)
    path = user_path / name
    path.chmod(0o500)
    done = subprocess.run(
        [*unprivileged, llm_process.LLM, "evolink", "doctor"],
        capture_output=True,
        text=True,
        check=False,
    )

    expected = re.escape(
        f"broken  database  {path} cannot be written to: give yourself the right to it, or name "
        "another folder in LLM_USER_PATH"
    )
    check_output(done, lines(sandbox.url, database=expected), 1)


# The client


DOCUMENT = json.loads((Path(generated_client.__file__).parent / "openapi.json").read_text())


def changed(**properties: Any) -> dict[str, Any]:
    """Return the document with other servers, or other parameters."""
    document = json.loads(json.dumps(DOCUMENT))
    schema = document["components"]["schemas"]["ChatCompletionQuickRequest"]
    schema["properties"] = properties.get("parameters", schema["properties"])
    document["servers"] = properties.get("servers", document["servers"])
    return document


PARAMETERS = DOCUMENT["components"]["schemas"]["ChatCompletionQuickRequest"]["properties"]
DOCUMENTS = [
    (json.dumps(changed(servers=[{"url": "https://new.example"}])),
     "https://api.evolink.ai, https://direct.evolink.ai, https://new.example"),
    (json.dumps(changed(parameters={**PARAMETERS, "top_k": {}})), "top_k"),
    (json.dumps(changed(parameters={k: v for k, v in PARAMETERS.items() if k != "n"})), "n"),
    (json.dumps({"servers": []}), "it cannot be read, KeyError('components')"),
    ("", "it cannot be read, JSONDecodeError('Expecting value: line 1 column 1 (char 0)')"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "differing"), DOCUMENTS, ids=["servers", "more", "fewer", "other", "empty"]
)
def test_a_client_of_another_document(monkeypatch, tmp_path, document, differing):
    (tmp_path / "openapi.json").write_text(document)
    monkeypatch.setattr(checks, "files", lambda package: tmp_path)

    assert found("client") == [
        (
            "broken",
            f"generated_client does not match its openapi.json ({differing}): install llm-evolink "
            "again, or run scripts/regenerate in a clone",
        )
    ]
