"""Choice of what answers a request: a fixed reply, a backend, or the generated reply."""

from collections.abc import AsyncIterator

from ..request.check import ChatRequest
from .backend import Backend, Model
from .choices import Delta, Reply, ReplySource
from .echo import answer
from .fixed import FixedReplies


def reply_source(fixed: FixedReplies, model: Model | None, url: str) -> ReplySource:
    """Return the source of replies of a sandbox at the URL."""
    backend = Backend(model, url) if model else None

    async def replies(chat: ChatRequest) -> AsyncIterator[Delta | Reply]:
        text = fixed.find(chat.fields["messages"])
        if backend is None or text is not None:
            yield answer(chat, text)
        else:
            async for item in backend.answer(chat):
                yield item

    return replies
