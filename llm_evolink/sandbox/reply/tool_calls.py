"""Tool calls that a prompt asks for."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from .. import json_text
from ..request.messages import last_turn
from ..schema_samples import sample

Call = tuple[str, dict[str, Any]]
"""Name of a tool, and the arguments to call it with."""

MAX_PROMPT = 1_000_000
"""Number of characters at the start of a prompt that are searched for names of tools."""

MAX_CALLS = 128
"""Maximum number of calls that one prompt asks for."""


def next_calls(fields: dict[str, Any]) -> list[Call]:
    """Return the calls to make next in the chat; an empty list for an answer in text.

    Each mention of a tool in the last user message is a call. Its arguments are the JSON object
    that follows the name, else a sample that fits the tool's parameters. Calls are made in
    parallel; the word "then" between two of them starts a new round.
    """
    tools = {tool["function"]["name"]: tool["function"] for tool in fields.get("tools", ())}
    messages = fields["messages"]
    choice = fields.get("tool_choice", "auto")
    if not tools or choice == "none" or messages[-1]["role"] not in ("user", "tool"):
        return []
    prompt, since = last_turn(messages)
    done = sum("tool_calls" in message for message in since)
    calls = next(islice(_rounds(prompt[:MAX_PROMPT], tools), done, None), [])
    if messages[-1]["role"] == "user" and choice != "auto":
        calls = _forced(calls, choice, tools)
    return calls


def _forced(calls: list[Call], choice: Any, tools: dict[str, Any]) -> list[Call]:
    """Return the calls that tool_choice allows, or the one it forces."""
    if choice == "required":
        name = next(iter(tools))
    else:
        name = choice["function"]["name"]
        calls = [call for call in calls if call[0] == name]
    return calls or [(name, _sample_arguments(tools[name]))]


def _rounds(text: str, tools: dict[str, Any]) -> Iterator[list[Call]]:
    names = "|".join(re.escape(name) for name in sorted(tools, key=len, reverse=True))
    # A name inside a longer word is not a mention.
    mention = re.compile(rf"(?<![\w-])({names}|then)(?![\w-])")
    sample_for = cache(lambda name: _sample_arguments(tools[name]))
    calls: list[Call] = []
    at = number = 0
    while number < MAX_CALLS and (found := mention.search(text, at)):
        at = found.end()
        if found[1] in tools:
            number += 1
            arguments, at = json_text.object_at(text, at)
            calls.append((found[1], sample_for(found[1]) if arguments is None else arguments))
        elif calls:
            yield calls
            calls = []
    if calls:
        yield calls


def _sample_arguments(tool: dict[str, Any]) -> dict[str, Any]:
    arguments = sample(tool.get("parameters", {}))
    return arguments if isinstance(arguments, dict) else {}
