"""Calls the model in four ways: sync or async, streamed or not.

The server is one of scripted_server.py, or a transport in memory (`in_memory`). The sandbox is also
called over plain HTTP (`post_to`), which checks its responses against the OpenAPI document.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import llm
import pytest
from jsonschema import Draft202012Validator

from llm_evolink.chat import AsyncEvolinkChat, EvolinkChat
from llm_evolink.errors import EvolinkError
from llm_evolink.sandbox import Server
from llm_evolink.sandbox.document import document
from tests import llm_process, scripted_server

MODEL = "gemini-3.5-flash"
KEY = "sk-test-0123456789abcdef"
INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."


@dataclass(frozen=True)
class Way:
    """One of the four ways."""

    asynchronous: bool
    stream: bool

    @property
    def model(self) -> Any:
        return llm.get_async_model(MODEL) if self.asynchronous else llm.get_model(MODEL)

    @property
    def flags(self) -> list[str]:
        """The options of `llm` for this way."""
        return ["--async"] * self.asynchronous + ["--no-stream"] * (not self.stream)

    def resolve(self, value: Any) -> Any:
        """Return the value, awaited if it is awaitable."""

        async def resolved() -> Any:
            return await value

        return asyncio.run(resolved()) if inspect.isawaitable(value) else value

    def prompt(self, *arguments: Any, on: Any = None, **options: Any) -> Any:
        """Prompt the model, or the conversation given, and return the finished response."""
        response = (on or self.model).prompt(*arguments, stream=self.stream, **options)
        self.resolve(response.text())
        return response

    def reply(self, response: Any, *arguments: Any, **options: Any) -> Any:
        """Reply to the response and return the finished response."""
        answer = self.resolve(response.reply(*arguments, stream=self.stream, **options))
        self.resolve(answer.text())
        return answer

    def chain(self, *arguments: Any, on: Any = None, **options: Any) -> str:
        """Run a chain of the model, or the conversation given, and return its text."""
        chain = (on or self.model).chain(*arguments, stream=self.stream, **options)
        return self.resolve(chain.text())

    def parts(self, response: Any) -> list[dict[str, Any]]:
        """Return the parts of the response, as dicts."""
        (message,) = self.resolve(response.messages())
        return [part.to_dict() for part in message.parts]


WAYS = [Way(asynchronous, stream) for asynchronous in (False, True) for stream in (True, False)]
STREAMED = [way for way in WAYS if way.stream]
COMPLETE = [way for way in WAYS if not way.stream]
SYNC_STREAMED = WAYS[0]


def way_id(way: Way) -> str:
    return ("async-" * way.asynchronous) + ("streamed" if way.stream else "complete")


# For a table of cases of what the ways share; another test has one of them in all four ways.
one_way = pytest.mark.parametrize("way", [SYNC_STREAMED], ids=way_id)


@contextmanager
def scripted(*replies: dict[str, Any]) -> Iterator[scripted_server.Server]:
    """Serve these replies in turn, streamed or not, as each request asks.

    A reply has a message, or deltas for a stream of several; finish_reason; and the fields beside
    the choices, such as usage and model.
    """
    left = list(replies)

    def handle(reply: scripted_server.Reply) -> None:
        fields = {"finish_reason": "stop", **left.pop(0)}
        message = fields.pop("message", None)
        deltas = fields.pop("deltas", [message])
        ending = {
            name: fields.pop(name) for name in ("finish_reason", "logprobs") if name in fields
        }
        if not reply.request.json().get("stream"):
            reply.respond(200, {"choices": [{"index": 0, "message": message, **ending}], **fields})
            return
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks[-1]["choices"][0] |= ending
        reply.events(*chunks, {"choices": [], **fields}, "[DONE]")

    with scripted_server.serve(handle) as server:
        yield server


STREAM_EVENTS: list[Any] = [
    {"choices": [{"delta": {"content": "hi"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    "[DONE]",
]


@dataclass
class Outcome:
    """The result of a prompt.

    Attributes:
        texts: The texts that were shown, one for each delta.
        error: The error that ended it, if any.
        second_read: The text of a second read of the response, or its error.
        response: llm's response.
    """

    texts: list[str]
    error: EvolinkError | None
    second_read: Any
    response: Any

    @property
    def text(self) -> str:
        return "".join(self.texts)


def ask(
    way: Way, prompt: str = "hello", *, on_text: Callable[[], None] | None = None, **options: Any
) -> Outcome:
    """Prompt the model and read the response twice; call `on_text` after each text.

    Errors other than EvolinkError are raised.
    """
    on_text = on_text or (lambda: None)
    if way.asynchronous:
        return asyncio.run(_ask(way, prompt, on_text, options))
    response = EvolinkChat().prompt(prompt, stream=way.stream, **options)
    outcome = Outcome([], None, None, response)
    try:
        for text in response:
            outcome.texts.append(text)
            on_text()
    except EvolinkError as error:
        outcome.error = error
    try:
        outcome.second_read = response.text()
    except EvolinkError as error:
        outcome.second_read = error
    return outcome


async def _ask(way: Way, prompt: str, on_text: Callable[[], None], options: Any) -> Outcome:
    response = AsyncEvolinkChat().prompt(prompt, stream=way.stream, **options)
    outcome = Outcome([], None, None, response)
    try:
        async for text in response:
            outcome.texts.append(text)
            on_text()
    except EvolinkError as error:
        outcome.error = error
    try:
        outcome.second_read = await response.text()
    except EvolinkError as error:
        outcome.second_read = error
    return outcome


def answer(reply: scripted_server.Reply, text: str = "hi") -> None:
    """Answer with this text, streamed or not, as the request asks."""
    if reply.request.json().get("stream"):
        reply.events({"choices": [{"delta": {"content": text}}]}, *STREAM_EVENTS[1:])
    else:
        reply.respond(200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


@contextmanager
def serving(
    monkeypatch: pytest.MonkeyPatch, handler: scripted_server.Handler
) -> Iterator[scripted_server.Server]:
    """Serve with this handler at the URL in EVOLINK_BASE_URL."""
    with scripted_server.serve(handler) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        yield server


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response in memory: these parts; one that is an exception is raised."""

    def __init__(self, *parts: bytes | httpx.TransportError) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def in_memory(
    monkeypatch: pytest.MonkeyPatch, respond: Callable[[httpx.Request], httpx.Response]
) -> list[httpx.Request]:
    """Answer all requests with this function, without a network; return the requests so far.

    A read time-out is a function, or a part of its response's Body, that raises
    httpx.ReadTimeout: it depends on no clock.
    """
    requests: list[httpx.Request] = []

    def handle(_: object, request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return respond(request)

    async def handle_async(_: object, request: httpx.Request) -> httpx.Response:
        return handle(_, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle_async)
    return requests


def time_out(request: httpx.Request) -> httpx.Response:
    """Respond with nothing until the read time-out."""
    raise httpx.ReadTimeout("", request=request)


# The sandbox over plain HTTP.


def client_of(server: Server) -> httpx.Client:
    """Return a client of a sandbox."""
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
        timeout=llm_process.TIMEOUT,
    )


