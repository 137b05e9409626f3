"""Client and AuthenticatedClient: nothing they show holds the token."""

import asyncio
from typing import Any

import httpx
import pytest

from generated_client import SERVERS, AuthenticatedClient, Client, errors
from tests import scripted_server

from .calls import TOKEN, Calls, connect, request

URL = "https://direct.evolink.ai"


def test_the_servers_are_the_document_s() -> None:
    assert SERVERS == (URL, "https://api.evolink.ai")


def open_sync(client: Any) -> None:
    client.get_httpx_client().close()


def open_async(client: Any) -> None:
    asyncio.run(client.get_async_httpx_client().aclose())


@pytest.mark.parametrize("opened", [None, open_sync, open_async])
@pytest.mark.parametrize(
    ("client", "text"),
    [
        pytest.param(
            AuthenticatedClient(base_url=URL, token=TOKEN, verify_ssl=False),
            f"AuthenticatedClient(base_url=URL({URL!r}))",
            id="AuthenticatedClient",
        ),
        pytest.param(
            Client(base_url=URL, headers={"Authorization": TOKEN}, verify_ssl=False),
            f"Client(base_url=URL({URL!r}))",
            id="Client",
        ),
    ],
)
def test_repr_is_without_the_token(client: Any, text: str, opened: Any) -> None:
    if opened:
        opened(client)
    assert [repr(client), str(client), f"{client}"] == [text] * 3


@pytest.mark.parametrize("kind", [AuthenticatedClient, Client])
def test_repr_hides_what_is_secret_in_the_address(kind: Any) -> None:
    token = {"token": TOKEN} if kind is AuthenticatedClient else {}
    client = kind(base_url="https://user:hunter2@example.com/v1?key=hunter2", **token)
    assert repr(client) == f"{kind.__name__}(base_url=URL('https://user:[secure]@example.com/v1'))"


def test_with_headers_cookies_and_timeout_reach_the_server() -> None:
    with scripted_server.serve(lambda reply: reply.respond(200, {})) as server:
        client = (
            connect(server.url)
            .with_headers({"X-One": "1"})
            .with_cookies({"two": "2"})
            .with_timeout(httpx.Timeout(3))
        )
        with client as same:
            assert same.get_httpx_client().timeout == httpx.Timeout(3)
            same.get_httpx_client().get("/")
    [sent] = server.requests
    assert sent.headers["x-one"] == "1"
    assert sent.headers["cookie"] == "two=2"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(client)


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(lambda reply: reply.respond(500, b"x"), id="unexpected response"),
        pytest.param(lambda reply: reply.events("{"), id="invalid event"),
        pytest.param(lambda reply: reply.events(), id="incomplete stream"),
        pytest.param(lambda reply: reply.cut(), id="cut"),
        pytest.param(lambda reply: reply.closed(), id="silence"),
    ],
)
def test_an_error_is_without_the_token(calls: Calls, handler: scripted_server.Handler) -> None:
    with scripted_server.serve(handler) as server:
        [outcome] = calls.streams(
            connect(server.url, timeout=httpx.Timeout(0.2)), body=request(seed=1)
        )
    error = outcome.error
    assert isinstance(error, httpx.RequestError | errors.StreamError | errors.UnexpectedResponse)
    assert error.__cause__ is None or isinstance(error, httpx.RequestError)
    assert TOKEN not in f"{error!r} {error} {vars(error)}"
