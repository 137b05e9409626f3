"""Fixtures of the tests of the sandbox: a running server, and a request to it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llm_evolink.sandbox import Server, serve
from tests.four_ways import client_of, post_to

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    with client_of(server) as client:
        yield client


@pytest.fixture
def post(http: httpx.Client) -> Post:
    """Post a request: a prompt or messages, and fields; model is filled in."""

    def send(messages: Any = "hello", **fields: Any) -> httpx.Response:
        return post_to(http, messages, **fields)

    return send
