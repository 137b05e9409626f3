"""Server-sent events, with delays and faults."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..document import Refusal
from ..faults import Faults
from ..json_text import encode

EVENTS_PER_WRITE = 64
"""Number of events in one write when none is delayed."""

GARBLED_CHUNK = 2
"""Index of the chunk that the fault `garble` makes invalid. Text is sent before it."""


class ConnectionCut(Exception):  # noqa: N818 - asked for by the fault `cut_after`
    """Raised in the middle of a stream to make the server drop the connection."""


async def iterate(chunks: Iterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks of a reply that is complete."""
    for chunk in chunks:
        yield chunk


async def events(
    chunks: AsyncIterator[dict[str, Any]], faults: Faults, per_write: int = EVENTS_PER_WRITE
) -> AsyncIterator[bytes]:
    """Yield the chunks as server-sent events and then [DONE], per_write events at a time.

    A Refusal that the chunks raise is the last event. Raises ConnectionCut as the faults say.
    """
    batch: list[bytes] = []
    async for number, data in _encoded(chunks):
        if number == faults.cut_after:
            yield b"".join(batch)
            raise ConnectionCut
        if faults.garble and number == GARBLED_CHUNK:
            data = data[: len(data) // 2]
        batch.append(b"data: %s\n\n" % data)
        if faults.chunk_delay or len(batch) == per_write:
            yield b"".join(batch)
            batch.clear()
            # Also for 0 seconds: here a stream is cancelled when its client has disconnected.
            await asyncio.sleep(faults.chunk_delay)
    yield b"".join(batch)


async def _encoded(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[tuple[int, bytes]]:
    """Yield number and data of each event; [DONE] is the last unless the stream failed."""
    number = 0
    try:
        async for chunk in chunks:
            yield number, encode(chunk)
            number += 1
    except Refusal as refusal:
        yield number, encode(refusal.body)
        return
    yield number, b"[DONE]"
