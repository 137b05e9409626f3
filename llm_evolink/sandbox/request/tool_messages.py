"""Checks that tool calls, tool results and thought signatures match."""

from typing import Any

from .. import json_text
from ..document import Refusal, refuse
from ..signatures import STAND_IN, sign
from .messages import Message, last_turn


def check_tool_messages(messages: list[Message]) -> None:
    """Raise Refusal unless each call has one result, each result its call, and signatures match."""
    current = len(messages) - len(last_turn(messages)[1])
    unanswered: dict[str, None] = {}
    calls_path = ""
    for at, message in enumerate(messages):
        path = f"messages.{at}"
        if message["role"] == "tool":
            if message.get("tool_call_id") not in unanswered:
                raise refuse(
                    f"{path}.tool_call_id",
                    "a tool message answers a call of the assistant message before it, once",
                )
            del unanswered[message["tool_call_id"]]
            continue
        _check_answered(unanswered, calls_path)
        if message["role"] != "assistant" and "tool_calls" in message:
            raise refuse(f"{path}.tool_calls", "only an assistant message holds tool calls")
        calls_path = f"{path}.tool_calls"
        unanswered = {call["id"]: None for call in message.get("tool_calls", ())}
        for number, call in enumerate(message.get("tool_calls", ())):
            arguments = _arguments(call, f"{calls_path}.{number}")
            if at >= current:
                _check_signature(call, arguments, f"{calls_path}.{number}", required=number == 0)
    _check_answered(unanswered, calls_path)


def _check_answered(unanswered: dict[str, None], calls_path: str) -> None:
    if unanswered:
        call_id = json_text.write(next(iter(unanswered)))
        raise refuse(calls_path, f"no tool message answers the call {call_id}")


def _arguments(call: dict[str, Any], path: str) -> dict[str, Any]:
    try:
        arguments = json_text.read(call["function"]["arguments"])
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise refuse(f"{path}.function.arguments", "not the text of a JSON object")
    return arguments


def _check_signature(
    call: dict[str, Any], arguments: dict[str, Any], path: str, *, required: bool
) -> None:
    """Check the signature as Gemini 3 does: in the current turn, the first of parallel calls."""
    try:
        signature = call["extra_content"]["google"]["thought_signature"]
    except (KeyError, TypeError):
        if not required:
            return
        raise Refusal(
            400,
            message="Function call is missing a thought_signature in functionCall parts",
            param=path,
            fallback_suggestion=_SUGGESTION,
        ) from None
    if signature not in (sign(call["id"], call["function"]["name"], arguments), STAND_IN):
        raise Refusal(
            400,
            message=f"{path}: the thought_signature is not that of this call",
            param=path,
            fallback_suggestion=_SUGGESTION,
        )


_SUGGESTION = (
    "send id, function and extra_content.google.thought_signature of the call back unchanged"
)
