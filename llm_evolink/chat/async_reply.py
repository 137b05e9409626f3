"""Asynchronous iterator over the events of a reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Self

from llm.parts import StreamEvent

from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.errors import UnexpectedResponse
from generated_client.models import ChatCompletionChunk
from generated_client.responses import AsyncEventStream

from ..connection import clients
from .decoding import decode_event
from .turn import Turn


class AsyncEvents:
    """The events of a turn, in an event loop.

    Not an asynchronous generator: asyncio finalizes all generators at shutdown, closing one twice
    raises RuntimeError, and after an exception a generator only raises StopAsyncIteration.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._stack = AsyncExitStack()
        self._is_sent = False
        self._is_reading = False
        self._chunks: AsyncEventStream[ChatCompletionChunk] | None = None
        self._events: Iterator[StreamEvent] = iter(())
        self._last_events: Iterator[StreamEvent] | None = None

    def __aiter__(self) -> Self:  # noqa: D105
        return self

    async def __anext__(self) -> StreamEvent:
        """Return the next event.

        Raises EvolinkError for any failure, at each later call too, and RuntimeError for a second
        reader, as an asynchronous generator does.
        """
        if self._is_reading:
            raise RuntimeError("the response is already being read by another task")
        self._is_reading = True
        try:
            return await self._read()
        finally:
            self._is_reading = False

    async def _read(self) -> StreamEvent:
        if self._last_events is None:
            event = None
            try:
                try:
                    event = await self._next()
                finally:
                    if event is None:
                        await self._stack.aclose()
            except Exception as failure:
                self._turn.fail(failure)
            except BaseException:
                await self.aclose()
                raise
            if event:
                return event
            self._last_events = self._turn.finish()
        for event in self._last_events:
            return event
        self._turn.raise_failure()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection; whoever continues to read gets IncompleteReplyError."""
        if self._last_events is None:
            self._turn.abandon()
            self._last_events = self._turn.finish()
        await self._stack.aclose()

    async def _next(self) -> StreamEvent | None:
        """Return the next event of the reply, None at its end."""
        if not self._is_sent:
            self._is_sent = True
            await self._send()
        while True:
            for event in self._events:
                return event
            chunk = await anext(self._chunks, None) if self._chunks else None
            if chunk is None:
                return None
            self._events = self._turn.read_chunk(chunk)

    async def _send(self) -> None:
        client = await clients.async_client(self._turn.key, self._turn.timeout)
        body = self._turn.request()
        if not self._turn.stream:
            found = await api.asyncio_detailed(client=client, body=body)
            self._events = self._turn.read_complete(
                found.status_code, found.headers, found.content, found.parsed
            )
            return
        events = api.asyncio_stream(client=client, body=body)
        events.read_other = decode_event
        try:
            self._chunks = await self._stack.enter_async_context(events)
        except UnexpectedResponse as other:  # Its content type is not that of a stream.
            self._events = self._turn.read_complete(other.status_code, other.headers, other.content)
        else:
            self._turn.read_headers(self._chunks.headers)
