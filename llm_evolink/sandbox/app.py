"""The application: one route, and around it what every request meets."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .document import PATH, Refusal
from .json_text import encode
from .recording import Record
from .route import Completions

Log = Callable[[str], None]


def build_app(completions: Completions, log: Log, record: Record) -> ASGIApp:
    """Return the application; it records each request, and logs it in a line once it is over."""
    app = Starlette(
        routes=[Route(PATH, completions.respond, methods=["POST"])],
        exception_handlers={Refusal: _refused, HTTPException: _not_found},
    )
    # A path with a slash too many is an unknown one.
    app.router.redirect_slashes = False
    return _Observed(app, log, record)


async def _refused(_: Request, error: Any) -> Response:
    headers = {"Retry-After": "0"} if error.status in (429, 503) else {}
    return Response(encode(error.body), error.status, headers, "application/json")


async def _not_found(request: Request, error: Any) -> Response:
    """Answer 404 and 405 for a path and a method that the document does not have."""
    fields = {
        "code": error.status_code,
        "message": f"The sandbox has no {request.method} {request.url.path}",
        "type": "not_found_error" if error.status_code == 404 else "invalid_request_error",
        "fallback_suggestion": f"POST {PATH}",
    }
    content = encode({"error": fields})
    return Response(content, error.status_code, error.headers, "application/json")


class _Observed:
    """Gives each response its request id; records each request, and logs it when it is over."""

    def __init__(self, app: ASGIApp, log: Log, record: Record) -> None:
        self._app = app
        self._log = log
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        scope["state"] = {"time": datetime.now(UTC), "status": None}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["state"]["status"] = message["status"]
                # Before the client has its answer, so that it finds the request recorded.
                self._record(scope)
                message["headers"].append((b"x-request-id", uuid.uuid4().hex.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._log(_line(scope, time.perf_counter() - began))
            if scope["state"]["status"] is None:
                self._record(scope)


def _line(scope: Scope, seconds: float) -> str:
    state = scope["state"]
    # The path as it came: decoded, it could hold anything, which a terminal would obey.
    words = [scope["method"], scope["raw_path"].decode("ascii"), str(state["status"] or "-")]
    if usage := state.get("usage"):
        words.append(f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens")
    words.append(f"{seconds * 1000:.0f} ms")
    return " ".join(words + ["stream"] * ("stream" in state))
