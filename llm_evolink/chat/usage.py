"""Token counts of a reply, as servers report them and as llm takes them."""

from __future__ import annotations

from typing import Any

from .size_limit import SizeLimit

MAX_COUNT = 2**53
"""Maximum count; a larger one is unknown. SQLite and JSON readers keep integers up to it exact."""

_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


def count(value: Any) -> int | None:
    """Return an integer from 0 to MAX_COUNT, also for such a float or digits; else None."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17
    if is_digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def update(counts: dict[str, Any], later: dict[str, Any], limit: SizeLimit) -> None:
    """Update the counts with those of a later chunk: a count stays where the later one is zero."""
    for name, value in later.items():
        old = counts.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            update(old, value, limit)
        elif count(value) or not (isinstance(old, dict) or count(old)):
            limit.set(counts, name, value)


def set_usage(response: Any, usage: dict[str, Any]) -> int:
    """Give llm's response the counts, None for unknown. Returns the number of reasoning tokens.

    input_tokens and output_tokens, which are 0 where the others hold the count, are the fallback.
    Reasoning that the server counts beside the completion is added to the output.
    """
    details = {}
    for name in _DETAILS:
        sent = usage.get(name)
        counts = (
            {key: count(value) for key, value in sent.items()} if isinstance(sent, dict) else {}
        )
        if counts := {key: value for key, value in counts.items() if value}:
            details[name] = counts
    reasoning: int = details.get("completion_tokens_details", {}).get("reasoning_tokens") or 0
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    completion = _first(usage, "completion_tokens", "output_tokens")
    total = count(usage.get("total_tokens"))
    if reasoning and None not in (prompt, completion, total):
        assert prompt is not None and completion is not None  # noqa: S101, PT018
        if total == prompt + completion + reasoning:
            completion += reasoning
    response.set_usage(input=prompt, output=completion, details=details or None)
    return reasoning


def _first(usage: dict[str, Any], name: str, fallback: str) -> int | None:
    """Return the first count that is not zero, zero if one is, None for unknown."""
    counts = count(usage.get(name)), count(usage.get(fallback))
    return counts[0] or counts[1] or (0 if counts[0] == 0 else None)
