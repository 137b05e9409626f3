"""A reply as the document's responses: in one piece, or as a stream of chunks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Any

from . import json_text
from .faults import Faults
from .model import Choice, Reply
from .tokens import pieces

EVENTS_PER_WRITE = 64
"""How many events go out together when none is delayed."""

GARBLED_CHUNK = 2
"""Which chunk the fault `garble` spoils, from 0: by then there has been a piece of text."""


class ConnectionCut(Exception):  # noqa: N818 - asked for by the fault `cut_after`
    """Raised in the middle of a stream, so that the server drops the connection."""


def encode(value: Any) -> bytes:
    """Return the value as JSON in UTF-8."""
    return json_text.write(value).encode("utf-8", "replace")


def completion(reply: Reply, head: dict[str, Any]) -> dict[str, Any]:
    """Return a ChatCompletionResponse; head holds the fields that every response begins with."""
    return {
        **head,
        "object": "chat.completion",
        "choices": [_whole_choice(index, each) for index, each in enumerate(reply.choices)],
        "usage": reply.usage,
    }


def chunks(reply: Reply, head: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield the ChatCompletionChunks of a reply, a token of text in each; usage is the last."""
    head = {**head, "object": "chat.completion.chunk"}
    for index, choice in enumerate(reply.choices):
        deltas = _deltas(choice)
        delta = next(deltas)
        for following in deltas:
            yield {**head, "choices": [{"index": index, **delta, "finish_reason": None}]}
            delta = following
        yield {
            **head,
            "choices": [{"index": index, **delta, "finish_reason": choice.finish_reason}],
        }
    if with_usage:
        yield {**head, "choices": [], "usage": reply.usage}


async def events(stream: Iterator[dict[str, Any]], faults: Faults) -> AsyncIterator[bytes]:
    """Yield the chunks as server-sent events, then [DONE], at the pace and with the faults asked.

    Raises ConnectionCut after as many chunks as the faults say.
    """
    batch: list[bytes] = []
    for number, data in enumerate(chain(map(encode, stream), [b"[DONE]"])):
        if number == faults.cut_after:
            yield b"".join(batch)
            raise ConnectionCut
        if faults.garble and number == GARBLED_CHUNK:
            data = data[: len(data) // 2]
        batch.append(b"data: %s\n\n" % data)
        if faults.chunk_delay or len(batch) == EVENTS_PER_WRITE:
            yield b"".join(batch)
            batch.clear()
            # Even for 0 seconds: it is where a stream that nobody reads any more is cancelled.
            await asyncio.sleep(faults.chunk_delay)
    yield b"".join(batch)


def _whole_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                "extra_content": call.extra_content,
            }
            for call in choice.calls
        ]
    whole = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    if choice.logprobs is not None:
        whole["logprobs"] = {"content": choice.logprobs}
    return whole


def _deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the delta of each chunk, and its logprobs where it has some."""
    yield {"delta": {"role": "assistant", "content": "" if choice.calls == () else None}}
    for piece in pieces(choice.reasoning):
        yield {"delta": {"reasoning_content": piece}}
    logprobs = iter(choice.logprobs or ())
    for piece in pieces(choice.text or ""):
        logprob = next(logprobs, None)
        extra = {"logprobs": {"content": [logprob]}} if logprob else {}
        yield {"delta": {"content": piece}, **extra}
    for index, call in enumerate(choice.calls):
        named = {"index": index, "id": call.id, "type": "function"}
        named["function"] = {"name": call.name, "arguments": ""}
        yield {"delta": {"tool_calls": [{**named, "extra_content": call.extra_content}]}}
        middle = len(call.arguments) // 2
        for piece in (call.arguments[:middle], call.arguments[middle:]):
            yield {"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}
