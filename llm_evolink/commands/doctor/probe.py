"""A request to one server that shows whether it accepts the key."""

import json
import re
import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

import httpx

from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.models import ChatCompletionQuickRequest, ChatCompletionResponse
from generated_client.types import Response

from ... import errors, failures
from ...connection import clients, settings
from ...connection.retry import FAILOVER_STATUSES
from ...constants import MODEL_ID
from ...failures import request_id
from ...redaction import Redactor

DEADLINE = 15.0
"""Seconds after the start of a probe at which its result is read, with or without an answer."""


class Probe:
    """A request that is sent to one server in the background, and its result.

    Attributes:
        server: URL of the server.
        seconds: Time to connect, including proxy and TLS; None until connected.
    """

    def __init__(self, server: str, key: str | None) -> None:
        self.server = server
        self.seconds: float | None = None
        # Without a key, any text will do to find out whether the server can be reached.
        self._key = key or "none"
        self._response: Response[Any] | None = None
        self._failure: Exception | None = None
        self._began = self._connecting = time.monotonic()
        # A daemon thread, abandoned at the deadline: no time-out ends a look-up of a host name.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @cached_property
    def error(self) -> errors.EvolinkError | None:
        """The error that a prompt to this server would get, or None. Waits for the response."""
        self._join()
        error = self._problem()
        return error and self._completed(error)

    @cached_property
    def unclear_refusal(self) -> str | None:
        """The message of a refusal that does not show whether the key is accepted, else None."""
        if self.error or self._response is None or _shows_acceptance(self._response):
            return None
        response = self._response
        refusal = failures.from_status(response.status_code, response.headers, response.content)
        return str(self._completed(refusal))

    def is_reached(self) -> bool:
        """Return whether there was a connection."""
        return self.error is None or self.seconds is not None

    def prevents_failover(self) -> bool:
        """Return whether a prompt would not be sent to the next server after this one."""
        if self.error is None:
            return True
        unreachable = isinstance(self.error, errors.UnreachableError)
        return not unreachable and self.error.status_code not in FAILOVER_STATUSES

    def _join(self) -> None:
        self._thread.join(max(0.0, self._began + DEADLINE - time.monotonic()))

    def _completed(self, error: errors.EvolinkError) -> errors.EvolinkError:
        found = request_id(self._response.headers) if self._response else None
        return error.completed(redactor=Redactor(self._key), request_id=found)

    def _run(self) -> None:
        try:
            self._response = self._ask()
        except Exception as failure:
            self._failure = failure

    def _ask(self) -> Response[Any]:
        """Send a request without messages once, with the transport that prompts use."""
        timeout = settings.TIMEOUT
        with suppress(errors.InvalidRequestError):  # The check `settings` reports it.
            timeout = settings.timeout()
        once = settings.Settings((self.server,), timeout, max_retries=0, max_wait=1)
        # A server that accepts a request without messages generates one token.
        model: Any = MODEL_ID
        body = ChatCompletionQuickRequest(model=model, messages=[], max_tokens=1)
        with clients.new_client(once, self._key) as client:
            client.get_httpx_client().event_hooks = {"request": [self._watch]}
            return api.sync_detailed(client=client, body=body)

    def _watch(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self._note_time

    def _note_time(self, event: str, details: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._connecting = time.monotonic()
        # A CONNECT to a proxy comes before.
        if event == "http11.send_request_headers.started" and details["request"].method == b"POST":
            self.seconds = time.monotonic() - self._connecting

    def _problem(self) -> errors.EvolinkError | None:
        host, limit = httpx.URL(self.server).host, f"{DEADLINE:g} s"
        if isinstance(self._failure, UnicodeError):  # Of IDNA: the request is ASCII.
            return errors.UnreachableError(f"{host} is not a valid host name ({self._failure})")
        if self._failure:
            return failures.explain(self._failure, began=False)
        if self._response:
            return _failure_of(self._response)
        if self.seconds is None:
            return errors.UnreachableError(f"Cannot reach {host} within {limit}")
        return errors.ServerError(f"{host} did not answer within {limit}")


def _failure_of(response: Response[Any]) -> errors.EvolinkError | None:
    """Return the error of the response; None for an answer, or a refusal of the request."""
    status = response.status_code
    if status in (400, 422):
        is_json = response.content.lstrip().startswith((b"{", b"["))
        return None if is_json else failures.not_a_reply(response.content)
    if _is_answer(response):
        return None
    return failures.from_status(status, response.headers, response.content)


def _is_answer(response: Response[Any]) -> bool:
    completion = response.parsed
    return isinstance(completion, ChatCompletionResponse) and bool(completion.choices)


def _shows_acceptance(response: Response[Any]) -> bool:
    """Return whether the response is a completion, or a refusal because of `messages`.

    Any other refusal with status 400 leaves open whether the key is accepted: the server may check
    it after the rest of the request, or report a wrong key with this status.
    """
    if _is_answer(response):
        return True
    try:
        return any(
            re.search(r"\bmessages\b", text) for text in _texts(json.loads(response.content))
        )
    except (ValueError, RecursionError):
        return False


def _texts(data: Any) -> list[str]:
    """Return the strings in JSON data, without the names of fields."""
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return [text for item in data for text in _texts(item)]
    return [data] if isinstance(data, str) else []
