"""Generator over the events of a reply; async_reply.py is its counterpart for an event loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm.parts import StreamEvent

from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.errors import UnexpectedResponse

from ..connection import clients
from .decoding import decode_event
from .turn import Turn


def sync_events(turn: Turn) -> Iterator[StreamEvent]:
    """Send the request of the turn and yield the reply. Raises EvolinkError for any failure."""
    complete: Any = None
    try:
        client = clients.client(turn.key, turn.timeout)
        body = turn.request()
        if turn.stream:
            events = api.sync_stream(client=client, body=body)
            events.read_other = decode_event
            try:
                with events as chunks:
                    turn.read_headers(chunks.headers)
                    for chunk in chunks:
                        yield from turn.read_chunk(chunk)
            except UnexpectedResponse as other:  # Its content type is not that of a stream.
                complete = other.status_code, other.headers, other.content, None
        else:
            found = api.sync_detailed(client=client, body=body)
            complete = found.status_code, found.headers, found.content, found.parsed
        if complete:
            yield from turn.read_complete(*complete)
    except Exception as failure:
        turn.fail(failure)
    except BaseException:
        turn.abandon()
        raise
    yield from turn.finish()
