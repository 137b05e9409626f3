"""Calls the model in four ways: sync or async, streamed or not; and the generated client.

The server is one of scripted_server.py. The sandbox is also called over plain HTTP (`post_to`),
which checks its responses against the OpenAPI document.
"""

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import llm
import pytest
from jsonschema import Draft202012Validator
from llm.parts import StreamEvent

from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.client import AuthenticatedClient
from generated_client.models import (
    ChatCompletionChunk,
    ChatCompletionQuickRequest,
    ChatCompletionResponse,
    ErrorResponse,
    MessageSimple,
)
from generated_client.types import Response
from llm_evolink import AsyncEvolinkChat, EvolinkChat
from llm_evolink.constants import MODEL_ID
from llm_evolink.errors import EvolinkError
from llm_evolink.sandbox import Server, serve
from llm_evolink.sandbox.document import document
from tests.llm_process import TIMEOUT

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


@dataclass
class Outcome:
    """The result of a prompt.

    Attributes:
        response: llm's response.
        texts: The texts that were shown, one for each delta.
        error: The error that ended it, if any.
        second_read: The text of a second read of the response, or its error.
    """

    response: Any
    texts: list[str] = field(default_factory=list)
    error: EvolinkError | None = None
    second_read: Any = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @contextmanager
    def keep_error(self, name: str) -> Iterator[None]:
        try:
            yield
        except EvolinkError as error:
            setattr(self, name, error)


def ask(
    way: Way, prompt: str = "hello", *, on_text: Callable[[], None] | None = None, **options: Any
) -> Outcome:
    """Prompt the model and read the response twice; call `on_text` after each text.

    Errors other than EvolinkError are raised.
    """
    model: Any = AsyncEvolinkChat(MODEL_ID) if way.asynchronous else EvolinkChat(MODEL_ID)
    response = model.prompt(prompt, stream=way.stream, **options)
    outcome = Outcome(response)

    def take(text: str) -> None:
        outcome.texts.append(text)
        if on_text:
            on_text()

    async def read() -> None:
        with outcome.keep_error("error"):
            async for text in response:
                take(text)
        with outcome.keep_error("second_read"):
            outcome.second_read = await response.text()

    if way.asynchronous:
        asyncio.run(read())
        return outcome
    with outcome.keep_error("error"):
        for text in response:
            take(text)
    with outcome.keep_error("second_read"):
        outcome.second_read = response.text()
    return outcome


# The generated client, with and without an event loop.

Parsed = ChatCompletionResponse | ErrorResponse


def connect(url: str, **options: Any) -> AuthenticatedClient:
    """Return a client of the server at this URL, which ignores the environment's proxies."""
    options = {"timeout": httpx.Timeout(TIMEOUT), "verify_ssl": False, **options}
    return AuthenticatedClient(base_url=url, token=KEY, httpx_args={"trust_env": False}, **options)


def request(**parameters: Any) -> ChatCompletionQuickRequest:
    """Return the body of a request with these parameters."""
    message = MessageSimple(role="user", content="Hi")
    parameters = {"model": MODEL, **parameters}
    return ChatCompletionQuickRequest(messages=[message], **parameters)


@dataclass
class Stream:
    """The chunks of one stream, and the error that ended it."""

    chunks: list[ChatCompletionChunk] = field(default_factory=list)
    error: Exception | None = None

    @property
    def texts(self) -> list[str]:
        """The content of each chunk."""
        return [chunk.choices[0].delta.content for chunk in self.chunks]  # type: ignore[index,union-attr,misc]

    @contextmanager
    def watch(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error


@dataclass(frozen=True)
class Calls:
    """Calls the generated functions: sync… or asyncio…."""

    asynchronous: bool

    def parsed(self, client: AuthenticatedClient) -> Parsed | None:
        """Call sync or asyncio."""
        return self._call(api.asyncio if self.asynchronous else api.sync, client)

    def detailed(self, client: AuthenticatedClient) -> Response[Parsed]:
        """Call sync_detailed or asyncio_detailed."""
        return self._call(api.asyncio_detailed if self.asynchronous else api.sync_detailed, client)

    def _call(self, function: Callable[..., Any], client: AuthenticatedClient) -> Any:
        async def call() -> Any:
            async with client:
                return await function(client=client, body=request())

        if self.asynchronous:
            return asyncio.run(call())
        with client:
            return function(client=client, body=request())

    def streams(
        self,
        client: AuthenticatedClient,
        count: int = 1,
        *,
        stop: int | None = None,
        error: Exception | None = None,
        body: ChatCompletionQuickRequest | None = None,
        on_chunk: Callable[[], object] = lambda: None,
    ) -> list[Stream]:
        """Stream `count` times in a row.

        Leave after `stop` chunks, by raising `error` if given; call on_chunk after each chunk.
        """
        streams = [Stream() for _ in range(count)]
        body = body or request()

        def stops(stream: Stream, chunk: ChatCompletionChunk) -> bool:
            stream.chunks.append(chunk)
            on_chunk()
            if len(stream.chunks) == stop and error:
                raise error
            return len(stream.chunks) == stop

        async def run() -> None:
            async with client:
                for stream in streams:
                    with stream.watch():
                        async with api.asyncio_stream(client=client, body=body) as chunks:
                            async for chunk in chunks:
                                if stops(stream, chunk):
                                    break

        if self.asynchronous:
            asyncio.run(run())
            return streams
        with client:
            for stream in streams:
                with stream.watch(), api.sync_stream(client=client, body=body) as chunks:
                    for chunk in chunks:
                        if stops(stream, chunk):
                            break
        return streams


SYNC_CALLS, ASYNC_CALLS = Calls(False), Calls(True)


# The sandbox over plain HTTP.


def client_of(server: Server) -> httpx.Client:
    """Return a client of a sandbox."""
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
        timeout=TIMEOUT,
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


# Models as backends of a sandbox.


class Scripted(llm.Model):
    """Yields the items of the script; an item that is callable is called with the response."""

    model_id = "scripted"
    can_stream = True
    supports_tools = True
    supports_schema = True
    attachment_types = frozenset({"image/jpeg", "image/png"})

    class Options(llm.Options):
        temperature: float | None = None
        max_tokens: int | None = None
        json_object: bool | None = None

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.prompts: list[llm.Prompt] = []
        self.finished = threading.Event()

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Any
    ) -> Iterator[str | StreamEvent]:
        self.prompts.append(prompt)
        self.stream = stream
        try:
            for step in self.script:
                if callable(step):
                    step(response)
                else:
                    yield step
        finally:
            self.finished.set()


class Plain(llm.Model):
    """A minimal model: it has no options, no tools and no streaming."""

    model_id = "plain"

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Any
    ) -> Iterator[str]:
        yield f"You asked: {prompt.prompt}"


@contextmanager
def sandbox_of(model: llm.Model, **options: Any) -> Iterator[httpx.Client]:
    """Yield a client of a sandbox with this backend."""
    with serve(backend=model, **options) as server, client_of(server) as client:
        yield client


def ask_backend(model: llm.Model, messages: Any = "hello", **fields: Any) -> httpx.Response:
    """Return the response of a sandbox with this backend."""
    with sandbox_of(model) as client:
        return post_to(client, messages, **fields)


def deltas_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the deltas of an event stream."""
    return [choice["delta"] for chunk in chunks_of(response) for choice in chunk["choices"]]


def calling(name: str, call_id: str | None = None, **arguments: Any) -> Callable[[Any], None]:
    """Return an item of a script that calls a tool."""
    return lambda response: response.add_tool_call(llm.ToolCall(name, arguments, call_id))
