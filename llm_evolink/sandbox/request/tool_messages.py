"""Checks that tool calls, tool results and signatures in the messages match."""

from typing import Any

from .. import json_text
from ..document import Refusal, refuse
from ..signatures import sign


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
