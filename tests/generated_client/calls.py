"""Calls of the generated functions, the same for those with and without an event loop."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

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
from tests import scripted_server

TOKEN = "sk-test-0123456789abcdef"

Parsed = ChatCompletionResponse | ErrorResponse


def connect(url: str, **options: Any) -> AuthenticatedClient:
    """Return a client of the server at this URL, which ignores the environment's proxies."""
    options.setdefault("timeout", httpx.Timeout(60))
    options.setdefault("verify_ssl", False)
    return AuthenticatedClient(
        base_url=url, token=TOKEN, httpx_args={"trust_env": False}, **options
    )


def request(**parameters: Any) -> ChatCompletionQuickRequest:
    return ChatCompletionQuickRequest(
        messages=[MessageSimple(role="user", content="Hi")], **parameters
    )


@dataclass
class Outcome:
    """The chunks of one stream, and the error that ended it."""

    chunks: list[ChatCompletionChunk] = field(default_factory=list)
    error: Exception | None = None
    on_chunk: Callable[[], object] = lambda: None

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

    def take(self, chunk: ChatCompletionChunk, stop: int | None, error: Exception | None) -> bool:
        """Keep the chunk. Return whether to stop after it, or raise the error if one is given."""
        self.chunks.append(chunk)
        self.on_chunk()
        if len(self.chunks) == stop and error is not None:
            raise error
        return len(self.chunks) == stop


class SyncCalls:
    """Calls sync, sync_detailed and sync_stream."""

    def parsed(self, client: AuthenticatedClient) -> Parsed | None:
        with client:
            return api.sync(client=client, body=request())

    def detailed(self, client: AuthenticatedClient) -> Response[Parsed]:
        with client:
            return api.sync_detailed(client=client, body=request())

    def streams(
        self,
        client: AuthenticatedClient,
        count: int = 1,
        *,
        stop: int | None = None,
        error: Exception | None = None,
        body: ChatCompletionQuickRequest | None = None,
        on_chunk: Callable[[], object] = lambda: None,
    ) -> list[Outcome]:
        """Stream `count` times in a row.

        Leave after `stop` chunks, by raising `error` if given; call on_chunk after each chunk.
        """
        outcomes = [Outcome(on_chunk=on_chunk) for _ in range(count)]
        with client:
            for outcome in outcomes:
                with (
                    outcome.watch(),
                    api.sync_stream(client=client, body=body or request()) as chunks,
                ):
                    for chunk in chunks:
                        if outcome.take(chunk, stop, error):
                            break
        return outcomes


class AsyncCalls:
    """Calls asyncio, asyncio_detailed and asyncio_stream."""

    def parsed(self, client: AuthenticatedClient) -> Parsed | None:
        async def run() -> Parsed | None:
            async with client:
                return await api.asyncio(client=client, body=request())

        return asyncio.run(run())

    def detailed(self, client: AuthenticatedClient) -> Response[Parsed]:
        async def run() -> Response[Parsed]:
            async with client:
                return await api.asyncio_detailed(client=client, body=request())

        return asyncio.run(run())

    def streams(
        self,
        client: AuthenticatedClient,
        count: int = 1,
        *,
        stop: int | None = None,
        error: Exception | None = None,
        body: ChatCompletionQuickRequest | None = None,
        on_chunk: Callable[[], object] = lambda: None,
    ) -> list[Outcome]:
        """As SyncCalls.streams."""
        outcomes = [Outcome(on_chunk=on_chunk) for _ in range(count)]

        async def run() -> None:
            async with client:
                for outcome in outcomes:
                    with outcome.watch():
                        async with api.asyncio_stream(
                            client=client, body=body or request()
                        ) as chunks:
                            async for chunk in chunks:
                                if outcome.take(chunk, stop, error):
                                    break

        asyncio.run(run())
        return outcomes


DONE = "data: [DONE]\n\n"
END = b"0\r\n\r\n"


def chunk(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


def event(text: str) -> str:
    """Return an event whose text is this, its JSON not escaped."""
    return f"data: {json.dumps(chunk(text), ensure_ascii=False)}\n\n"


def stream(*parts: bytes | str) -> scripted_server.Handler:
    """Return a handler that sends an event stream, each part a chunk."""

    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.chunk(*parts)
        reply.end()

    return handler


Calls = SyncCalls | AsyncCalls
