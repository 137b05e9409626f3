"""Proxies of the environment. A request for an https:// server begins with CONNECT."""

import itertools
import socket
import threading
from types import SimpleNamespace

import httpx
import pytest

from generated_client import SERVERS
from llm_evolink import errors, redaction
from llm_evolink.connection import clients, network, proxies
from llm_evolink.extra import install_command
from tests import scripted_server
from tests.four_ways import STREAMED, SYNC_STREAMED, Way, ask, way_id
from tests.llm_process import TIMEOUT
from tests.scripted_server import REFUSED, UNREACHABLE, answer, serving

pytestmark = pytest.mark.usefixtures("no_clients")


@pytest.fixture
def http_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a server beyond this machine that is reached over http://."""
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.invalid")
    monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_of_the_environment_is_used(http_server, monkeypatch, variable, scheme):
    if variable == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
    with scripted_server.serve(answer) as proxy:
        monkeypatch.setenv(variable, proxy.url.replace("http://", scheme))
        assert ask(SYNC_STREAMED).text == "hi"

    assert proxy.requests[0].path == "http://evolink.invalid/v1/chat/completions"


def test_no_proxy(http_server, no_dns, monkeypatch):
    with scripted_server.serve(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "other.example,evolink.invalid")
        outcome = ask(SYNC_STREAMED)

    assert str(outcome.error) == (
        "Cannot reach evolink.invalid: [Errno -2] Name or service not known; "
        "check with: llm evolink doctor"
    )
    assert proxy.requests == []


def test_loopback_is_never_reached_through_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", UNREACHABLE)
    with serving(monkeypatch, answer):
        assert ask(SYNC_STREAMED).text == "hi"


