"""Tool calls: those a prompt asks for, their thought signatures, their answers."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .. import json_text
from ..request.messages import last_turn
from ..schema_samples import sample

Plan = tuple[str, dict[str, Any]]
"""The name of a tool, and the arguments to call it with."""


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
