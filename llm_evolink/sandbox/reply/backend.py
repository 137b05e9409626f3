"""Replies by a model of llm, the sandbox's backend."""

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

from ...text import clean
from .. import json_text
from ..document import Refusal, refuse, shortened
from ..request.check import ChatRequest
from .backend_prompt import prompt_arguments
from .choices import Choice, Delta, Reply, ToolCall, measure
from .sanitizer import Sanitizer

Model = llm.Model | llm.KeyModel


class Backend:
    """Replies of a model of llm, without its key and without terminal escapes.

    Args:
        model: The model.
        url: The sandbox's own URL, which the model must not use.
    """

    def __init__(self, model: Model, url: str) -> None:
        self._model = model
        self._url = url

    async def answer(self, chat: ChatRequest) -> AsyncIterator[Delta | Reply]:
        """Yield the deltas of the reply as the model generates them, then the complete Reply.

        Raises Refusal: 400 for a request that the model cannot take, 502 when the model fails.
        """
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Delta | Reply | Refusal] = asyncio.Queue()
        abandoned = threading.Event()

        def put(item: Delta | Reply | Refusal) -> None:
            with suppress(RuntimeError):  # The loop is closed: the sandbox has stopped.
                loop.call_soon_threadsafe(items.put_nowait, item)

        def work() -> None:
            try:
                for item in self._answer(chat):
                    put(item)
                    if abandoned.is_set():
                        return
            except Refusal as refusal:
                put(refusal)
            except BaseException as error:  # SystemExit, too, has to be answered.
                put(Refusal(502, message=self._message(f"{self._model.model_id} failed", error)))

        # A daemon thread: a slow model does not keep the sandbox from stopping.
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
            abandoned.set()

    def _answer(self, chat: ChatRequest) -> Iterator[Delta | Reply]:
        response = self._prompt(chat)
        sanitizer = Sanitizer(self._key())
        texts = {"reasoning": "", "text": ""}
        for delta in sanitizer.deltas(response.stream_events()):
            texts[delta.type] += delta.text
            yield delta
        yield _reply(chat, response, texts, sanitizer)

    def _prompt(self, chat: ChatRequest) -> Any:
        if self._uses_sandbox():
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
            raise Refusal(400, message=self._message("", error)) from None

    def _uses_sandbox(self) -> bool:
        """Return whether the model's server is this sandbox, by any loopback host name."""
        if self._model.needs_key == "evolink":
            server = os.environ.get("EVOLINK_BASE_URL")
        else:
            server = getattr(self._model, "api_base", None)
        named, own = urlsplit(server or ""), urlsplit(self._url)
        host = named.hostname or ""
        return named.netloc.rpartition(":")[2] == own.netloc.rpartition(":")[2] and (
            host in (own.hostname, "localhost", "::1") or host.startswith("127.")
        )

    def _message(self, prefix: str, error: BaseException) -> str:
        """Return the error as one printable line that does not contain the model's key."""
        reason = clean(Sanitizer(self._key()).value(str(error))) or type(error).__name__
        return shortened(": ".join(filter(None, [prefix, reason])))

    def _key(self) -> str:
        """Return the model's key; "" if it has none."""
        with suppress(Exception):  # A plugin's own get_key can raise anything.
            if self._model.needs_key:
                return self._model.get_key() or ""
        return ""


def _reply(chat: ChatRequest, response: Any, texts: dict[str, str], sanitizer: Sanitizer) -> Reply:
    calls = tuple(_calls(response, sanitizer))
    text = None if calls and not texts["text"] else texts["text"]
    finish_reason = sanitizer.value(_finish_reason(response, calls))
    choice = Choice(texts["reasoning"], text, calls, finish_reason, None)
    return Reply((choice,), _usage(response.usage(), measure(chat, [choice])))


def _finish_reason(response: Any, calls: tuple[ToolCall, ...]) -> str:
    """Return the finish reason that the model logged; not every plugin logs one."""
    finish_reason = (response.response_json or {}).get("finish_reason")
    if calls:
        return "tool_calls"
    return finish_reason if isinstance(finish_reason, str) else "stop"


def _calls(response: Any, sanitizer: Sanitizer) -> Iterator[ToolCall]:
    metadata = {
        part.tool_call_id: part.provider_metadata
        for message in response.messages()
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }
    for call in response.tool_calls():
        yield ToolCall(
            sanitizer.value(call.tool_call_id),
            sanitizer.value(call.name),
            json_text.write(sanitizer.value(call.arguments)),
            sanitizer.value(metadata.get(call.tool_call_id) or {}),
        )


def _usage(reported: llm.Usage, measured: dict[str, Any]) -> dict[str, Any]:
    """Return the measured usage, with each count that the model reported in its place."""
    usage = dict(measured)
    if reported.input is not None:
        usage["prompt_tokens"] = reported.input
    if reported.output is not None:
        usage["completion_tokens"] = reported.output
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        counts = (reported.details or {}).get(name)
        if isinstance(counts, dict):
            known = {key: counts[key] for key in usage[name] if counts.get(key) is not None}
            usage[name] = dict.fromkeys(usage[name], 0) | known
    return usage
