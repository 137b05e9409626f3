"""Server-sent events, with delays and faults."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..document import Refusal
from ..faults import Faults
from ..json_text import encode

EVENTS_PER_WRITE = 64
"""How many events go out together when none is delayed."""

GARBLED_CHUNK = 2
"""Which chunk the fault `garble` spoils, from 0: by then there has been a piece of text."""


class ConnectionCut(Exception):  # noqa: N818 - asked for by the fault `cut_after`
    """Raised in the middle of a stream, so that the server drops the connection."""


async def each(stream: Iterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks, which are all there already."""
    for data in stream:
        yield data


async def events(
    stream: AsyncIterator[dict[str, Any]], faults: Faults, together: int = EVENTS_PER_WRITE
) -> AsyncIterator[bytes]:
    """Yield the chunks as server-sent events, then [DONE], at the pace and with the faults asked.

    So many go out together. A Refusal in the stream is its last event. Raises ConnectionCut after
    as many chunks as the faults say.
    """
    batch: list[bytes] = []
    async for number, data in _encoded(stream):
        if number == faults.cut_after:
            yield b"".join(batch)
            raise ConnectionCut
        if faults.garble and number == GARBLED_CHUNK:
            data = data[: len(data) // 2]
        batch.append(b"data: %s\n\n" % data)
        if faults.chunk_delay or len(batch) == together:
            yield b"".join(batch)
            batch.clear()
            # Even for 0 seconds: it is where a stream that nobody reads any more is cancelled.
            await asyncio.sleep(faults.chunk_delay)
    yield b"".join(batch)


async def _encoded(stream: AsyncIterator[dict[str, Any]]) -> AsyncIterator[tuple[int, bytes]]:
    """Yield number and data of each event; [DONE] is the last unless the stream failed."""
    number = 0
    try:
        async for data in stream:
            yield number, encode(data)
            number += 1
    except Refusal as refusal:
        yield number, encode(refusal.body)
        return
    yield number, b"[DONE]"
