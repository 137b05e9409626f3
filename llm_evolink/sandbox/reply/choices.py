"""Types of a reply: choices, tool calls, deltas."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .. import json_text
from ..request.check import ChatRequest
from ..request.messages import texts_of
from ..signatures import sign
from .tokens import usage

BACKEND_METADATA_KEY = "backend"
"""Field of a call's extra_content for the metadata that a backend needs back with the call."""


@dataclass(frozen=True)
class ToolCall:
    """A tool call of the reply.

    Attributes:
        id: Its id.
        name: Name of the tool.
        arguments: The arguments, as the text of a JSON object.
        metadata: What the backend needs back with the call.
    """

    id: str
    name: str
    arguments: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def extra_content(self, *, signed: bool) -> dict[str, Any]:
        """Return the fields that must come back with the call: signature and metadata."""
        extra: dict[str, Any] = {}
        if signed:
            signature = sign(self.id, self.name, json_text.read(self.arguments))
            extra["google"] = {"thought_signature": signature}
        if self.metadata:
            extra[BACKEND_METADATA_KEY] = self.metadata
        return extra


@dataclass(frozen=True)
class Choice:
    """One of the replies to a request.

    Attributes:
        reasoning: The thoughts; empty when none were asked for.
        text: The answer; None where there are only tool calls.
        calls: The tool calls.
        finish_reason: stop, length or tool_calls; a backend can have others.
        logprobs: The log probabilities of the first tokens; None when not asked for.
    """

    reasoning: str
    text: str | None
    calls: tuple[ToolCall, ...]
    finish_reason: str
    logprobs: list[dict[str, Any]] | None


@dataclass(frozen=True)
class Reply:
    """All choices, and the usage object."""

    choices: tuple[Choice, ...]
    usage: dict[str, Any]


@dataclass(frozen=True)
class Delta:
    """A part of the text or of the reasoning, as a backend generates it."""

    type: Literal["text", "reasoning"]
    text: str


ReplySource = Callable[[ChatRequest], AsyncIterator[Delta | Reply]]
"""Answers a request: yields the deltas of the reply, if any, and then the complete Reply."""


def measure(request: ChatRequest, choices: list[Choice]) -> dict[str, Any]:
    """Return the usage object of the choices, by the rule of the module tokens."""
    prompt = [text for message in request.fields["messages"] for text in texts_of(message)]
    completion = [choice.text or "" for choice in choices]
    completion += [call.arguments for choice in choices for call in choice.calls]
    reasoning = [choice.reasoning for choice in choices]
    return usage(prompt, len(request.images), completion, reasoning)
