"""The pretended model: what it answers to a request, always the same to the same one."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from .. import json_text
from ..request.check import ChatRequest
from ..request.messages import last_turn, text_of, tool_results
from ..schema_samples import fits, sample
from .choices import Choice, Reply, ToolCall, measure
from .planned_calls import planned_calls
from .tokens import count, pieces

INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."
THOUGHT = "The sandbox pretends to think; reasoning_effort is {effort}."

THINKING_EFFORTS = ("low", "medium", "high")
LOGPROB = -0.125
LOGPROB_TOKENS = 5
"""Of how many tokens, the first of a text, there are log probabilities."""


def answer(request: ChatRequest, canned: str | None = None) -> Reply:
    """Return the reply to a valid request; canned is the text to give in place of any other."""
    fields = request.fields
    plans = planned_calls(fields) if canned is None else []
    text = None if plans else _text(request) if canned is None else canned
    effort = fields.get("reasoning_effort")
    thought = THOUGHT.format(effort=effort) if effort in THINKING_EFFORTS else ""
    choices = []
    for index in range(int(fields.get("n", 1))):
        calls = tuple(
            ToolCall(_call_id(fields["messages"], index, at), name, json_text.write(arguments))
            for at, (name, arguments) in enumerate(plans)
        )
        choices.append(_choice(fields, thought, text, calls))
    return Reply(tuple(choices), measure(request, choices))


def _choice(
    fields: dict[str, Any], thought: str, text: str | None, calls: tuple[ToolCall, ...]
) -> Choice:
    """Return the choice as stop and the token limit leave it; they cut no call."""
    if text is None:
        return Choice(thought, None, calls, "tool_calls", None)
    stops = fields.get("stop", [])
    found = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop]
    text = text[: min((at for at in found if at >= 0), default=len(text))]
    limits = [
        int(fields[name]) for name in ("max_tokens", "max_completion_tokens") if name in fields
    ]
    finish_reason = "stop"
    if limits and min(limits) < count(thought) + count(text):
        finish_reason = "length"
        thought = "".join(pieces(thought)[: min(limits)])
        text = "".join(pieces(text)[: min(limits) - count(thought)])
    return Choice(
        thought, text, (), finish_reason, _logprobs(text) if fields.get("logprobs") else None
    )


def _text(request: ChatRequest) -> str:
    """Return the answer in text: JSON when asked for, else what was received."""
    fields = request.fields
    response_format = fields.get("response_format", {"type": "text"})
    asked, _ = last_turn(fields["messages"])
    if response_format["type"] == "text":
        return "\n".join(_echo(request, asked))
    if response_format["type"] == "json_object":
        schema: dict[str, Any] = {}
        made_up: Any = {"sandbox": INTRODUCTION, "you_said": asked}
    else:
        schema = response_format["json_schema"]["schema"]
        made_up = sample(schema)
    given = (found for found in json_text.objects(asked) if fits(found, schema))
    return json_text.write(next(given, made_up))


def _echo(request: ChatRequest, asked: str) -> Iterable[str]:
    messages = request.fields["messages"]
    results = [f"The tool {name} returned: {result}" for name, result in tool_results(messages)]
    first, *others = results or [f'You said: "{asked}"']
    yield f"{INTRODUCTION} {first}"
    yield from others
    for message in messages:
        if message["role"] == "system":
            yield f'System prompt: "{text_of(message)}"'
    if len(messages) > 1:
        yield f"Messages: {', '.join(message['role'] for message in messages)}."
    for number, image in enumerate(request.images, start=1):
        yield f"Image {number}: {image}"
    if tools := request.fields.get("tools"):
        yield f"Tools: {', '.join(tool['function']['name'] for tool in tools)}."


def _call_id(messages: Any, choice: int, number: int) -> str:
    """Return an id that no other call of the chat has."""
    seed = json.dumps([messages, choice, number])
    return f"call_{hashlib.sha256(seed.encode()).hexdigest()[:16]}"


def _logprobs(text: str) -> list[dict[str, Any]]:
    return [
        {
            "token": token,
            "logprob": LOGPROB,
            "bytes": list(token.encode("utf-8", "surrogatepass")),
            "top_logprobs": [],
        }
        for token in pieces(text)[:LOGPROB_TOKENS]
    ]
