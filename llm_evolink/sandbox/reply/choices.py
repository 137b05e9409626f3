"""The parts of a reply: choices, tool calls, usage."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from .. import json_text
from ..request.check import ChatRequest
from ..request.messages import texts_of
from ..signatures import sign
from .tokens import usage

BACKEND_METADATA_KEY = "backend"
"""The field of a call's extra_content for what a backend wants back with the call."""


@dataclass(frozen=True)
class ToolCall:
    """A call that the sandbox makes; arguments is JSON text, metadata what its backend adds."""

    id: str
    name: str
    arguments: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def extra_content(self) -> dict[str, Any]:
        """What must come back with the call: Gemini 3's signature, and the metadata."""
        signature = sign(self.id, self.name, json_text.read(self.arguments))
        extra: dict[str, Any] = {"google": {"thought_signature": signature}}
        return extra | {BACKEND_METADATA_KEY: self.metadata} if self.metadata else extra


@dataclass(frozen=True)
class Choice:
    """One reply.

    Attributes:
        reasoning: The thought; empty when none was asked for.
        text: The answer; None where there are only tool calls.
        calls: The tool calls.
        finish_reason: stop, length or tool_calls; a backend may have others.
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
class Piece:
    """A piece of a reply; kind is text or reasoning."""

    kind: str
    text: str


Answer = Callable[[ChatRequest], AsyncIterator[Piece | Reply]]
"""What answers a request: pieces of the reply, if any, and then the Reply."""


def measure(request: ChatRequest, choices: list[Choice]) -> dict[str, Any]:
    """Return the usage object of the choices, by the rule of the module tokens."""
    prompt = [text for message in request.fields["messages"] for text in texts_of(message)]
    written = [choice.text or "" for choice in choices]
    written += [call.arguments for choice in choices for call in choice.calls]
    thoughts = [choice.reasoning for choice in choices]
    return usage(prompt, len(request.images), written, thoughts)
