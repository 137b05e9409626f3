"""Who answers a request: a reply that a person wrote, a backend, or the pretended model."""

from collections.abc import AsyncIterator

from ..request.check import ChatRequest
from .backend import Backend, Model
from .canned import Canned
from .choices import Answer, Piece, Reply
from .echo import answer


def answers(canned: Canned, model: Model | None, url: str) -> Answer:
    """Return what answers each request, in a sandbox at the URL."""
    backend = Backend(model, url) if model else None

    async def items(chat: ChatRequest) -> AsyncIterator[Piece | Reply]:
        text = canned.find(chat.fields["messages"])
        if backend is None or text is not None:
            yield answer(chat, text)
        else:
            async for item in backend.answer(chat):
                yield item

    return items
