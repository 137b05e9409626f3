"""Which CA certificates are trusted."""

import asyncio
import os
import socket
import ssl
import sys
import threading
from types import SimpleNamespace

import pytest

from llm_evolink import AsyncEvolinkChat, errors
from llm_evolink.connection import tls as tls_module
from llm_evolink.constants import MODEL_ID
from tests import scripted_server
from tests.four_ways import SYNC_STREAMED, Way, ask
from tests.llm_process import TIMEOUT
from tests.scripted_server import answer

pytestmark = pytest.mark.usefixtures("no_clients")


@pytest.fixture
def tls(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch):
    """TLS context of a server; the client's is read from the environment again."""
    tls_module.tls_context.cache_clear()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield tls
    tls_module.tls_context.cache_clear()


def test_a_prompt_that_is_cancelled_in_the_handshake_closes_its_connection(monkeypatch):
    async def main(silent: socket.socket) -> bytes:
        prompt = asyncio.create_task(AsyncEvolinkChat(MODEL_ID).prompt("hi").text())
        connected, _ = await asyncio.to_thread(silent.accept)
        with connected:
            connected.settimeout(TIMEOUT)
            assert await asyncio.to_thread(connected.recv, 65536)
            prompt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await prompt
            return await asyncio.to_thread(connected.recv, 65536)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(TIMEOUT)
        monkeypatch.setenv("EVOLINK_BASE_URL", f"https://127.0.0.1:{silent.getsockname()[1]}")
        assert asyncio.run(main(silent)) == b""


def test_a_self_signed_certificate(monkeypatch, tls, way: Way):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")
    with scripted_server.serve(answer, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        outcome = ask(way)

    assert type(outcome.error) is errors.CertificateError
    line = str(outcome.error)
    assert line.startswith(f"Cannot reach {server.url[8:]}: [SSL: CERTIFICATE_VERIFY_FAILED]")
    assert line.endswith(
        "; SSL_CERT_FILE can name a file with the CA certificate to trust; "
        "check with: llm evolink doctor"
    )
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
def test_an_ssl_cert_file_without_certificates(monkeypatch, tls, tmp_path, way: Way, content):
    named = tmp_path / "ca.pem"
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://127.0.0.1:1")

    line = str(ask(way).error)

    assert line.startswith(
        f"SSL_CERT_FILE names a file without a readable certificate: '{named}' ("
    )


def test_a_system_whose_ca_certificates_cannot_be_read(monkeypatch, tls, tmp_path, way: Way):
    found = tmp_path / "ca.pem"
    found.write_text("not a certificate")
    monkeypatch.setattr(tls_module, "system_ca_certificates", lambda: {"cafile": str(found)})
    monkeypatch.setenv("EVOLINK_BASE_URL", "https://127.0.0.1:1")

    error = ask(way).error

    assert isinstance(error, errors.InvalidRequestError)
    assert str(error).startswith(f"The system's CA certificates cannot be read: '{found}' (")
    assert str(error).endswith("); SSL_CERT_FILE can name others")


def test_a_system_without_ca_certificates_uses_certifi(monkeypatch, tls):
    monkeypatch.setattr(tls_module, "system_ca_certificates", dict)

    assert tls_module.tls_context().cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_macos_and_windows_use_their_trust_store(monkeypatch, tls, platform):
    elsewhere = SimpleNamespace(SSLContext=lambda protocol: ("truststore", protocol))
    monkeypatch.setitem(sys.modules, "truststore", elsewhere)
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))

    assert tls_module.tls_context() == ("truststore", ssl.PROTOCOL_TLS_CLIENT)


@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
@pytest.mark.parametrize("directories", [None, ""])
def test_ssl_cert_file_is_used_on_every_system(
    monkeypatch, tls, certificate, platform, directories
):
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    if directories is not None:
        monkeypatch.setenv("SSL_CERT_DIR", directories)

    assert tls_module.tls_context().cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_ssl_cert_dir_is_used_on_every_system(monkeypatch, tls, tmp_path, platform):
    (tmp_path / "01234567.0").touch()
    monkeypatch.setattr(tls_module, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert tls_module.tls_context().cert_store_stats()["x509"] == 0


@pytest.mark.parametrize(
    ("cafile", "names", "found"),
    [
        ("file", ["002c0b4f.0", "ca.pem"], "capath"),
        ("file", ["ca.pem"], "cafile"),
        (None, ["ca.pem"], None),
        ("file", None, "cafile"),
        (None, None, None),
    ],
)
def test_where_openssl_finds_ca_certificates(monkeypatch, tmp_path, cafile, names, found):
    for name in names or []:
        (tmp_path / name).touch()
    paths = SimpleNamespace(cafile=cafile, capath=None if names is None else str(tmp_path))
    monkeypatch.setattr(tls_module.ssl, "get_default_verify_paths", lambda: paths)

    assert tls_module.system_ca_certificates() == ({found: getattr(paths, found)} if found else {})


def test_an_unreadable_directory_of_ca_certificates(monkeypatch):
    def listdir(path: str) -> list[str]:
        raise PermissionError

    paths = SimpleNamespace(cafile="file", capath="/root")
    monkeypatch.setattr(tls_module.ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(tls_module.os, "listdir", listdir)

    assert tls_module.system_ca_certificates() == {"cafile": "file"}


def test_ssl_cert_dir_with_several_directories(monkeypatch, tls, tmp_path):
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