def post_to(client: httpx.Client, messages: Any = "hello", **fields: Any) -> httpx.Response:
    """Post a prompt or messages to a sandbox; check the response against the document."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {"model": MODEL, "messages": messages, **fields}
    response = client.post("/v1/chat/completions", json=body)
    assert len(response.headers["x-request-id"]) == 32
    for name, value in _documents(response):
        check_documented(name, value)
    return response


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the chunks of an event stream, which ends with [DONE]."""
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def check_documented(name: str, value: Any) -> None:
    """Fail unless the value fits the document's schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    Draft202012Validator(schema).validate(value)


def message_of(response: httpx.Response) -> dict[str, Any]:
    """Return the message of a successful, non-streamed response."""
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def text_of(response: httpx.Response) -> str:
    """Return the text of a successful, non-streamed response."""
    return message_of(response)["content"]


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return the error of a response."""
    error = response.json()["error"]
    assert error["code"] == response.status_code
    return error


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    """Return the definition of a tool with these parameters, each a JSON Schema."""
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _documents(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Return the objects in the response, each with the name of its schema."""
    if response.status_code != 200:
        yield "ErrorResponse", response.json()
    elif response.headers["content-type"] == "application/json":
        yield "ChatCompletionResponse", response.json()
    else:
        for chunk in chunks_of(response):
            yield "ChatCompletionChunk", chunk
