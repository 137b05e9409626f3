"""The four ways to call the model, and replies that a server sends in either form."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llm

from tests import wire

MODEL = "gemini-3.5-flash"
INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."


@dataclass(frozen=True)
class Way:
    """Sync or async, streamed or whole."""

    asynchronous: bool
    stream: bool

    @property
    def model(self) -> Any:
        return llm.get_async_model(MODEL) if self.asynchronous else llm.get_model(MODEL)

    @property
    def flags(self) -> list[str]:
        """What says so to the `llm` command."""
        return ["--async"] * self.asynchronous + ["--no-stream"] * (not self.stream)

    def wait(self, value: Any) -> Any:
        """Return the value, awaited where the model is the async one."""

        async def waited() -> Any:
            return await value

        return asyncio.run(waited()) if inspect.isawaitable(value) else value

    def prompt(self, *arguments: Any, on: Any = None, **options: Any) -> Any:
        """Prompt the model, or the conversation given, and return the finished response."""
        response = (on or self.model).prompt(*arguments, stream=self.stream, **options)
        self.wait(response.text())
        return response

    def reply(self, response: Any, *arguments: Any, **options: Any) -> Any:
        """Reply to the response and return the finished response."""
        answer = self.wait(response.reply(*arguments, stream=self.stream, **options))
        self.wait(answer.text())
        return answer

    def chain(self, *arguments: Any, on: Any = None, **options: Any) -> str:
        """Run a chain of the model, or the conversation given, and return its text."""
        chain = (on or self.model).chain(*arguments, stream=self.stream, **options)
        return self.wait(chain.text())

    def said(self, response: Any) -> list[dict[str, Any]]:
        """Return the parts of the response, as dicts."""
        (message,) = self.wait(response.messages())
        return [part.to_dict() for part in message.parts]


WAYS = [Way(asynchronous, stream) for asynchronous in (False, True) for stream in (True, False)]


def way_id(way: Way) -> str:
    return ("async-" * way.asynchronous) + ("streamed" if way.stream else "whole")


@contextmanager
def scripted(*replies: dict[str, Any]) -> Iterator[wire.Server]:
    """Serve the replies in turn, as a stream or whole, as each request asks.

    A reply holds a message, or deltas for a stream of more than that; finish_reason; and fields
    that stand beside the choices: usage, model and so on.
    """
    waiting = list(replies)

    def handle(reply: wire.Reply) -> None:
        said = {"finish_reason": "stop", **waiting.pop(0)}
        message = said.pop("message", None)
        deltas = said.pop("deltas", [message])
        ending = {name: said.pop(name) for name in ("finish_reason", "logprobs") if name in said}
        if not reply.request.json().get("stream"):
            reply.respond(200, {"choices": [{"index": 0, "message": message, **ending}], **said})
            return
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks[-1]["choices"][0] |= ending
        reply.events(*chunks, {"choices": [], **said}, "[DONE]")

    with wire.serve(handle) as server:
        yield server
