"""One request and its reply: everything that the sync and async models share. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import llm
from llm.parts import StreamEvent

from generated_client import models
from generated_client.errors import IncompleteStream
from generated_client.responses import EventReader

from .. import terminal
from ..errors import EvolinkError, IncompleteReplyError
from ..failures import explain, from_report, from_status, not_a_reply
from ..redaction import Redactor
from . import decoding, llm_private
from .finish_reason import Ending
from .notices import notices
from .reply import Reply
from .request import build_request, schema_of
from .size_limit import SizeLimit

_LEFT = "the caller stopped reading it"


class Turn:
    """State of one prompt: builds the request, reads the reply, reports the outcome to llm.

    Call request(); then read_headers() and read_chunk() for a stream, or read_complete(); fail() if
    an exception ended the reply; at last finish().

    Attributes:
        key: The API key.
        stream: Whether a stream is requested.
        timeout: Seconds without progress after which the request fails; None for the default.
    """

    def __init__(
        self, prompt: llm.Prompt, stream: bool, response: Any, conversation: Any, key: str
    ) -> None:
        self.key = key
        self.stream = stream
        self.timeout: float | None = getattr(prompt.options, "timeout", None)
        self._redactor = Redactor(key)
        limit = SizeLimit(is_logged=terminal.is_command_line())
        self._reply = Reply(self._redactor, limit)
        self._failure: Exception | None = None
        self._is_complete_reply = False
        self._is_requested = False
        self._prompt = prompt
        self._response = response
        self._conversation = conversation

    def request(self) -> models.ChatCompletionQuickRequest:
        """Return the request. Raises EvolinkError for what cannot be sent, or not again."""
        # llm calls the model again when a response that failed, or that the caller left, is read
        # again. Nothing is paid for twice, and a part is not taken for the complete answer.
        self.raise_failure()
        if llm_private.has_events(self._response):
            raise IncompleteReplyError(_LEFT)
        request = build_request(self._prompt, self._conversation, stream=self.stream)
        self._is_requested = True
        return request

    def raise_failure(self) -> None:
        """Raise the EvolinkError that the response ended with, if it failed."""
        if failure := getattr(self._response, "evolink_failure", None):
            raise failure

    def abandon(self) -> None:
        """Note that the caller stopped reading; once a request was made, a later read fails."""
        self._failure = IncompleteReplyError(_LEFT)
        if self._is_requested:
            self._response.evolink_failure = self._failure

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Note what the log takes from the response's headers."""
        self._reply.read_headers(headers)

    def read_chunk(self, chunk: models.ChatCompletionChunk) -> Iterator[StreamEvent]:
        """Yield the new events of a chunk. Raises EvolinkError for an error in it."""
        return self._reply.read_chunk(chunk)

    def read_complete(
        self,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        completion: Any = None,
    ) -> Iterator[StreamEvent]:
        """Yield the events of a response that was read to its end, whatever was requested.

        Args:
            status: HTTP status.
            headers: The response's headers.
            content: The body: a completion, or an event stream, whatever its content type.
            completion: The completion that the generated client decoded; anything else is ignored.

        Raises:
            EvolinkError: For an error, and for a body that is not a reply.
        """
        self.read_headers(headers)
        if not 200 <= status < 300:
            raise from_status(status, headers, content)
        if isinstance(completion, models.ChatCompletionResponse) and completion.choices:
            self._is_complete_reply = True
            yield from self._reply.read_completion(completion)
        elif decoding.is_event_stream(content):
            yield from self._read_event_stream(status, headers, content)
        else:
            yield from self._read_json(content)

    def fail(self, failure: Exception) -> None:
        """Note the exception that ended the reply."""
        self._failure = failure

    def finish(self) -> Iterator[StreamEvent]:
        """Yield the last events, and give llm the tool calls, usage and log.

        Raises EvolinkError if the reply failed, or if a stream ended without a finish_reason.
        """
        try:
            self._check_end_of_stream()
            yield from self._reply.finish(self._response)
        except Exception as failure:
            self._failure = failure
        else:
            self._notify()
            return
        yield from self._reply.flush(is_cut=True)
        began = self.stream and llm_private.has_events(self._response)
        ended_by = self._failure
        self.abandon()  # explain() raises an exception of the caller's, of a signal handler, say.
        error = explain(ended_by, began=began)
        self._raise(error.completed(redactor=self._redactor, request_id=self._reply.request_id))

    def _read_event_stream(
        self, status: int, headers: Any, content: bytes
    ) -> Iterator[StreamEvent]:
        reader = EventReader(
            lambda error, message: error(message, status_code=status, headers=headers)
        )
        for data in reader.feed(content + b"\n\n"):
            yield from self._reply.read_chunk(decoding.decode_event(data, reader.is_error))

    def _read_json(self, content: bytes) -> Iterator[StreamEvent]:
        values = decoding.decode_body(content)
        data = values[0]
        if isinstance(data, dict) and decoding.reports_error(data):
            raise from_report(data)
        has_choices = isinstance(data, dict) and isinstance(data.get("choices", 0), (list, dict))
        if len(values) == 1 and (has_choices or (isinstance(data, dict) and data.get("usage"))):
            self._is_complete_reply = True
            completion = models.ChatCompletionResponse.from_dict(decoding.valid_reply(data))
            yield from self._reply.read_completion(completion)
        elif len(values) > 1 or isinstance(data, list):
            yield from self._reply.read_chunk(decoding.to_chunk(values))
        else:
            raise not_a_reply(content)

    def _check_end_of_stream(self) -> None:
        """Raise what ended the reply, or IncompleteReplyError for a stream without its end."""
        has_end = self._reply.ending is not Ending.MISSING
        if self._failure and not (has_end and isinstance(self._failure, IncompleteStream)):
            raise self._failure
        if not (has_end or self._is_complete_reply or not self._reply.has_choice):
            raise IncompleteReplyError(
                "the server stopped before it reported the end (no finish_reason)"
            )

    def _raise(self, error: EvolinkError) -> NoReturn:
        """Raise the error, and make any later read of the response raise it again."""
        self._failure = None
        self._response.evolink_failure = error
        raise error

    def _notify(self) -> None:
        """Print the notices about the answer for a person at the command line."""
        is_cut_json = self._is_cut_json()
        reasoning_last = llm_private.printed_reasoning_last(self._response)
        is_after_reasoning = self.stream and reasoning_last and not self._prompt.hide_reasoning
        is_after_text = self.stream
        for notice in notices(self._reply, is_cut_json=is_cut_json):
            terminal.notify(notice, after_stdout=is_after_text, after_stderr=is_after_reasoning)
            is_after_text = is_after_reasoning = False
        if is_cut_json:
            terminal.exit_with_failure()

    def _is_cut_json(self) -> bool:
        """Return whether a schema asked for JSON and the answer is not complete JSON."""
        reply = self._reply
        if reply.ending is Ending.COMPLETE or reply.has_tool_calls:
            return False
        if not schema_of(self._prompt, self._conversation):
            return False
        if reply.ending in (Ending.TOKEN_LIMIT, Ending.FILTERED):
            return True
        return not decoding.is_json(llm_private.answer_text(self._response))
