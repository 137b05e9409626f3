"""A reply, complete or in chunks, as llm takes it: events, tool calls, usage and log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import llm
from llm.parts import StreamEvent

from generated_client import models
from generated_client.types import Unset

from ..constants import METADATA_KEY, SERVER_HEADER
from ..errors import BadReplyError, ContentFilterError, IncompleteReplyError
from ..failures import from_report, request_id
from ..redaction import SHORTEST, Redactor
from ..text import replace_surrogates
from . import decoding
from .finish_reason import Ending, classify
from .sanitizer import Sanitizer
from .size_limit import SizeLimit, json_size
from .think_tags import ThinkTags
from .tool_calls import ToolCalls, merge
from .usage import set_usage, update


class Reply:
    """State of a reply while it is read.

    Args:
        redactor: Removes the key from all of it.
        limit: Counts the memory of what is kept of it.

    Attributes:
        ending: How the answer ended; MISSING until the server reports it.
        finish_reason: The server's word for it, None without one.
        request_id: Id of the request, from the response's headers; None without one.
        has_choice: Whether the server sent a choice, an answer even if it is empty.
        has_text: Whether the answer has text.
        has_refusal: Whether the text is a refusal.
        function_call: Name of the tool of a call in the legacy form, whose arguments are the text.
    """

    def __init__(self, redactor: Redactor, limit: SizeLimit) -> None:
        self._redactor = redactor
        self._limit = limit
        self._sanitizer = Sanitizer(redactor)
        self.ending = Ending.MISSING
        self.finish_reason: str | None = None
        self.request_id: str | None = None
        self.has_text = False
        self.has_refusal = False
        self.function_call: str | None = None
        self._server: str | None = None
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._calls = ToolCalls(limit)
        self._other_calls = ToolCalls(limit)
        self._logprobs: dict[str, list[Any]] = {}
        self._text_metadata: dict[str, Any] = {}
        self._think_tags = ThinkTags()
        self.has_choice = False
        self._has_reasoning = False

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Note the request id and the server from the response's headers."""
        self.request_id = self.request_id or request_id(headers)
        self._server = headers.get(SERVER_HEADER)

    def read_chunk(self, chunk: models.ChatCompletionChunk) -> Iterator[StreamEvent]:
        """Yield the new events of a chunk. Raises EvolinkError for an error in it."""
        choices: Any = chunk.choices or ()
        if chunk.error or not (choices or chunk.usage):
            data = {**chunk.additional_properties, "object": chunk.object_, "error": chunk.error}
            data = {name: value for name, value in data.items() if value or name != "error"}
            if chunk.error or decoding.reports_error(data):
                raise from_report(data)
        self._read_head(chunk)
        for choice in choices:
            yield from self._read_choice(choice, choice.delta)

    def read_completion(self, completion: models.ChatCompletionResponse) -> Iterator[StreamEvent]:
        """Yield the events of a complete reply."""
        self._read_head(completion)
        for choice in completion.choices or ():
            yield from self._read_choice(choice, choice.message)

    def flush(self, *, is_cut: bool = False) -> Iterator[StreamEvent]:
        """Yield the text that was held back because the key, or a tag, might have begun in it.

        In a reply that is cut, text that is probably the start of the key becomes an ellipsis.
        """
        for event_type, text in self._think_tags.rest():
            yield from self._show(event_type, text)
        for event_type, text in self._redactor.rest():
            is_key = is_cut and len(text) >= SHORTEST
            yield StreamEvent(type=event_type, chunk="…" if is_key else text)

    def finish(self, response: Any) -> Iterator[StreamEvent]:
        """Yield the last events, and give llm's response its tool calls, usage and log.

        Raises EvolinkError for a reply that failed, that a filter withheld, or that holds nothing.
        """
        yield from self.flush()
        self._check_ending()
        if self._text_metadata:
            metadata = {METADATA_KEY: self._sanitizer.json(self._text_metadata)}
            yield StreamEvent(type="text", chunk="", provider_metadata=metadata)
        yield from self._finish_calls(response)
        usage = self._sanitizer.json(self._usage)
        reasoning_tokens = set_usage(response, usage)
        if reasoning_tokens and not self._has_reasoning:
            yield StreamEvent(type="reasoning", chunk="", redacted=True)
        if "model" in self._head:
            response.set_resolved_model(self._head["model"])
        response.response_json = self._log(usage)

    @property
    def is_empty(self) -> bool:
        """Whether the answer has neither text nor tool calls."""
        return not (self.has_text or self.has_tool_calls)

    @property
    def has_tool_calls(self) -> bool:
        """Whether the answer calls tools."""
        return bool(self._tool_calls)

    @property
    def _tool_calls(self) -> ToolCalls:
        """The calls of the first choice, else those of another: some servers spread them."""
        return self._calls or self._other_calls

    def _log(self, usage: dict[str, Any]) -> dict[str, Any]:
        # No copy of the text: llm stores it elsewhere.
        log = {**self._head, "finish_reason": self.finish_reason, "usage": usage}
        log |= {
            "request_id": self._sanitizer.word(self.request_id),
            "server": self._server,
            "logprobs": self._sanitizer.json(self._redacted_logprobs()),
        }
        return {name: value for name, value in log.items() if value}

    def _redacted_logprobs(self) -> dict[str, list[Any]]:
        """Return the log probabilities without tokens that form the key when they are joined."""
        redacted = {}
        for name, entries in self._logprobs.items():
            tokens = [entry.get("token") if isinstance(entry, dict) else "" for entry in entries]
            texts = [token if isinstance(token, str) else "" for token in tokens]
            of_key = self._redactor.parts_of_key(texts)
            redacted[name] = [
                {"token": "…"} if index in of_key else entry for index, entry in enumerate(entries)
            ]
        return redacted

    def _check_ending(self) -> None:
        """Raise EvolinkError for a reply that is not an answer, or whose tool calls were cut."""
        if self.ending is Ending.FAILED:
            raise IncompleteReplyError(f"the server ended it with {self.finish_reason}")
        if self.is_empty and self.ending is Ending.FILTERED:
            raise ContentFilterError(
                f"The server's content filter withheld the answer ({self.finish_reason})"
            )
        if not self.has_choice:
            raise BadReplyError("EvoLink sent a reply with nothing in it; try again")
        if self._tool_calls:
            if self.ending in (Ending.TOKEN_LIMIT, Ending.FILTERED):
                raise IncompleteReplyError(
                    f"it ended inside a tool call ({self.finish_reason})",
                )
            if self.ending is Ending.MISSING:
                raise IncompleteReplyError("the server did not report the end of its tool calls")
        elif (self.finish_reason or "").lower() in ("tool_calls", "tool_call", "tool_use"):
            raise IncompleteReplyError("the server reported a tool call and sent none to read")

    def _finish_calls(self, response: Any) -> Iterator[StreamEvent]:
        for call in self._tool_calls.finished():
            if not call.arguments.strip() and self.ending is not Ending.COMPLETE:
                raise IncompleteReplyError(f"the tool call {call.name} has no arguments")
            arguments = self._sanitizer.json(call.parsed_arguments())
            name = self._sanitizer.word(call.name) or ""
            call_id = self._sanitizer.word(call.id) or ""
            response.add_tool_call(llm.ToolCall(name, arguments, call_id))
            yield StreamEvent(type="tool_call_name", chunk=name, tool_call_id=call_id)
            yield StreamEvent(
                type="tool_call_args",
                chunk=json.dumps(arguments),
                tool_call_id=call_id,
                provider_metadata={METADATA_KEY: self._sanitizer.json(call.unknown)},
            )

    def _read_head(self, part: models.ChatCompletionChunk | models.ChatCompletionResponse) -> None:
        head = self._head
        if part.id and "id" not in head:
            head["id"] = self._sanitizer.word(part.id)
        if part.model and "model" not in head:
            head["model"] = self._sanitizer.word(part.model)
        if part.created and "created" not in head:
            head["created"] = self._sanitizer.json(part.created)
        if part.usage:
            update(self._usage, part.usage.to_dict(), self._limit)

    def _read_choice(
        self,
        choice: models.ChunkChoice | models.Choice,
        delta: models.Delta | models.AssistantMessage | Unset | None,
    ) -> Iterator[StreamEvent]:
        """Yield the events of a choice. One is requested; of others only tool calls are read."""
        is_delta = isinstance(choice, models.ChunkChoice)
        if choice.index and str(choice.index) != "0":
            self._read_calls(delta, self._other_calls, is_delta=is_delta)
            return
        self.has_choice = True
        if delta:
            yield from self._read_delta(delta)
            self._read_calls(delta, self._calls, is_delta=is_delta)
        if choice.finish_reason:
            self._read_finish_reason(choice.finish_reason)
        if choice.logprobs:
            self._read_logprobs(choice.logprobs)
        if choice.additional_properties:
            yield from self._read_unknown(choice.additional_properties)

    def _read_calls(self, delta: Any, calls: ToolCalls, *, is_delta: bool) -> None:
        for call in (delta and delta.tool_calls) or ():
            if is_delta:
                calls.add_delta(call)
            else:
                calls.add(call)

    def _read_finish_reason(self, value: Any) -> None:
        """Note why the answer ended; the worst of several reasons counts."""
        finish_reason = self._sanitizer.word(value)
        ending = classify(finish_reason)
        if finish_reason and (ending >= self.ending or self.ending is Ending.MISSING):
            self.finish_reason, self.ending = finish_reason, ending

    def _read_logprobs(self, logprobs: Any) -> None:
        for name, tokens in logprobs.items() if isinstance(logprobs, dict) else ():
            if not isinstance(tokens, list):  # null where there are none.
                continue
            size = json_size({name: tokens})
            if self._limit.has_room(size):
                self._limit.add(size)
                self._logprobs.setdefault(name, []).extend(tokens)

    def _read_unknown(self, fields: dict[str, Any]) -> Iterator[StreamEvent]:
        """Read fields that the document has elsewhere: message, legacy text, usage, error.

        Of a message beside deltas, what they did not bring.
        """
        message = decoding.valid_message(fields.get("message") or fields.get("text"))
        if message:
            if self.has_text:
                message = {**message, "content": None, "refusal": None}
            if self._has_reasoning:
                message |= {"reasoning_content": None, "reasoning": None}
            other = models.AssistantMessage.from_dict(message)
            has_calls = bool(self._calls)
            yield from self._read_delta(other)
            if not has_calls:
                self._read_calls(other, self._calls, is_delta=False)
        if isinstance(usage := fields.get("usage"), dict):
            update(self._usage, usage, self._limit)
        if error := fields.get("error"):
            raise from_report(error)

    def _read_delta(self, delta: models.Delta | models.AssistantMessage) -> Iterator[StreamEvent]:
        if reasoning := delta.reasoning_content or delta.reasoning:
            yield from self._show("reasoning", reasoning)
        if content := delta.content:
            if self._think_tags.in_answer:
                yield from self._show("text", content)
            else:
                for event_type, text in self._think_tags.split(decoding.text_of(content)):
                    yield from self._show(event_type, text)
        if delta.additional_properties:
            yield from self._read_unknown_of_delta(delta.additional_properties)

    def _read_unknown_of_delta(self, fields: dict[str, Any]) -> Iterator[StreamEvent]:
        """Show a refusal and a call in the legacy form as text; keep the other fields."""
        if refusal := fields.get("refusal"):
            self.has_refusal = True
            yield from self._show("text", refusal)
        if isinstance(call := fields.get("function_call"), dict):
            self.function_call = self._sanitizer.word(call.get("name")) or self.function_call or ""
            yield from self._show("text", call.get("arguments") or "")
        merge(
            self._text_metadata,
            {key: fields[key] for key in fields if key not in ("refusal", "function_call")},
            self._limit,
        )

    def _show(self, event_type: str, text: Any) -> Iterator[StreamEvent]:
        if type(text) is not str:
            text = decoding.text_of(text)
        self._limit.add_text(text)
        if event_type == "text":
            self.has_text = self.has_text or bool(text.strip())
        elif text:
            self._has_reasoning = True
        return self._events(self._redactor.deltas(event_type, replace_surrogates(text)))

    def _events(self, texts: Iterator[tuple[str, str]]) -> Iterator[StreamEvent]:
        return (StreamEvent(type=event_type, chunk=text) for event_type, text in texts)
