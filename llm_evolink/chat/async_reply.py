"""An asynchronous reply, event by event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Self

from llm.parts import StreamEvent

from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.models import ChatCompletionChunk
from generated_client.responses import AsyncEventStream

from ..connection import clients
from ..errors import IncompleteReplyError
from .turn import Turn


class AsyncEvents:
    """The events of a turn, in an event loop.

    It is no asynchronous generator: a loop that shuts down closes all of these at once, and one
    that is closed twice fails; and after an error, one seems to have come to its end.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._opened = AsyncExitStack()
        self._chunks: AsyncEventStream[ChatCompletionChunk] | None = None
        self._read: Iterator[StreamEvent] = iter(())
        self._ending: Iterator[StreamEvent] | None = None

    def __aiter__(self) -> Self:  # noqa: D105
        return self

    async def __anext__(self) -> StreamEvent:
        """Return the next event. Raises EvolinkError for any failure, then again and again."""
        if self._ending is None:
            event = None
            try:
                try:
                    event = await self._next()
                finally:
                    if event is None:
                        await self._opened.aclose()
            except Exception as failure:
                self._turn.failure = failure
            except BaseException:
                await self.aclose()
                raise
            if event:
                return event
            self._ending = self._turn.end()
        for event in self._ending:
            return event
        self._turn.raise_again()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Leave the reply; whoever reads on is told that it is not the whole."""
        if self._ending is None:
            self._turn.failure = IncompleteReplyError("it was left before its end")
            self._ending = self._turn.end()
        await self._opened.aclose()

    async def _next(self) -> StreamEvent | None:
        """Return the next event of the reply, None at its end."""
        if self._chunks is None:
            client = await clients.async_client(self._turn.key)
            body = self._turn.request()
            if not self._turn.stream:
                self._turn.whole = await api.asyncio_detailed(client=client, body=body)
                return None
            opening = api.asyncio_stream(client=client, body=body)
            self._chunks = await self._opened.enter_async_context(opening)
            self._turn.note_headers(self._chunks.headers)
        while True:
            for event in self._read:
                return event
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return None
            self._read = self._turn.reply.read_chunk(chunk)
