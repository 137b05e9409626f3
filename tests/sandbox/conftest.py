"""A running sandbox, and ways to talk to it that hold every answer against the document."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from llm_evolink.sandbox import Server, serve
from llm_evolink.sandbox.document import document
from tests.llm_process import TIMEOUT

Post = Callable[..., httpx.Response]

MODEL = "gemini-3.5-flash"


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


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
        timeout=TIMEOUT,
    )


def post_to(client: httpx.Client, messages: Any = "hello", **fields: Any) -> httpx.Response:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {"model": MODEL, "messages": messages, **fields}
    response = client.post("/v1/chat/completions", json=body)
    assert len(response.headers["x-request-id"]) == 32
    for name, value in _parts(response):
        check_documented(name, value)
    return response


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def check_documented(name: str, value: Any) -> None:
    """Fail unless the value fits the document's schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    Draft202012Validator(schema).validate(value)


def message_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def text_of(response: httpx.Response) -> str:
    return message_of(response)["content"]


def error_of(response: httpx.Response) -> dict[str, Any]:
    error = response.json()["error"]
    assert error["code"] == response.status_code
    return error


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _parts(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    if response.status_code != 200:
        yield "ErrorResponse", response.json()
    elif response.headers["content-type"] == "application/json":
        yield "ChatCompletionResponse", response.json()
    else:
        for chunk in chunks_of(response):
            yield "ChatCompletionChunk", chunk
