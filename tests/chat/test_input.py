"""Bad input: prompts, options, and values of the environment."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from llm_evolink import errors
from llm_evolink.connection import clients, settings
from llm_evolink.connection import tls as tls_module
from tests import scripted_server
from tests.four_ways import SYNC_STREAMED, Way, answer, ask, serving

SURROGATE = "The prompt holds half of a surrogate pair, which cannot be sent"


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Proxies and authorities are looked up when a client is made.
    monkeypatch.setattr(clients, "_clients", {})
    yield
    clients._close()


def test_a_prompt_of_20_mb(monkeypatch, way: Way):
    prompt = "é" * 10_000_000
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert (outcome.text, outcome.error) == ("hi", None)
    assert server.requests[0].json()["messages"][0]["content"] == prompt


def test_nul_is_sent(monkeypatch, way: Way):
    with serving(monkeypatch, answer) as server:
        assert ask(way, "a\x00b").text == "hi"

    assert server.requests[0].json()["messages"][0]["content"] == "a\x00b"


@pytest.mark.parametrize("prompt", ["", " ", "\n\t \u3000"])
def test_an_empty_prompt_is_not_sent(monkeypatch, way: Way, prompt):
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert isinstance(outcome.error, errors.InvalidRequestError)
    assert str(outcome.error).startswith("The prompt is empty")
    assert server.requests == []


@pytest.mark.parametrize("prompt", ["\ud800", "a\udfffb"])
def test_half_of_a_surrogate_pair_is_not_sent(monkeypatch, way: Way, prompt):
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert (type(outcome.error), str(outcome.error)) == (errors.InvalidRequestError, SURROGATE)
    assert server.requests == []


def test_an_unknown_option(llm_command):
    done = llm_command("-m", "gemini-3.5-flash", "hi", "-o", "warmth", "2")

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "Error: warmth\n  Extra inputs are not permitted\n"


ADDRESS = "EVOLINK_BASE_URL is not a server's address, such as https://direct.evolink.ai: "
VALUES = [
    ("EVOLINK_BASE_URL", value, ADDRESS + repr(value))
    for value in (
        "direct.evolink.ai",
        "localhost:8787",
        "ftp://direct.evolink.ai",
        "//direct.evolink.ai",
        "https://",
        "https:///v1",
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "https://a b",
        "https://direct.evolink.ai?x=1",
        "https://direct.evolink.ai#v1",
    )
]
VALUES += [
    (
        "EVOLINK_BASE_URL",
        "https://me:secret@direct.evolink.ai",
        "EVOLINK_BASE_URL holds a user name: give the address alone",
    ),
    *(
        (
            "EVOLINK_BASE_URL",
            f"http://{host}",
            f"EVOLINK_BASE_URL would send the key unencrypted to {host}: use https://, or set "
            "EVOLINK_ALLOW_HTTP=1",
        )
        for host in ("direct.evolink.ai", "192.0.2.1", "localhost.evil.example", "127.0.0.1.nip.io")
    ),
    *(
        (variable, value, f"{variable} is not a number from 0.001 to 86400: {value!r}")
        for variable in ("EVOLINK_TIMEOUT", "EVOLINK_MAX_WAIT")
        for value in ("0", "-1", "nan", "inf", "1e10", "soon", "9" * 40, "60s")
    ),
    *(
        (
            "EVOLINK_MAX_RETRIES",
            value,
            f"EVOLINK_MAX_RETRIES is not a whole number from 0 to 100: {value!r}",
        )
        for value in ("-1", "1.5", "many", "101", "1e2")
    ),
]


@pytest.mark.parametrize(
    ("variable", "value", "line"), VALUES, ids=[f"{case[0]}={case[1][:30]}" for case in VALUES]
)
def test_a_value_of_the_environment(monkeypatch, variable, value, line):
    monkeypatch.setenv(variable, value)

    outcome = ask(SYNC_STREAMED)

    assert type(outcome.error) is errors.InvalidRequestError
    assert str(outcome.error) == line


def test_it_is_one_line(llm_command, way: Way):
    done = llm_command("-m", "gemini-3.5-flash", "hi", *way.flags, env={"EVOLINK_TIMEOUT": "soon"})

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "Error: EVOLINK_TIMEOUT is not a number from 0.001 to 86400: 'soon'\n"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_none(monkeypatch, value):
    for name in ("EVOLINK_BASE_URL", "EVOLINK_TIMEOUT", "EVOLINK_MAX_RETRIES", "EVOLINK_MAX_WAIT"):
        monkeypatch.setenv(name, value)

    found = settings.Settings.from_environment()

    assert found == settings.Settings(settings.SERVERS, 60, 2, 20)


@pytest.mark.parametrize(
    ("servers", "line"),
    [
        ((), "The document names no server: set EVOLINK_BASE_URL"),
        (
            ("http://evil.example",),
            "A server of the document would send the key unencrypted to evil.example: "
            "use https://, or set EVOLINK_ALLOW_HTTP=1",
        ),
        (
            ("https://u:p@evil.example",),
            "A server of the document holds a user name: give the address alone",
        ),
    ],
)
def test_the_servers_of_the_document_are_checked_as_the_variable_is(monkeypatch, servers, line):
    monkeypatch.delenv("EVOLINK_BASE_URL", raising=False)
    monkeypatch.setattr(settings, "SERVERS", servers)
    with pytest.raises(errors.InvalidRequestError) as raised:
        settings.servers()

    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("named", "server"),
    [
        ("https://direct.evolink.ai", "https://direct.evolink.ai"),
        (" https://direct.evolink.ai/v1/ ", "https://direct.evolink.ai"),
        ("https://gateway.example:8443/evolink/v1", "https://gateway.example:8443/evolink"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://127.9.9.9/", "http://127.9.9.9"),
        ("http://[::1]:8787/v1", "http://[::1]:8787"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_a_server_that_is_taken(monkeypatch, named, server):
    monkeypatch.setenv("EVOLINK_BASE_URL", named)

    assert settings.Settings.from_environment().servers == (server,)


def test_plain_http_beyond_this_machine_when_it_is_allowed(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://192.0.2.1")
    monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")

    assert settings.Settings.from_environment().servers == ("http://192.0.2.1",)


def test_a_path_before_v1_is_kept(monkeypatch, way: Way):
    with scripted_server.serve(answer) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", f"{server.url}/gateway/v1/")
        assert ask(way).text == "hi"

    assert server.requests[0].path == "/gateway/v1/chat/completions"


# Proxies. A request for an https:// server begins with CONNECT.


@pytest.fixture
def named_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.invalid")
    monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")
    return monkeypatch


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_environments_proxy_is_used(named_proxy, way: Way, variable, scheme):
    if variable == "HTTP_PROXY":
        named_proxy.delenv("REQUEST_METHOD", raising=False)
    with scripted_server.serve(answer) as proxy:
        named_proxy.setenv(variable, proxy.url.replace("http://", scheme))
        assert ask(way).text == "hi"

    assert proxy.requests[0].path == "http://evolink.invalid/v1/chat/completions"


def test_no_proxy(named_proxy):
    with scripted_server.serve(answer) as proxy:
        named_proxy.setenv("HTTP_PROXY", proxy.url)
        named_proxy.setenv("NO_PROXY", "other.example,evolink.invalid")
        assert str(ask(SYNC_STREAMED).error).startswith("Cannot reach evolink.invalid: ")

    assert proxy.requests == []


def test_loopback_is_never_reached_through_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(monkeypatch, answer):
        assert ask(SYNC_STREAMED).text == "hi"


def test_a_proxy_that_refuses(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    with scripted_server.serve(lambda reply: reply.head(403, content_length=0)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outcome = ask(way)

    assert str(outcome.error) == "Cannot reach evolink.invalid through the proxy: 403 Scripted"
    assert "authorization" not in proxy.requests[0].headers


@pytest.mark.parametrize(
    "value",
    [
        "socks5://127.0.0.1:1080",
        "ftp://proxy",
        "http://me:secret@[::1",
        "http://p:99999",
        "http://",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_no_use(monkeypatch, way: Way, variable, value):
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://evolink.invalid")
    monkeypatch.setenv(variable, value)

    assert str(ask(way).error) == (f"{variable} is not the address of an http:// or https:// proxy")


# TLS.


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that nobody signed, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-keyout key.pem -out certificate.pem -subj /CN=127.0.0.1 "
        "-addext subjectAltName=IP:127.0.0.1",
        shell=True,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    tls_module.tls_context.cache_clear()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    yield context
    tls_module.tls_context.cache_clear()


def test_a_certificate_that_nobody_signed(monkeypatch, tls, way: Way):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")
    with scripted_server.serve(answer, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        outcome = ask(way)

    assert type(outcome.error) is errors.CertificateError
    line = str(outcome.error)
    assert line.startswith(f"Cannot reach {server.url[8:]}: [SSL: CERTIFICATE_VERIFY_FAILED]")
    assert line.endswith("; SSL_CERT_FILE can name the file of an authority to trust")
    assert (server.connections, server.requests) == (1, [])


def test_a_certificate_that_is_trusted(monkeypatch, tls, certificate, way: Way):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    with scripted_server.serve(answer, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        outcome = ask(way)

    assert (outcome.text, outcome.error) == ("hi", None)


def test_a_certificate_of_another_name(monkeypatch, tls, certificate):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    with scripted_server.serve(answer, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url.replace("127.0.0.1", "localhost"))
        outcome = ask(SYNC_STREAMED)

    assert type(outcome.error) is errors.CertificateError


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_of_authorities_that_holds_none(monkeypatch, tls, tmp_path, way: Way, content):
    named = tmp_path / "authorities.pem"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://127.0.0.1:1")

    line = str(ask(way).error)

    assert line.startswith(
        f"SSL_CERT_FILE names a file without a readable certificate: '{named}' ("
    )


def test_a_system_without_authorities_has_those_of_certifi(monkeypatch, tls):
    monkeypatch.setattr(tls_module, "system_authorities", dict)

    assert tls_module.tls_context().cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_systems_that_keep_authorities_elsewhere(monkeypatch, tls, platform):
    elsewhere = SimpleNamespace(SSLContext=lambda protocol: ("truststore", protocol))
    monkeypatch.setitem(sys.modules, "truststore", elsewhere)
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))

    assert tls_module.tls_context() == ("truststore", ssl.PROTOCOL_TLS_CLIENT)


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
@pytest.mark.parametrize("directories", [None, ""])
def test_every_system_trusts_the_file_that_is_named(
    monkeypatch, tls, certificate, platform, directories
):
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    if directories is not None:
        monkeypatch.setenv("SSL_CERT_DIR", directories)

    assert tls_module.tls_context().cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_every_system_trusts_the_directory_that_is_named(
    monkeypatch, tls, certificate, tmp_path, platform
):
    (tmp_path / "01234567.0").touch()
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert tls_module.tls_context().cert_store_stats()["x509"] == 0


@pytest.mark.parametrize(
    ("cafile", "names", "found"),
    [
        ("file", ["002c0b4f.0", "authority.pem"], "capath"),
        ("file", ["authority.pem"], "cafile"),
        (None, ["authority.pem"], None),
        ("file", None, "cafile"),
        (None, None, None),
    ],
)
def test_where_openssl_has_its_authorities(monkeypatch, tmp_path, cafile, names, found):
    for name in names or []:
        (tmp_path / name).touch()
    paths = SimpleNamespace(cafile=cafile, capath=None if names is None else str(tmp_path))
    monkeypatch.setattr(tls_module.ssl, "get_default_verify_paths", lambda: paths)

    assert tls_module.system_authorities() == ({found: getattr(paths, found)} if found else {})


def test_a_directory_of_authorities_that_cannot_be_read(monkeypatch):
    def listdir(path: str) -> list[str]:
        raise PermissionError

    paths = SimpleNamespace(cafile="file", capath="/root")
    monkeypatch.setattr(tls_module.ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(tls_module.os, "listdir", listdir)

    assert tls_module.system_authorities() == {"cafile": "file"}


def test_several_directories_of_authorities_are_openssl_s_to_read(monkeypatch, tls, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}{os.pathsep}{tmp_path}")

    assert tls_module.tls_context().cert_store_stats() == (
        ssl.create_default_context().cert_store_stats()
    )


def test_a_server_that_does_not_speak_tls(monkeypatch, tls, way: Way):
    def refuse() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.recv(4096)
            accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=refuse)
        server.start()
        monkeypatch.setenv("EVOLINK_BASE_URL", f"https://127.0.0.1:{listener.getsockname()[1]}")
        outcome = ask(way)
        server.join()

    assert type(outcome.error) is errors.UnreachableError
    assert str(outcome.error).startswith("Cannot reach 127.0.0.1:")
