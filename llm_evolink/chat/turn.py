"""One turn with the model: all that the sync and the async model have in common around the wire."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

import click
import llm
from llm.parts import StreamEvent

from generated_client import models
from generated_client.errors import IncompleteStream, UnexpectedResponse
from generated_client.types import Response

from ..errors import EvolinkError, IncompleteReplyError
from ..failures import explain, from_status, request_id, unread_reply
from ..redaction import Redactor
from .reply import Reply
from .request import build_request

_NOTICES = {
    "length": "The answer was cut at the token limit: raise it with -o max_tokens",
    "content_filter": "The answer was cut by the server's content filter: rephrase the prompt",
}


class Turn:
    """A prompt, what came back for it, and what llm is told of both.

    Attributes:
        stream: Whether a stream is asked for.
        reply: What the reply has said so far.
        whole: The reply that came in one piece.
        failure: What stopped the reply.
    """

    def __init__(
        self, prompt: llm.Prompt, stream: bool, response: Any, conversation: Any, key: str
    ) -> None:
        self.key = key
        self._redactor = Redactor(key)
        self.reply = Reply(self._redactor)
        self.whole: Response[Any] | UnexpectedResponse | None = None
        self.failure: Exception | None = None
        self._prompt = prompt
        self.stream = stream
        self._response = response
        self._conversation = conversation

    def request(self) -> models.ChatCompletionQuickRequest:
        """Return the request. Raises EvolinkError for what cannot be sent, or not again."""
        # llm asks once more when a response that failed, or was left, is read again: nothing is
        # paid for twice, and no part passes for the whole.
        self.raise_again()
        if self._response._stream_events:
            raise IncompleteReplyError("it was left before its end")
        return build_request(self._prompt, self._conversation, stream=self.stream)

    def raise_again(self) -> None:
        """Raise the EvolinkError that the response ended with, if it did."""
        if failure := getattr(self._response, "evolink_failure", None):
            raise failure

    def note_headers(self, headers: Mapping[str, str]) -> None:
        """Take the request id from the reply's headers."""
        self.reply.request_id = self.reply.request_id or request_id(headers)

    def end(self) -> Iterator[StreamEvent]:
        """Yield what ends the reply, and give llm its usage and log.

        Raises EvolinkError unless the server said that it had finished, and all of it came.
        """
        try:
            if isinstance(self.failure, UnexpectedResponse):
                self.whole = self.failure  # Plain JSON although a stream was asked for, say.
            elif self.failure and not self._finished_without_done():
                raise self.failure
            if self.whole:
                yield from self._read_whole(self.whole)
            yield from self.reply.finish(self._response)
        except Exception as failure:
            self.failure = failure
        else:
            self._notice()
            return
        began = self.stream and bool(self._response._stream_events)
        error = explain(self.failure, began=began)
        self._fail(error.completed(redactor=self._redactor, request_id=self.reply.request_id))

    def _finished_without_done(self) -> bool:
        return isinstance(self.failure, IncompleteStream) and self.reply.finish_reason is not None

    def _read_whole(self, whole: Response[Any] | UnexpectedResponse) -> Iterator[StreamEvent]:
        self.note_headers(whole.headers)
        if whole.status_code != 200:
            raise from_status(whole.status_code, whole.headers, whole.content)
        completion = None
        if isinstance(whole, Response):
            completion = whole.parsed
        else:
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                completion = models.ChatCompletionResponse.from_dict(json.loads(whole.content))
        if completion is None:
            raise unread_reply(whole.content)
        yield from self.reply.read_whole(completion)

    def _fail(self, error: EvolinkError) -> NoReturn:
        """Raise the error, and see to it that any later read of the response raises it again."""
        self.failure = None
        self._response.evolink_failure = error
        raise error

    def _notice(self) -> None:
        """Tell a person at the command line, not a caller from Python, that the answer was cut."""
        notice = _NOTICES.get(self.reply.finish_reason or "")
        if notice and click.get_current_context(silent=True):
            thinking = self._shows_reasoning_last()
            if self.stream and (thinking or sys.stdout.isatty()):
                click.echo(err=thinking)
            click.echo(notice, err=True)

    def _shows_reasoning_last(self) -> bool:
        """Return whether llm wrote reasoning last, on stderr, and did not end its line."""
        shown = [event.type for event in self._response._stream_events if event.chunk]
        return shown[-1:] == ["reasoning"] and not self._prompt.hide_reasoning
