"""The generated reply: it echoes the request, and is the same for the same request."""

import hashlib
import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .. import json_text
from ..request.check import ChatRequest
from ..request.messages import last_turn, text_of, tool_results
from ..schema_samples import sample
from ..schema_validation import fits
from ..step_limit import step_limit
from .choices import Choice, Reply, ToolCall, measure
from .tokens import count, split
from .tool_calls import next_calls

INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."
THOUGHT = "The sandbox pretends to think"

THINKING_EFFORTS = ("low", "medium", "high")
LOGPROB = -0.125
LOGPROB_TOKENS = 5
"""Number of tokens, from the start of a text, that get log probabilities."""

MAX_OBJECTS = 20
"""Maximum number of JSON objects in a prompt that are tried against a schema."""


def answer(request: ChatRequest, fixed: str | None = None) -> Reply:
    """Return the reply to a valid request; fixed is a text to reply with in any case."""
    fields = request.fields
    calls = next_calls(fields) if fixed is None else []
    text = None if calls else _text(request) if fixed is None else fixed
    thought = _thought(fields)
    digest = hashlib.sha256(json.dumps(fields["messages"]).encode()).hexdigest()
    choices = []
    for index in range(int(fields.get("n", 1))):
        with_ids = tuple(
            ToolCall(_call_id(digest, index, number), name, json_text.write(arguments))
            for number, (name, arguments) in enumerate(calls)
        )
        choices.append(_choice(fields, thought, text, with_ids))
    return Reply(tuple(choices), measure(request, choices))


def _thought(fields: dict[str, Any]) -> str:
    """Return the reasoning that the request asks for; "" for none."""
    effort = fields.get("reasoning_effort")
    if effort in THINKING_EFFORTS:
        return f"{THOUGHT}; reasoning_effort is {effort}."
    return f"{THOUGHT}." if _includes_thoughts(fields) else ""


def _includes_thoughts(fields: dict[str, Any]) -> bool:
    """Return whether the request has Google's include_thoughts."""
    value: Any = fields
    for name in ("extra_body", "google", "thinking_config", "include_thoughts"):
        value = value.get(name) if isinstance(value, dict) else None
    return value is True


def _choice(
    fields: dict[str, Any], thought: str, text: str | None, calls: tuple[ToolCall, ...]
) -> Choice:
    """Return the choice after stop and the token limit, which do not cut tool calls."""
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
        thought = "".join(split(thought)[: min(limits)])
        text = "".join(split(text)[: min(limits) - count(thought)])
    return Choice(
        thought, text, (), finish_reason, _logprobs(text) if fields.get("logprobs") else None
    )


def _text(request: ChatRequest) -> str:
    """Return the answer as text: JSON when that is asked for, else an echo."""
    fields = request.fields
    response_format = fields.get("response_format", {"type": "text"})
    prompt, _ = last_turn(fields["messages"])
    if response_format["type"] == "text":
        return "\n".join(_echo(request, prompt))
    if response_format["type"] == "json_object":
        schema: dict[str, Any] = {}
        generated: Any = {"sandbox": INTRODUCTION, "you_said": prompt}
    else:
        schema = response_format["json_schema"]["schema"]
        generated = sample(schema)
    objects = islice(json_text.objects(prompt), MAX_OBJECTS)
    with step_limit():
        chosen = next((found for found in objects if fits(found, schema)), generated)
    return json_text.write(chosen)


def _echo(request: ChatRequest, prompt: str) -> Iterable[str]:
    messages = request.fields["messages"]
    results = [f"The tool {name} returned: {result}" for name, result in tool_results(messages)]
    first, *others = results or [f'You said: "{prompt}"']
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


def _call_id(digest: str, choice: int, number: int) -> str:
    """Return an id that no other call of the chat has."""
    seed = f"{digest} {choice} {number}"
    return f"call_{hashlib.sha256(seed.encode()).hexdigest()[:16]}"


def _logprobs(text: str) -> list[dict[str, Any]]:
    return [
        {
            "token": token,
            "logprob": LOGPROB,
            "bytes": list(token.encode("utf-8", "surrogatepass")),
            "top_logprobs": [],
        }
        for token in split(text)[:LOGPROB_TOKENS]
    ]
