"""The servers of a document: prompts and the API key are sent to them."""

from typing import Any

import pytest
from regeneration.contract import contract_failures
from regeneration.errors import RegenerationError
from regeneration.servers import require_known_hosts, with_checked_servers


def document(*urls: str, **variables: Any) -> dict[str, Any]:
    return {"servers": [{"url": url, "variables": variables} for url in urls]}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://direct.evolink.ai", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/v1", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/v1/", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai:443", "https://direct.evolink.ai"),
        ("https://Direct.EvoLink.ai:8443", "https://direct.evolink.ai:8443"),
        ("https://{region}.evolink.ai", "https://eu.evolink.ai"),
    ],
)
def test_a_server_is_an_https_origin(url: str, origin: str) -> None:
    checked = with_checked_servers(document(url, region={"default": "eu", "enum": ["eu"]}))
    assert checked == {"servers": [{"url": origin}]}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://evil.example", "server 'http://evil.example' is refused: it is not https://HOST"),
        ("file:///etc/passwd", "server 'file:///etc/passwd' is refused: it is not https://HOST"),
        ("/", "server '/' is refused: it is not https://HOST"),
        ("", "server '' is refused: it is not https://HOST"),
        ("https://", "server 'https://' is refused: it is not https://HOST"),
        ("https://{other}.evolink.ai",
         "server 'https://{other}.evolink.ai' is refused: it is not https://HOST"),
        ("https://a..b.com", "server 'https://a..b.com' is refused: it is not https://HOST"),
        ("https://u:p@evil.example",
         "a server with a user name is refused: give https://HOST alone"),
        ("https://evil.example/a",
         "server 'https://evil.example/a' is refused: only the path /v1 may follow the host"),
        ("https://evil.example?a=1",
         "server 'https://evil.example?a=1' is refused: only the path /v1 may follow the host"),
        ("https://evil.example#a",
         "server 'https://evil.example#a' is refused: only the path /v1 may follow the host"),
    ],
)  # fmt: skip
def test_a_server_that_is_refused(url: str, message: str) -> None:
    with pytest.raises(RegenerationError) as raised:
        with_checked_servers(document("https://direct.evolink.ai", url))
    assert str(raised.value) == message


@pytest.mark.parametrize("servers", [{}, {"servers": []}])
def test_no_server(servers: dict[str, Any]) -> None:
    with pytest.raises(RegenerationError) as raised:
        with_checked_servers(servers)
    assert str(raised.value) == "servers is empty: the client would have no server to send to"


def test_a_host_name_that_cannot_be_encoded() -> None:
    with pytest.raises(RegenerationError) as raised:
        with_checked_servers(document("https://" + "ü" * 64 + ".example"))
    assert "is refused" in str(raised.value)


def test_a_new_host_needs_permission() -> None:
    old = document("https://direct.evolink.ai", "https://api.evolink.ai")
    require_known_hosts(old, document("https://api.evolink.ai"))
    new = document("https://evil.example", "https://direct.evolink.ai")
    require_known_hosts(old, new, frozenset({"evil.example"}))
    with pytest.raises(RegenerationError) as raised:
        require_known_hosts(old, new, frozenset({"example"}))
    assert str(raised.value) == (
        "server evil.example is new, and the first: prompts and the API key would be sent there "
        "(the first server was https://direct.evolink.ai, now https://evil.example). If EvoLink "
        "announced it, add --allow-server evil.example"
    )


def chat(servers: Any, operation: Any = None, path: str = "/v1/chat/completions") -> dict[str, Any]:
    """Return a document whose path and operation have servers of their own."""
    post = {"operationId": "createChatCompletionQuick", "servers": operation}
    other = {"post": {"servers": [{"url": "https://other.example"}]}}
    return {
        "servers": [{"url": "https://direct.evolink.ai"}],
        "paths": {"/other": other, path: {"post": post, "servers": servers}},
    }


@pytest.mark.parametrize(
    ("published", "servers"),
    [
        (chat([]), None),
        (chat([{"url": "https://direct.evolink.ai"}]), None),
        (chat([{"url": "https://eu.example"}], [{"url": "https://direct.evolink.ai"}]), None),
        (chat([{"url": "https://eu.example"}]), "https://eu.example"),
        (chat([{"url": "https://eu.example"}], path="/v2/chat"), "https://eu.example"),
        (chat([], [{"url": "https://direct.evolink.ai"}, {"url": "/"}, {"url": "b"}]), "/, b"),
    ],
)
def test_servers_of_the_chat_operation_are_not_used(
    published: dict[str, Any], servers: str | None
) -> None:
    message = (
        "the client sends every request to the servers of the document, and the chat operation "
        f"has servers of its own: {servers}"
    )
    assert contract_failures(published) == ([message] if servers else [])
