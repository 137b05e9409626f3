"""A request to one server that shows whether it accepts the key."""

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
from ...connection.failover import FAILOVER_STATUSES
from ...failures import request_id
from ...redaction import Redactor

DEADLINE = 15.0
"""Seconds after which no server is waited for, whatever it does."""


class Probe:
    """A request sent to one server in the background, and what came of it.

    Attributes:
        server: Its address.
        seconds: How long connecting took, the proxy's part and TLS included; None until connected.
    """

    def __init__(self, server: str, key: str | None) -> None:
        self.server = server
        self.seconds: float | None = None
        # Any key will do to see whether a server is there.
        self._key = key or "none"
        self._response: Response[Any] | None = None
        self._failure: Exception | None = None
        self._began = self._connecting = time.monotonic()
        # A daemon, left behind at the deadline: no timeout ends a name server's silence.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @cached_property
    def error(self) -> errors.EvolinkError | None:
        """Why a prompt would fail at this server; None if not. It is waited for."""
        self._thread.join(max(0.0, self._began + DEADLINE - time.monotonic()))
        error = self._problem()
        found = request_id(self._response.headers) if self._response else None
        return error and error.completed(redactor=Redactor(self._key), request_id=found)

    def is_reached(self) -> bool:
        """Return whether there was a connection."""
        return self.error is None or self.seconds is not None

    def decides(self) -> bool:
        """Return whether a prompt ends here, and does not go on to the next server."""
        if self.error is None:
            return True
        unreachable = isinstance(self.error, errors.UnreachableError)
        return not unreachable and self.error.status_code not in FAILOVER_STATUSES

    def _run(self) -> None:
        try:
            self._response = self._ask()
        except Exception as failure:
            self._failure = failure

    def _ask(self) -> Response[Any]:
        """Send a request without messages, once, through what carries a prompt."""
        silence = settings.TIMEOUT
        with suppress(errors.InvalidRequestError):  # _settings tells it.
            silence = settings.timeout()
        once = settings.Settings((self.server,), silence, max_retries=0, max_wait=1)
        with clients.new_client(once, self._key) as client:
            client.get_httpx_client().event_hooks = {"request": [self._watch]}
            return api.sync_detailed(client=client, body=ChatCompletionQuickRequest(messages=[]))

    def _watch(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self._note_time

    def _note_time(self, event: str, details: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._connecting = time.monotonic()
        # A proxy is sent a CONNECT before.
        if event == "http11.send_request_headers.started" and details["request"].method == b"POST":
            self.seconds = time.monotonic() - self._connecting

    def _problem(self) -> errors.EvolinkError | None:
        if self._failure:
            return failures.explain(self._failure, began=False)
        if self._response:
            return _refusal(self._response)
        host, seconds = httpx.URL(self.server).host, f"{DEADLINE:g} s"
        if self.seconds is None:
            return errors.UnreachableError(f"Cannot reach {host} within {seconds}")
        return errors.ServerError(f"{host} did not answer within {seconds}")


def _refusal(response: Response[Any]) -> errors.EvolinkError | None:
    """Return what is wrong with the answer; None if the key was accepted, the request not."""
    status = response.status_code
    if status in (400, 422):
        is_json = response.content.lstrip().startswith((b"{", b"["))
        return None if is_json else failures.not_a_reply(response.content)
    if isinstance(response.parsed, ChatCompletionResponse) and response.parsed.choices:
        return None
    return failures.from_status(status, response.headers, response.content)
