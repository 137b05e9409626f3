"""The route of the document: a request for a completion, and its answer."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from . import json_text
from .document import Refusal
from .faults import Faults
from .json_text import encode
from .reply.choices import Answer, Piece, Reply
from .reply.event_stream import EVENTS_PER_WRITE, each, events
from .reply.serialization import chunks, completion, relay
from .request.check import ChatRequest, check_request


@dataclass(frozen=True)
class ReceivedRequest:
    """A request for a completion, as it came.

    Attributes:
        body: The parsed JSON; None for a body that is not JSON.
        headers: The headers by name in lower case, but for authorization.
    """

    body: Any
    headers: dict[str, str]


class Completions:
    """The route's answers; each request is appended to requests."""

    def __init__(self, answer: Answer, faults: Faults, requests: list[ReceivedRequest]) -> None:
        self._answer = answer
        self._faults = faults
        self._failures = faults.failures()
        self._requests = requests

    async def respond(self, request: Request) -> Response:
        """Return the response to a request. Raises Refusal for one that is not taken."""
        content = await request.body()
        try:
            body, problem = json_text.read(content), ""
        except ValueError as error:
            body, problem = None, str(error)
        request.state.body = content.decode("utf-8", "replace") if problem else body
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
        return await self._reply(request.state, check_request(body))

    async def _reply(self, state: Any, chat: ChatRequest) -> Response:
        fields = chat.fields
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "model": fields["model"],
            "created": int(time.time()),
        }
        items = _noted(self._answer(chat), state)
        # What fails before there is anything to stream has a status of its own.
        first = await anext(items)
        if not fields.get("stream"):
            while isinstance(first, Piece):
                first = await anext(items)
            return Response(encode(completion(first, head)), media_type="application/json")
        state.stream = True
        with_usage = fields.get("stream_options", {}).get("include_usage", False)
        if isinstance(first, Reply):
            stream = each(chunks(first, head, with_usage=with_usage))
            content = events(stream, self._faults, EVENTS_PER_WRITE)
        else:
            stream = relay(first, items, head, with_usage=with_usage)
            content = events(stream, self._faults, 1)
        return StreamingResponse(content, media_type="text/event-stream")


async def _noted(items: AsyncIterator[Piece | Reply], state: Any) -> AsyncIterator[Piece | Reply]:
    """Yield the items; leave the usage of the reply in the request's state."""
    async for item in items:
        if isinstance(item, Reply):
            state.usage = item.usage
        yield item


def _check_token(authorization: str) -> None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or token.strip() in ("", "invalid"):
        raise Refusal(401)


def _check_content_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, message="The Content-Type of the request is not application/json")
