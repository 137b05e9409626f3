"""The application: one route, and around it what every request meets."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import json_text
from .document import Refusal
from .faults import Faults
from .model import answer
from .responses import chunks, completion, encode, events
from .validation import check_request

PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class ReceivedRequest:
    """A request for a completion, as it came.

    Attributes:
        body: The parsed JSON; None for a body that is not JSON.
        headers: The headers by name in lower case, but for authorization.
    """

    body: Any
    headers: dict[str, str]


def build_app(
    faults: Faults, requests: list[ReceivedRequest], log: Callable[[str], None] | None
) -> ASGIApp:
    """Return the application; it appends to requests, and tells log of each request in a line."""
    completions = _Completions(faults, requests)
    app = Starlette(
        routes=[Route(PATH, completions.answer, methods=["POST"])],
        exception_handlers={Refusal: _refused, HTTPException: _not_found},
    )
    # A path with a slash too many is an unknown one.
    app.router.redirect_slashes = False
    return _Observed(app, log)


class _Completions:
    def __init__(self, faults: Faults, requests: list[ReceivedRequest]) -> None:
        self._faults = faults
        self._failures = faults.failures()
        self._requests = requests

    async def answer(self, request: Request) -> Response:
        content = await request.body()
        try:
            body, problem = json_text.read(content), ""
        except ValueError as error:
            body, problem = None, str(error)
        headers = {
            name: value for name, value in request.headers.items() if name != "authorization"
        }
        self._requests.append(ReceivedRequest(body, headers))
        await asyncio.sleep(self._faults.latency)
        if self._failures:
            raise Refusal(self._failures.pop(0))
        _check_token(request.headers.get("authorization", ""))
        if problem:
            raise Refusal(400, message=f"The body of the request is not JSON: {problem}")
        _check_content_type(request.headers.get("content-type", ""))
        return self._reply(request, body)

    def _reply(self, request: Request, body: Any) -> Response:
        chat = check_request(body)
        reply = answer(chat)
        request.state.usage = reply.usage
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "model": body["model"],
            "created": int(time.time()),
        }
        if not body.get("stream"):
            return Response(encode(completion(reply, head)), media_type="application/json")
        request.state.stream = True
        with_usage = body.get("stream_options", {}).get("include_usage", False)
        stream = events(chunks(reply, head, with_usage=with_usage), self._faults)
        return StreamingResponse(stream, media_type="text/event-stream")


def _check_token(authorization: str) -> None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or token.strip() in ("", "invalid"):
        raise Refusal(401)


def _check_content_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, message="The Content-Type of the request is not application/json")


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
    """Gives each response its request id; tells of each request when it is over."""

    def __init__(self, app: ASGIApp, log: Callable[[str], None] | None) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        scope["state"] = {"status": "-"}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["state"]["status"] = message["status"]
                message["headers"].append((b"x-request-id", uuid.uuid4().hex.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if self._log:
                self._log(_line(scope, time.perf_counter() - began))


def _line(scope: Scope, seconds: float) -> str:
    state = scope["state"]
    # The path as it came: decoded, it could hold anything, which a terminal would obey.
    words = [scope["method"], scope["raw_path"].decode("ascii"), str(state["status"])]
    if usage := state.get("usage"):
        words.append(f"{usage['prompt_tokens']}+{usage['completion_tokens']} tokens")
    words.append(f"{seconds * 1000:.0f} ms")
    return " ".join(words + ["stream"] * ("stream" in state))
