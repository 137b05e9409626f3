"""Tool calls: those a prompt asks for, their thought signatures, their answers."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from . import json_text
from .document import Refusal, refuse
from .messages import last_turn
from .samples import sample

# No secret: it makes a signature that any sandbox can check, and that a change breaks.
_KEY = b"llm-evolink sandbox"

METADATA = "backend"
"""The field of a call's extra_content for what a backend wants back with the call."""

Plan = tuple[str, dict[str, Any]]
"""The name of a tool, and the arguments to call it with."""


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
        return extra | {METADATA: self.metadata} if self.metadata else extra


def sign(call_id: str, name: str, arguments: dict[str, Any]) -> str:
    """Return the thought signature of a call, the same in every process."""
    text = json.dumps([call_id, name, arguments], sort_keys=True)
    return base64.b64encode(hmac.digest(_KEY, text.encode(), hashlib.sha256)).decode()


def planned_calls(fields: dict[str, Any]) -> list[Plan]:
    """Return the calls to make next in the chat, none for an answer in text.

    Each mention of a tool in the last user message is a call. Its arguments are the JSON object
    that follows the name, else a sample that fits the tool's parameters. Calls are made together,
    but for the word "then" between two of them, which puts off what follows to the next round.
    """
    tools = {tool["function"]["name"]: tool["function"] for tool in fields.get("tools", ())}
    messages = fields["messages"]
    choice = fields.get("tool_choice", "auto")
    if not tools or choice == "none" or messages[-1]["role"] not in ("user", "tool"):
        return []
    asked, since = last_turn(messages)
    done = sum("tool_calls" in message for message in since)
    plans = next(islice(_rounds(asked, tools), done, None), [])
    if messages[-1]["role"] == "user" and choice != "auto":
        plans = _forced(plans, choice, tools)
    return plans


def _forced(plans: list[Plan], choice: Any, tools: dict[str, Any]) -> list[Plan]:
    """Return the calls that the choice allows, or the one it forces."""
    if choice == "required":
        name = next(iter(tools))
    else:
        name = choice["function"]["name"]
        plans = [plan for plan in plans if plan[0] == name]
    return plans or [(name, _sample_arguments(tools[name]))]


def _rounds(text: str, tools: dict[str, Any]) -> Iterator[list[Plan]]:
    names = "|".join(re.escape(name) for name in sorted(tools, key=len, reverse=True))
    # The words of the text that matter; a name inside a longer word does not.
    words = re.compile(rf"(?<![\w-])({names}|then)(?![\w-])")
    plans: list[Plan] = []
    at = 0
    while word := words.search(text, at):
        at = word.end()
        if word[1] in tools:
            given, at = json_text.object_at(text, at)
            arguments = _sample_arguments(tools[word[1]]) if given is None else given
            plans.append((word[1], arguments))
        elif plans:
            yield plans
            plans = []
    if plans:
        yield plans


def _sample_arguments(tool: dict[str, Any]) -> dict[str, Any]:
    made_up = sample(tool.get("parameters", {}))
    return made_up if isinstance(made_up, dict) else {}


def check_tool_messages(messages: list[dict[str, Any]]) -> None:
    """Raise Refusal unless each call has its signature and one answer, each answer its call."""
    open_calls: list[str] = []
    calls_at = ""
    for at, message in enumerate(messages):
        path = f"messages.{at}"
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise refuse(
                    f"{path}.tool_call_id",
                    "a tool message answers a call of the assistant message before it, once",
                )
            open_calls.remove(message["tool_call_id"])
            continue
        _check_answered(open_calls, calls_at)
        if message["role"] != "assistant" and "tool_calls" in message:
            raise refuse(f"{path}.tool_calls", "only an assistant message holds tool calls")
        calls_at = f"{path}.tool_calls"
        open_calls = [call["id"] for call in message.get("tool_calls", ())]
        for number, call in enumerate(message.get("tool_calls", ())):
            _check_signature(call, f"{calls_at}.{number}")
    _check_answered(open_calls, calls_at)


def _check_answered(open_calls: list[str], calls_at: str) -> None:
    if open_calls:
        raise refuse(calls_at, f"no tool message answers the call {open_calls[0]!r}")


def _check_signature(call: dict[str, Any], path: str) -> None:
    function = call["function"]
    try:
        arguments = json_text.read(function["arguments"])
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise refuse(f"{path}.function.arguments", "not the text of a JSON object")
    try:
        signature = call["extra_content"]["google"]["thought_signature"]
    except (KeyError, TypeError):
        raise Refusal(
            400,
            message="Function call is missing a thought_signature in functionCall parts",
            param=path,
        ) from None
    if signature != sign(call["id"], function["name"], arguments):
        raise refuse(
            path,
            "the thought_signature is not that of this call: send its id, name, arguments and "
            "signature back as they came",
        )
