"""The ASGI application: the document's route, and the handling that all requests share."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import json_text
from .document import PATH, Refusal
from .hosts import HostCheck
from .json_text import encode
from .recording import Record
from .route import Completions

MAX_NAMES = 5
"""Maximum number of unknown fields that a log line names."""

Log = Callable[[str], None]


def build_app(completions: Completions, hosts: HostCheck, log: Log, record: Record) -> ASGIApp:
    """Return the application. It records each request, and logs one line when it has ended."""
    app = Starlette(
        routes=[Route(PATH, completions.respond, methods=["POST"])],
        exception_handlers={Refusal: _refused, HTTPException: _not_found},
    )
    # A path with an extra slash is unknown.
    app.router.redirect_slashes = False
    return _Observed(app, hosts, log, record)


async def _refused(_: Request, error: Any) -> Response:
    return refusal_response(error)


def refusal_response(refusal: Refusal) -> Response:
    """Return the response to a refused request."""
    headers = {"Retry-After": "0"} if refusal.status in (429, 503) else {}
    return Response(encode(refusal.body), refusal.status, headers, "application/json")


async def _not_found(request: Request, error: Any) -> Response:
    """Return 404 or 405 for a path or method that the document does not have."""
    fields = {
        "code": error.status_code,
        "message": f"The sandbox has no {request.method} {request.url.path}",
        "type": "not_found_error" if error.status_code == 404 else "invalid_request_error",
        "fallback_suggestion": f"POST {PATH}",
    }
    content = encode({"error": fields})
    return Response(content, error.status_code, error.headers, "application/json")


class _Observed:
    """Checks the host of each request, adds a request id to its response, records and logs it."""

    def __init__(self, app: ASGIApp, hosts: HostCheck, log: Log, record: Record) -> None:
        self._app = app
        self._hosts = hosts
        self._log = log
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        state = scope["state"] = {"time": datetime.now(UTC), "status": None}
        disconnected = False

        async def receive_observed() -> Message:
            nonlocal disconnected
            message = await receive()
            disconnected |= message["type"] == "http.disconnect"
            return message

        async def send_with_id(message: Message) -> None:
            # A client that disconnected while it sent its body receives no response.
            if message["type"] == "http.response.start" and not disconnected:
                state["status"] = message["status"]
                # Before the client has the response: it can read the record when it does.
                self._record(scope)
                message["headers"].append((b"x-request-id", uuid.uuid4().hex.encode()))
            await send(message)

        try:
            self._hosts.check(Headers(scope=scope))
            await self._app(scope, receive_observed, send_with_id)
        except Refusal as refusal:
            await refusal_response(refusal)(scope, receive_observed, send_with_id)
        finally:
            self._log(_line(scope, time.perf_counter() - started))
            if state["status"] is None:
                self._record(scope)


def _line(scope: Scope, seconds: float) -> str:
    state = scope["state"]
    # The encoded path: decoded, it can contain characters that control a terminal.
    words = [scope["method"], scope["raw_path"].decode("ascii"), str(state["status"] or "-")]
    if usage := state.get("usage"):
        words.append(f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens")
    words.append(f"{seconds * 1000:.0f} ms")
    words += ["stream"] * ("stream" in state)
    return " ".join(words) + _unknown_note(state.get("unknown", ()))


def _unknown_note(names: tuple[str, ...]) -> str:
    """Return a note on the fields that the document does not have."""
    if not names:
        return ""
    shown = [json_text.write(name[:40]) for name in names[:MAX_NAMES]]
    shown += [f"{len(names) - MAX_NAMES} more"] * (len(names) > MAX_NAMES)
    return f", not in the document: {', '.join(shown)}"
