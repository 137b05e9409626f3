"""Result of a row: an answer or a failure."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..chat.finish_reason import Ending, classify
from ..failures import BILLED
from .errors import BatchError

CUT = "cut"
"""Failure of an answer that the token limit or a content filter cut."""

NOT_PARSED = "not parsed"
"""Failure of an answer that does not fit the schema."""

NOT_LOGGED = "not logged"
"""Failure of an answer that llm's log cannot hold."""

_CUTS = {
    Ending.TOKEN_LIMIT: "The answer was cut at the token limit: raise the option max_tokens",
    Ending.FILTERED: "The answer was cut by the server's content filter: rephrase the prompt",
}
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


class Tokens(NamedTuple):
    """Token counts, 0 where unknown; cached tokens are part of the input."""

    input: int = 0
    output: int = 0
    cached: int = 0

    def plus(self, other: "Tokens") -> "Tokens":
        """Return the sum."""
        return Tokens(self.input + other[0], self.output + other[1], self.cached + other[2])


@dataclass(slots=True)
class Result:
    """Result of one row.

    Attributes:
        position: Place of the row, from 0.
        answer: The text, or with a schema its JSON value; None after a failure.
        text: Text of the answer, also of one that was cut or does not fit the schema.
        failure: Type of failure, such as "invalid request"; None for an answer.
        error: What went wrong and what to do; None for an answer.
        turn_id: Id in llm's log, also of its conversation; None if nothing was logged.
        tries: Requests sent for the row, without those refused with 429 or 503.
        reused: Whether the result is that of an earlier run.
    """

    position: int
    id: str
    answer: Any = None
    text: str | None = None
    failure: str | None = None
    error: str | None = None
    tokens: Tokens | None = None
    turn_id: str | None = None
    tries: int = 0
    reused: bool = False


def failure_name(error: Exception) -> str:
    """Return the type of an error in words: "rate limit" for a RateLimitError."""
    words = re.findall("[A-Z][a-z]*", type(error).__name__.removesuffix("Error"))
    return " ".join(words).lower() or "error"


def error_text(error: Exception) -> str:
    """Return the message of an error, with a note if the request may have been billed."""
    text = str(error) or type(error).__name__
    billed = getattr(error, "may_be_billed", False) and BILLED not in text
    return f"{text}; {BILLED}" if billed else text


def cut_error(response_json: Any) -> str | None:
    """Return the error of an answer that was cut, None for a complete one."""
    reason = response_json.get("finish_reason") if isinstance(response_json, dict) else None
    return _CUTS.get(classify(str(reason or "")))


def check_schema(schema: Any) -> None:
    """Raise BatchError for a JSON Schema whose parts that parse() reads are not valid."""
    if not isinstance(schema, dict):
        raise BatchError("The schema is not a JSON Schema: it must be an object")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise BatchError("The schema is not a JSON Schema: 'properties' must be an object")
    for each in (schema, *properties.values()):
        required = each.get("required", []) if isinstance(each, dict) else []
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise BatchError("The schema is not a JSON Schema: 'required' must be a list of names")


def parse(text: str, schema: dict[str, Any] | None) -> Any:
    """Return the text, or with a schema its JSON value. Raises ValueError.

    Of the schema, the type and the required properties are checked.
    """
    if schema is None:
        return text
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise ValueError("The answer is not JSON") from None
    _check(value, schema, "The answer")
    for name, property_schema in schema.get("properties", {}).items():
        if isinstance(value, dict) and name in value and isinstance(property_schema, dict):
            _check(value[name], property_schema, f"{name!r}")
    return value


def _finite(text: str) -> float:
    """Return the number. Raises ValueError for one that JSON cannot hold, such as 1e999 and NaN."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _check(value: Any, schema: dict[str, Any], what: str) -> None:
    expected = schema.get("type")
    wanted = _TYPES.get(expected) if isinstance(expected, str) else None
    if expected == "integer" and isinstance(value, float) and value.is_integer():
        return  # JSON Schema takes 1.0 as an integer.
    is_wrong_bool = isinstance(value, bool) and expected in ("integer", "number")
    if wanted and (not isinstance(value, wanted) or is_wrong_bool):
        raise ValueError(f"{what} does not fit the schema: it is not of type {expected}")
    if isinstance(value, dict):
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            raise ValueError(f"{what} does not fit the schema: it lacks {', '.join(missing)}")
