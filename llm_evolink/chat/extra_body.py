"""The option extra_body: fields of the request for which there is no option."""

import json
from collections.abc import Collection
from typing import Any

from .sanitizer import MAX_DEPTH, is_too_deep

_REASONS = {
    "model": "-m sets it",
    "messages": "the prompt sets it",
    "stream": "--no-stream sets it",
    "stream_options": "the plugin sets it",
    "tools": "-T and --functions set it",
    "response_format": "--schema and the option json_object set it",
    "max_completion_tokens": "use the option max_tokens",
    "n": "the plugin reads one answer",
}
"""Fields that are neither an option nor allowed in extra_body, each with the reason."""

_NOT_SENT = ("extra_body", "timeout")
"""Options that are not sent as fields of their name, so extra_body may hold such a field."""


def read_extra_body(value: Any, options: Collection[str]) -> dict[str, Any]:
    """Return the fields, given as a dict or as the text of a JSON object.

    Raises ValueError for anything else, and for a field that is an option or that the plugin sets.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError('not JSON; give an object such as {"top_k": 40}') from None
    if not isinstance(value, dict):
        raise ValueError('not a JSON object such as {"top_k": 40}')
    for name in value:
        if name in options and name not in _NOT_SENT:
            raise ValueError(f"cannot hold {name}: use the option")
        if name in _REASONS:
            raise ValueError(f"cannot hold {name}: {_REASONS[name]}")
    if is_too_deep(value):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not JSON: {error}") from None
    return value
