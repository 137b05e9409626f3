"""A reply as the document's responses: in one piece, or as a stream of chunks."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from .choices import Choice, Piece, Reply
from .tokens import pieces


def completion(reply: Reply, head: dict[str, Any]) -> dict[str, Any]:
    """Return a ChatCompletionResponse; head holds the fields that every response begins with."""
    return {
        **head,
        "object": "chat.completion",
        "choices": [_whole_choice(index, each) for index, each in enumerate(reply.choices)],
        "usage": reply.usage,
    }


def chunks(reply: Reply, head: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield the ChatCompletionChunks of a reply, a token of text in each; usage is the last."""
    head = {**head, "object": "chat.completion.chunk"}
    for index, choice in enumerate(reply.choices):
        deltas = _deltas(choice)
        delta = next(deltas)
        for following in deltas:
            yield {**head, "choices": [{"index": index, **delta, "finish_reason": None}]}
            delta = following
        yield {
            **head,
            "choices": [{"index": index, **delta, "finish_reason": choice.finish_reason}],
        }
    if with_usage:
        yield {**head, "choices": [], "usage": reply.usage}


async def relay(
    first: Piece, rest: AsyncIterator[Piece | Reply], head: dict[str, Any], *, with_usage: bool
) -> AsyncIterator[dict[str, Any]]:
    """Yield the ChatCompletionChunks of a reply as its pieces come; the Reply is its end."""
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    yield chunk(_piece_delta(first))
    async for item in rest:
        if isinstance(item, Piece):
            yield chunk(_piece_delta(item))
            continue
        (choice,) = item.choices
        for delta in _call_deltas(choice):
            yield chunk(delta)
        yield chunk({}, choice.finish_reason)
        if with_usage:
            yield {**head, "choices": [], "usage": item.usage}


def _whole_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                "extra_content": call.extra_content,
            }
            for call in choice.calls
        ]
    whole = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    if choice.logprobs is not None:
        whole["logprobs"] = {"content": choice.logprobs}
    return whole


def _deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the delta of each chunk, and its logprobs where it has some."""
    yield {"delta": {"role": "assistant", "content": "" if choice.calls == () else None}}
    for piece in pieces(choice.reasoning):
        yield {"delta": {"reasoning_content": piece}}
    logprobs = iter(choice.logprobs or ())
    for piece in pieces(choice.text or ""):
        logprob = next(logprobs, None)
        extra = {"logprobs": {"content": [logprob]}} if logprob else {}
        yield {"delta": {"content": piece}, **extra}
    yield from ({"delta": delta} for delta in _call_deltas(choice))


def _piece_delta(piece: Piece) -> dict[str, Any]:
    return {"content" if piece.kind == "text" else "reasoning_content": piece.text}


def _call_deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    for index, call in enumerate(choice.calls):
        named = {"index": index, "id": call.id, "type": "function"}
        named["function"] = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{**named, "extra_content": call.extra_content}]}
        middle = len(call.arguments) // 2
        for piece in (call.arguments[:middle], call.arguments[middle:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
