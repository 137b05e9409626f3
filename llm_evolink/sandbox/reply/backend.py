"""A real model behind the sandbox: any that is installed in llm."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import llm
from llm.parts import ToolCallPart
from pydantic import ValidationError

from .. import json_text
from ..document import Refusal, refuse, shortened
from ..request.check import ChatRequest
from .backend_prompt import prompt_arguments
from .choices import Choice, Piece, Reply, ToolCall, measure

Model = llm.Model | llm.KeyModel


class Backend:
    """A model that answers in the sandbox's place.

    Args:
        model: The model.
        url: The sandbox's own address, which the model must not ask.
    """

    def __init__(self, model: Model, url: str) -> None:
        self._model = model
        self._url = url

    async def answer(self, chat: ChatRequest) -> AsyncIterator[Piece | Reply]:
        """Yield the pieces of the reply as the model writes them; the last is the whole Reply.

        Raises Refusal: 400 for what the model does not take, 502 when it fails.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Piece | Reply | Refusal] = asyncio.Queue()
        unwanted = threading.Event()

        def put(item: Piece | Reply | Refusal) -> None:
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(items.put_nowait, item)

        def work() -> None:
            try:
                for item in self._answer(chat):
                    put(item)
                    if unwanted.is_set():
                        return
            except Refusal as refusal:
                put(refusal)
            except BaseException as error:  # A plugin may even exit: it must not hang a client.
                put(self._failure(error))

        # Of its own and a daemon: a model that is slow does not keep the sandbox from stopping.
        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                item = await items.get()
                if isinstance(item, Refusal):
                    raise item
                yield item
                if isinstance(item, Reply):
                    return
        finally:
            unwanted.set()

    def _answer(self, chat: ChatRequest) -> Iterator[Piece | Reply]:
        response = self._prompt(chat)
        said: dict[str, str] = {"reasoning": "", "text": ""}
        for event in response.stream_events():
            if event.type in said and event.chunk:
                said[event.type] += event.chunk
                yield Piece(event.type, event.chunk)
        yield _reply(chat, response, said)

    def _prompt(self, chat: ChatRequest) -> Any:
        if self._asks_itself():
            raise Refusal(502, message=f"The backend is the sandbox itself, {self._url}")
        if chat.fields.get("n", 1) > 1:
            raise refuse("n", "a backend gives one reply")
        try:
            arguments = prompt_arguments(chat.fields, self._model)
            return self._model.prompt(**arguments, stream=self._model.can_stream)
        except ValidationError as error:
            first = error.errors()[0]
            raise refuse(".".join(map(str, first["loc"])), first["msg"]) from None
        except ValueError as error:
            raise Refusal(400, message=shortened(str(error))) from None

    def _asks_itself(self) -> bool:
        """Return whether the model's server is this one; any address of this machine may be it."""
        if self._model.needs_key == "evolink":
            server = os.environ.get("EVOLINK_BASE_URL")
        else:
            server = getattr(self._model, "api_base", None)
        named, own = urlsplit(server or ""), urlsplit(self._url)
        host = named.hostname or ""
        return named.netloc.rpartition(":")[2] == own.netloc.rpartition(":")[2] and (
            host in (own.hostname, "localhost", "::1") or host.startswith("127.")
        )

    def _failure(self, error: BaseException) -> Refusal:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Refusal(502, message=shortened(f"{self._model.model_id} failed: {reason}"))


def _reply(chat: ChatRequest, response: Any, said: dict[str, str]) -> Reply:
    calls = tuple(_calls(response))
    text = None if calls and not said["text"] else said["text"]
    choice = Choice(said["reasoning"], text, calls, _finish_reason(response, calls), None)
    return Reply((choice,), _usage(response.usage(), measure(chat, [choice])))


def _finish_reason(response: Any, calls: tuple[ToolCall, ...]) -> str:
    """Return why the reply ended, as far as the model says; plugins of llm need not."""
    said = (response.response_json or {}).get("finish_reason")
    if calls:
        return "tool_calls"
    return said if isinstance(said, str) else "stop"


def _calls(response: Any) -> Iterator[ToolCall]:
    metadata = {
        part.tool_call_id: part.provider_metadata
        for message in response.messages()
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }
    for call in response.tool_calls():
        arguments = json_text.write(call.arguments)
        yield ToolCall(
            call.tool_call_id, call.name, arguments, metadata.get(call.tool_call_id) or {}
        )


def _usage(known: llm.Usage, measured: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured with all that the model knows in its place."""
    usage = dict(measured)
    if known.input is not None:
        usage["prompt_tokens"] = known.input
    if known.output is not None:
        usage["completion_tokens"] = known.output
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        counts = (known.details or {}).get(name)
        if isinstance(counts, dict):
            known_counts = {key: counts[key] for key in usage[name] if counts.get(key) is not None}
            usage[name] = dict.fromkeys(usage[name], 0) | known_counts
    return usage
