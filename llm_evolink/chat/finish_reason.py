"""What a finish_reason means: gateways pass on the words of many services."""

from __future__ import annotations

import re
from enum import IntEnum


class Ending(IntEnum):
    """How an answer ended, from good to worse."""

    COMPLETE = 0
    UNKNOWN = 1
    """A word that is not known."""
    MISSING = 2
    """No finish_reason."""
    TOKEN_LIMIT = 3
    FILTERED = 4
    """A content filter stopped the answer or withheld it."""
    FAILED = 5
    """The server failed."""


_COMPLETE = {
    "stop",
    "tool_call",
    "tool_calls",
    "tool_use",
    "function_call",
    "end_turn",
    "eos",
    "eos_token",
    "stop_sequence",
}
_CUT = (
    "length|max_tokens|max_output_tokens|model_length|max_length|token_limit|"
    "model_context_window_exceeded"
)
_FILTERED = (
    ".*content_filter.*|.*safety.*|.*prohibited.*|.*recitation.*|.*blocklist.*|.*moderation.*|"
    ".*guardrail.*|spii|refusal|sensitive|blocked"
)
_FAILED = (
    "error|.*_error|fail(ed|ure)|insufficient_system_resources?|malformed_.*|abort(ed)?|"
    "cancel(l?ed)?|unexpected_tool_call|too_many_tool_calls|missing_thought_signature|time_?out"
)
# Compiled when they are needed, because few answers end with anything but "stop".
_PATTERNS = ((Ending.FAILED, _FAILED), (Ending.FILTERED, _FILTERED), (Ending.TOKEN_LIMIT, _CUT))


def classify(finish_reason: str | None) -> Ending:
    """Return what the word means in any case; it can have a prefix or be followed by a reason.

    `FinishReason.MAX_TOKENS` and `content_filter: SAFETY` are two of the forms that occur.
    """
    if not finish_reason:
        return Ending.MISSING
    if finish_reason in _COMPLETE:
        return Ending.COMPLETE
    words = re.split(r"[:.,;\s]+", finish_reason.lower().replace("-", "_"))
    words = [word.removeprefix("finish_reason_") for word in words]
    for ending, pattern in _PATTERNS:
        if any(re.fullmatch(pattern, word) for word in words):
            return ending
    return Ending.UNKNOWN if _COMPLETE.isdisjoint(words) else Ending.COMPLETE
