"""The route of the document: a request for a completion, and its response."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from . import json_text
from .document import Refusal
from .faults import Faults
from .json_text import encode
from .reply.choices import Delta, Reply, ReplySource
from .reply.event_stream import EVENTS_PER_WRITE, events, iterate
from .reply.serialization import chunks, completion, relay
from .request.check import ChatRequest, check_request

MAX_BODY_BYTES = 32 * 2**20
"""Maximum size of the body of a request."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A request for a completion, as received.

    Attributes:
        body: The parsed JSON; None for a body that is not JSON, or was refused unread.
        headers: The headers by name in lower case, without authorization.
    """

    body: Any
    headers: dict[str, str]


class Completions:
    """The route's handler; each request is appended to requests, unless that is None.

    models are accepted beside those of the document.
    """

    def __init__(
        self,
        source: ReplySource,
        faults: Faults,
        requests: list[ReceivedRequest] | None,
        models: Collection[str],
    ) -> None:
        self._source = source
        self._faults = faults
        self._failures = faults.failures()
        self._requests = requests
        self._models = models

    async def respond(self, request: Request) -> Response:
        """Return the response to a request. Raises Refusal for a request that is not accepted."""
        try:
            _check_token(request.headers.get("authorization", ""))
            content = await _read_body(request)
        except Refusal:
            self._keep(request, None)
            raise
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody receives it.
        try:
            body, problem = json_text.read(content), ""
        except ValueError as error:
            body, problem = None, str(error)
        request.state.body = content.decode("utf-8", "replace") if problem else body
        self._keep(request, body)
        await asyncio.sleep(self._faults.latency)
        if status := next(self._failures, None):
            raise Refusal(status)
        if problem:
            raise Refusal(400, message=f"The body of the request is not JSON: {problem}")
        _check_content_type(request.headers.get("content-type", ""))
        chat = check_request(body, self._models)
        request.state.unknown = chat.unknown
        return await self._reply(request.state, chat)

    def _keep(self, request: Request, body: Any) -> None:
        if self._requests is not None:
            headers = {
                name: value for name, value in request.headers.items() if name != "authorization"
            }
            self._requests.append(ReceivedRequest(body, headers))

    async def _reply(self, state: Any, chat: ChatRequest) -> Response:
        fields = chat.fields
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "model": fields["model"],
            "created": int(time.time()),
        }
        items = _with_usage_noted(self._source(chat), state)
        # An error before the first delta has a status of its own.
        first = await anext(items)
        if not fields.get("stream"):
            while isinstance(first, Delta):
                first = await anext(items)
            return Response(encode(completion(first, head)), media_type="application/json")
        state.stream = True
        with_usage = fields.get("stream_options", {}).get("include_usage", False)
        if isinstance(first, Reply):
            stream = iterate(chunks(first, head, with_usage=with_usage))
            content = events(stream, self._faults, EVENTS_PER_WRITE)
        else:
            stream = relay(first, items, head, with_usage=with_usage)
            content = events(stream, self._faults, 1)
        return StreamingResponse(content, media_type="text/event-stream")


async def _with_usage_noted(
    items: AsyncIterator[Delta | Reply], state: Any
) -> AsyncIterator[Delta | Reply]:
    """Yield the items, and store the usage of the reply in the request's state."""
    async for item in items:
        if isinstance(item, Reply):
            state.usage = item.usage
        yield item


async def _read_body(request: Request) -> bytes:
    """Return the body. Raises Refusal (413) as soon as it is known to be over MAX_BODY_BYTES."""
    length = request.headers.get("content-length", "")
    content = bytearray()
    if not (length.isdecimal() and int(length) > MAX_BODY_BYTES):
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                break
        else:
            return bytes(content)
    raise Refusal(
        413,
        message=f"The request is larger than {MAX_BODY_BYTES // 2**20} MiB",
        param="messages",
        fallback_suggestion="send less",
    )


def _check_token(authorization: str) -> None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or token.strip() in ("", "invalid"):
        raise Refusal(401)


def _check_content_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, message="The Content-Type of the request is not application/json")
