"""A prompt that may fail, through llm's Python API, in any of the four ways."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from llm_evolink.chat import AsyncEvolinkChat, EvolinkChat
from llm_evolink.errors import EvolinkError
from tests import wire

from .ways import WAYS, Way

WHOLE: dict[str, Any] = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
STREAM: list[Any] = [
    {"choices": [{"delta": {"content": "hi"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    "[DONE]",
]


STREAMED = [way for way in WAYS if way.stream]
WHOLES = [way for way in WAYS if not way.stream]
STREAM_AT_ONCE = WAYS[0]


@dataclass
class Outcome:
    """What came of a prompt.

    Attributes:
        pieces: The pieces of text that were shown.
        error: The error that ended it, None for none.
        again: What a second read of the response did: a text, or an error.
        response: llm's response.
    """

    pieces: list[str]
    error: EvolinkError | None
    again: Any
    response: Any

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def ask(way: Way, prompt: str = "hello", **options: Any) -> Outcome:
    """Prompt the model, and read the response twice. An error that is not ours is raised."""
    if way.asynchronous:
        return asyncio.run(_ask(way, prompt, options))
    response = EvolinkChat().prompt(prompt, stream=way.stream, **options)
    outcome = Outcome([], None, None, response)
    try:
        for piece in response:
            outcome.pieces.append(piece)
    except EvolinkError as error:
        outcome.error = error
    try:
        outcome.again = response.text()
    except EvolinkError as error:
        outcome.again = error
    return outcome


async def _ask(way: Way, prompt: str, options: Any) -> Outcome:
    response = AsyncEvolinkChat().prompt(prompt, stream=way.stream, **options)
    outcome = Outcome([], None, None, response)
    try:
        async for piece in response:
            outcome.pieces.append(piece)
    except EvolinkError as error:
        outcome.error = error
    try:
        outcome.again = await response.text()
    except EvolinkError as error:
        outcome.again = error
    return outcome


def answer(reply: wire.Reply, text: str = "hi") -> None:
    """Answer as was asked: whole, or a stream of one piece of text."""
    if reply.request.json().get("stream"):
        reply.events({"choices": [{"delta": {"content": text}}]}, *STREAM[1:])
    else:
        reply.respond(200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, handler: wire.Handler) -> Iterator[wire.Server]:
    """Serve with the handler, as the server that the environment names."""
    with wire.serve(handler) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        yield server
