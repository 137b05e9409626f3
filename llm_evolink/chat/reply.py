"""A reply, whole or in chunks, as what llm wants of it: events, tool calls, usage, its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import StreamEvent

from generated_client import models

from ..constants import METADATA_KEY
from ..errors import BadReplyError
from ..failures import from_event
from ..redaction import Redactor
from ..text import replace_surrogates
from .tool_calls import ToolCalls, merge


class Reply:
    """What a reply has said so far.

    Args:
        redactor: Keeps the key out of all of it.

    Attributes:
        finish_reason: Why it ended; None while it has not said.
        request_id: What EvoLink's support asks for, from the response's header; None without one.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.finish_reason: str | None = None
        self.request_id: str | None = None
        self._head: dict[str, Any] = {}
        self._usage: models.Usage | None = None
        self._calls = ToolCalls()
        self._logprobs: dict[str, list[Any]] = {}
        self._text_metadata: dict[str, Any] = {}
        self._began = False
        self._thought_aloud = False

    def read_chunk(self, chunk: models.ChatCompletionChunk) -> Iterator[StreamEvent]:
        """Yield what is new in a chunk of a stream. Raises EvolinkError for an error in it."""
        if chunk.error:
            raise from_event(chunk.error)
        self._note(chunk)
        for choice in chunk.choices or ():
            # One reply is asked for; should more come, the first is the answer.
            if not choice.index:
                self._note_choice(choice)
                if choice.delta:
                    yield from self._read_delta(choice.delta)
                    for piece in choice.delta.tool_calls or ():
                        self._calls.add_piece(piece)

    def read_whole(self, completion: models.ChatCompletionResponse) -> Iterator[StreamEvent]:
        """Yield what a reply that came in one piece says. Raises EvolinkError for an error."""
        if error := completion.additional_properties.get("error"):
            raise from_event(error)
        self._note(completion)
        for choice in (completion.choices or [])[:1]:
            self._note_choice(choice)
            if choice.message:
                yield from self._read_delta(choice.message)
                for call in choice.message.tool_calls or ():
                    self._calls.add(call)

    def finish(self, response: Any) -> Iterator[StreamEvent]:
        """Yield what only the end tells; give llm's response its calls, usage and log.

        Raises BadReplyError for a reply that said nothing, or a call with unreadable arguments.
        """
        if not self._began:
            raise BadReplyError("EvoLink sent a reply with nothing in it; try again")
        yield from _events(self._redactor.rest())
        if self._text_metadata:
            metadata = {METADATA_KEY: self._fit(self._text_metadata)}
            yield StreamEvent(type="text", chunk="", provider_metadata=metadata)
        for call in self._calls.finished():
            arguments = self._fit(call.parsed_arguments())
            name, call_id = self._fit(call.name), self._fit(call.id)
            response.add_tool_call(llm.ToolCall(name, arguments, call_id))
            yield StreamEvent(type="tool_call_name", chunk=name, tool_call_id=call_id)
            yield StreamEvent(
                type="tool_call_args",
                chunk=json.dumps(arguments),
                tool_call_id=call_id,
                provider_metadata={METADATA_KEY: self._fit(call.unknown)},
            )
        usage = self._fit(self._usage.to_dict()) if self._usage else {}
        reasoning_tokens = _set_usage(response, usage)
        if reasoning_tokens and not self._thought_aloud:
            yield StreamEvent(type="reasoning", chunk="", redacted=True)
        if "model" in self._head:
            response.set_resolved_model(self._head["model"])
        # No copy of the text: llm keeps that elsewhere.
        log = {**self._head, "finish_reason": self.finish_reason, "usage": usage}
        log |= {"request_id": self._fit(self.request_id), "logprobs": self._fit(self._logprobs)}
        response.response_json = {name: value for name, value in log.items() if value}

    def _note(self, piece: models.ChatCompletionChunk | models.ChatCompletionResponse) -> None:
        for name in ("id", "model", "created"):
            value = getattr(piece, name)
            if value and name not in self._head:
                self._head[name] = self._fit(value if name == "created" else _string(value))
        if piece.usage:
            self._usage = piece.usage

    def _note_choice(self, choice: models.ChunkChoice | models.Choice) -> None:
        self._began = True
        if choice.finish_reason:
            self.finish_reason = self._fit(_string(choice.finish_reason))
        if isinstance(choice.logprobs, dict):
            for name, tokens in choice.logprobs.items():
                if isinstance(tokens, list):  # null where there are none.
                    self._logprobs.setdefault(name, []).extend(tokens)

    def _read_delta(self, delta: models.Delta | models.AssistantMessage) -> Iterator[StreamEvent]:
        if reasoning := delta.reasoning_content or delta.reasoning:
            self._thought_aloud = True
            yield from self._said("reasoning", reasoning)
        if delta.content:
            yield from self._said("text", delta.content)
        if delta.additional_properties:
            merge(self._text_metadata, delta.additional_properties)

    def _said(self, kind: str, piece: Any) -> Iterator[StreamEvent]:
        return _events(self._redactor.deltas(kind, replace_surrogates(_string(piece))))

    def _fit(self, value: Any) -> Any:
        """Return JSON data fit to be logged: without the key, and without lone surrogates."""
        if isinstance(value, str):
            return self._redactor.text(replace_surrogates(value))
        if isinstance(value, dict):
            return {self._fit(key): self._fit(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fit(item) for item in value]
        return value


def _events(pieces: Iterator[tuple[str, str]]) -> Iterator[StreamEvent]:
    return (StreamEvent(type=kind, chunk=text) for kind, text in pieces)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadReplyError(f"EvoLink sent {type(value).__name__} where text was expected")
    return value


def _set_usage(response: Any, usage: dict[str, Any]) -> int:
    """Give llm the counts, None for one that was not sent. Returns the reasoning tokens.

    The compatibility fields input_tokens and output_tokens are 0 where the others hold the count.
    """
    details: dict[str, dict[str, int]] = {}
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        counts = usage.get(name)
        if isinstance(counts, dict):
            counts = {key: count for key, count in counts.items() if _count(count)}
            if counts:
                details[name] = counts
    response.set_usage(
        input=_count(usage.get("prompt_tokens")),
        output=_count(usage.get("completion_tokens")),
        details=details or None,
    )
    return details.get("completion_tokens_details", {}).get("reasoning_tokens", 0)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
