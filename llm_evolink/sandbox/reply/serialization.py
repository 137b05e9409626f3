"""A reply as the document's responses: a completion, or the chunks of a stream."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from .choices import Choice, Delta, Reply
from .tokens import split


def completion(reply: Reply, head: dict[str, Any]) -> dict[str, Any]:
    """Return a ChatCompletionResponse; head holds the fields that every response begins with."""
    choices = [_complete_choice(index, choice) for index, choice in enumerate(reply.choices)]
    return {**head, "object": "chat.completion", "choices": choices, "usage": reply.usage}


def chunks(reply: Reply, head: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield the ChatCompletionChunks of a reply, one for each token of text; usage is the last."""
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
    first: Delta, rest: AsyncIterator[Delta | Reply], head: dict[str, Any], *, with_usage: bool
) -> AsyncIterator[dict[str, Any]]:
    """Yield the ChatCompletionChunks of a reply as its deltas arrive; the Reply is last."""
    head = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    yield chunk(_text_delta(first))
    async for item in rest:
        if isinstance(item, Delta):
            yield chunk(_text_delta(item))
            continue
        (choice,) = item.choices
        for delta in _call_deltas(choice):
            yield chunk(delta)
        yield chunk({}, choice.finish_reason)
        if with_usage:
            yield {**head, "choices": [], "usage": item.usage}


def _complete_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = list(_calls(choice))
    complete = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    if choice.logprobs is not None:
        complete["logprobs"] = {"content": choice.logprobs}
    return complete


def _deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the delta of each chunk, with its logprobs where there are any."""
    yield {"delta": {"role": "assistant", "content": "" if choice.calls == () else None}}
    for token in split(choice.reasoning):
        yield {"delta": {"reasoning_content": token}}
    logprobs = iter(choice.logprobs or ())
    for token in split(choice.text or ""):
        logprob = next(logprobs, None)
        extra = {"logprobs": {"content": [logprob]}} if logprob else {}
        yield {"delta": {"content": token}, **extra}
    yield from ({"delta": delta} for delta in _call_deltas(choice))


def _text_delta(delta: Delta) -> dict[str, Any]:
    return {"content" if delta.type == "text" else "reasoning_content": delta.text}


def _call_deltas(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the name of each call with empty arguments, then its arguments in two parts."""
    for index, call in enumerate(_calls(choice)):
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **call}]}
        middle = len(arguments) // 2
        for part in (arguments[:middle], arguments[middle:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _calls(choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield the tool calls; of parallel calls the first is signed, as by Gemini 3."""
    for number, call in enumerate(choice.calls):
        data: dict[str, Any] = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        if extra := call.extra_content(signed=number == 0):
            data["extra_content"] = extra
        yield data
