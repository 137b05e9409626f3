"""Message for an option that the model does not have; imported only where one was given."""

from collections.abc import Iterable
from difflib import get_close_matches

OTHER_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
    "thinking_budget": "reasoning_effort",
    "thinking_level": "reasoning_effort",
}
"""Options of this plugin by their names in other APIs."""

_MIN_SIMILARITY = 0.8
"""Similarity, 0 to 1, from which a name is a suggestion: top_k is not meant to be top_p (0.75)."""


def unknown_option(name: str, options: Iterable[str]) -> str:
    """Return the message for an unknown name: with the option that it resembles, if there is one.

    Case and underscores do not count: maxOutputTokens is max_output_tokens.
    """
    known = {_letters(other): option for other, option in OTHER_NAMES.items()}
    known |= {_letters(option): option for option in options}
    for match in get_close_matches(_letters(name), known, n=1, cutoff=_MIN_SIMILARITY):
        return f"There is no such option; did you mean {known[match]}?"
    return (
        "There is no such option; llm models --options lists them, and extra_body takes any other "
        "field of the request"
    )


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
