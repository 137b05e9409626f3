"""Doctor's check of the CA certificates, and of a server whose certificate is not trusted."""

import sys
from collections.abc import Callable

import pytest

from llm_evolink.commands.doctor import checks
from llm_evolink.connection import tls as tls_module
from tests import scripted_server
from tests.scripted_server import replying

REFUSED = {"error": {"message": "messages is too short", "type": "invalid_request_error"}}
refusing = replying(400, REFUSED)  # It shows that the key is accepted.

pytestmark = pytest.mark.usefixtures("doctor_environment")


@pytest.fixture
def fresh_context(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the TLS context be read from the environment again; set variables of it."""
    monkeypatch.setattr(tls_module, "tls_context", tls_module.tls_context.__wrapped__)
    return lambda **variables: [monkeypatch.setenv(*item) for item in variables.items()]


def test_an_untrusted_certificate_is_broken(monkeypatch, tls, fresh_context, findings):
    with scripted_server.serve(refusing, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        ((status, message),) = findings("server")

    assert status == "broken"
    assert message.startswith(f"Cannot reach {server.url.removeprefix('https://')}: [SSL: CERT")
    assert message.endswith("; SSL_CERT_FILE can name a file with the CA certificate to trust")
    assert server.requests == []


def test_a_certificate_trusted_by_ssl_cert_file(monkeypatch, tls, certificate, fresh_context):
    ca_file = certificate / "certificate.pem"
    fresh_context(SSL_CERT_FILE=str(ca_file))
    with scripted_server.serve(refusing, tls=tls) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        all_findings = {finding.check: finding for finding in checks.examine()}

    assert all_findings["certificates"].message == f"SSL_CERT_FILE={ca_file}"
    assert all_findings["server"].status == "ok"
    assert all_findings["authentication"].message == f"{server.url} accepts the key"


def test_the_trust_store_of_the_system(fresh_context, findings):
    places = list(tls_module.system_ca_certificates().values())
    if not places:
        pytest.skip("the system has none")

    assert findings("certificates") == [("ok", f"the system's trust store, {places[0]}")]


def test_certifi_is_used_without_a_trust_store(fresh_context, findings):
    fresh_context(SSL_CERT_FILE="", SSL_CERT_DIR="")

    expected = "certifi's CA certificates; the system has none"
    assert findings("certificates") == [("ok", expected)]


def test_the_trust_store_of_macos(monkeypatch, findings):
    monkeypatch.setattr(tls_module, "tls_context", lambda: None)
    monkeypatch.setattr(sys, "platform", "darwin")

    assert findings("certificates") == [("ok", "the system's trust store")]

    monkeypatch.setenv("SSL_CERT_DIR", "/certificates")
    assert findings("certificates") == [("ok", "SSL_CERT_DIR=/certificates")]


def test_a_missing_ssl_cert_file_is_broken(fresh_context, tmp_path, findings):
    fresh_context(SSL_CERT_FILE=str(tmp_path / "none.pem"))

    ((status, message),) = findings("certificates")

    assert status == "broken"
    assert message.startswith("SSL_CERT_FILE names a file without a readable certificate: ")