def test_a_proxy_that_refuses(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    with scripted_server.serve(lambda reply: reply.head(403, content_length=0)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outcome = ask(way)

    assert str(outcome.error) == (
        "Cannot reach evolink.invalid through the proxy: 403 Scripted; "
        "check with: llm evolink doctor"
    )
    assert "authorization" not in proxy.requests[0].headers


def test_a_proxy_that_cannot_be_reached(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    monkeypatch.setenv("HTTPS_PROXY", UNREACHABLE)

    reason = "All connection attempts failed" if way.asynchronous else REFUSED
    assert str(ask(way).error) == (
        f"Cannot reach evolink.invalid through the proxy: {reason}; check with: llm evolink doctor"
    )


def test_a_proxy_that_breaks_off_is_not_the_server(monkeypatch, later, way: Way):
    """Nothing of the request was written, so each server is tried, and nothing is billed."""
    monkeypatch.delenv("EVOLINK_BASE_URL", raising=False)
    later(1.01)
    with scripted_server.serve(lambda reply: reply.cut()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outcome = ask(way)

    assert [request.path for request in proxy.requests] == [
        f"{httpx.URL(server).host}:443" for server in SERVERS
    ]
    assert isinstance(outcome.error, errors.UnreachableError)
    assert outcome.error.may_be_billed is False


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_the_reply_of_a_proxy_has_to_be_complete_in_time(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    clock = itertools.count(0.0, 400.0)
    monkeypatch.setattr(network, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    def drip(reply: scripted_server.Reply) -> None:
        reply.send(b"H")
        assert reply.closed()

    with scripted_server.serve(drip) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outcome = ask(way)

    assert type(outcome.error) is errors.TimedOutError


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        *("ftp://proxy", "http://me:secret@[::1", "http://p:99999", "http://"),
        *("http://u:secret@a..b:1", "http://u:secret\udcff@127.0.0.1:1"),
    ],
)
def test_a_proxy_that_cannot_be_used(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    with pytest.raises(errors.InvalidRequestError) as raised:
        proxies.proxy_for(httpx.URL("https://evolink.invalid"))

    line = f"{variable} is not the URL of an http://, https:// or socks5:// proxy"
    assert str(raised.value) == line


def test_a_proxy_that_cannot_be_used_in_each_way(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy")

    assert str(ask(way).error).startswith("HTTPS_PROXY is not the URL of an http://")


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_used"),
    [
        ("evolink.invalid:8443", "https://evolink.invalid:8443", False),
        ("evolink.invalid:8443", "https://evolink.invalid", True),
        ("evolink.invalid:443", "https://evolink.invalid", False),
        ("evolink.invalid:80", "http://evolink.invalid", False),
        ("evolink.invalid", "https://evolink.invalid:8443", False),
        ("invalid", "https://evolink.invalid", False),
        ("other.invalid", "https://evolink.invalid", True),
    ],
)
def test_no_proxy_with_a_port(monkeypatch, no_proxy, url, is_used):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert bool(proxies.proxy_for(httpx.URL(url))) == is_used


def socks_server(listener: socket.socket, server: tuple[str, int]) -> None:
    """Serve one SOCKS 5 client without a password, as RFC 1928 describes."""
    client, _ = listener.accept()
    with client, socket.create_connection(server) as upstream:
        client.recv(3)
        client.sendall(b"\x05\x00")
        client.recv(262)
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        client.settimeout(TIMEOUT)

        def copy_reply() -> None:
            while data := upstream.recv(65536):
                client.sendall(data)

        copier = threading.Thread(target=copy_reply)
        copier.start()
        while data := client.recv(65536):
            upstream.sendall(data)
        upstream.shutdown(socket.SHUT_RDWR)
        copier.join()


def test_a_socks_proxy(http_server, monkeypatch, way: Way):
    with scripted_server.serve(answer) as server, socket.create_server(("127.0.0.1", 0)) as proxy:
        host, port = server.url.removeprefix("http://").split(":")
        thread = threading.Thread(target=socks_server, args=[proxy, (host, int(port))])
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.getsockname()[1]}")
        outcome = ask(way)
        clients._close()
        thread.join()

    assert (outcome.text, outcome.error) == ("hi", None)
    assert server.requests[0].headers["host"] == "evolink.invalid"


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([b""], "its SOCKS reply is not valid"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "its SOCKS reply is not valid"),
        ([b"\x05\x00", b"\x05"], "its SOCKS reply is not valid"),
        (
            [b"\x05\x00", b"\x05\x05\x00\x01\x7f\x00\x00\x01\x00\x00"],
            "Proxy Server could not connect: Connection refused.",
        ),
    ],
    ids=["closed", "not SOCKS", "cut", "refused"],
)
def test_a_socks_proxy_that_fails(http_server, monkeypatch, way: Way, replies, reason):
    """Nothing was sent to EvoLink, so nothing may have been billed."""

    def fail(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            for reply in replies:
                client.recv(262)
                client.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=fail, args=[proxy])
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.getsockname()[1]}")
        error = ask(way).error
        thread.join()

    assert str(error) == (
        f"Cannot reach evolink.invalid through the proxy: {reason.rstrip('.')}; "
        "check with: llm evolink doctor"
    )
    assert not error.may_be_billed


def test_a_socks_proxy_without_the_extra(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:secret@127.0.0.1:1080")
    monkeypatch.setattr(proxies, "find_spec", lambda name: None)

    with pytest.raises(errors.InvalidRequestError) as raised:
        proxies.proxy_for(httpx.URL("https://evolink.invalid"))

    assert str(raised.value) == (
        f"ALL_PROXY is a SOCKS proxy, which needs: {install_command('socks')}"
    )


def test_a_password_that_begins_with_another_is_redacted(monkeypatch):
    monkeypatch.setattr(redaction, "_credentials", {})
    redaction.keep_credentials_out("me", "secret")
    redaction.keep_credentials_out("me", "secret-word")

    assert redaction.without_credentials("secret-word, me:secret-word, secret") == "…, …, …"


@pytest.mark.parametrize("form", ["secret-word", "me:secret-word", "bWU6c2VjcmV0LXdvcmQ="])
def test_a_proxy_that_sends_its_password_back(monkeypatch, form):
    def refuse(reply: scripted_server.Reply) -> None:
        reply.send(f"HTTP/1.1 407 {form}\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    with scripted_server.serve(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:secret-word@"))
        outcome = ask(SYNC_STREAMED)

    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0LXdvcmQ="
    assert str(outcome.error).startswith("Cannot reach evolink.invalid through the proxy: 407 …")
    assert form not in str(outcome.error)
