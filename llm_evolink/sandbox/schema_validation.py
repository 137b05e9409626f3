"""Validation of a value against a JSON Schema that a client sent, with limited work."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from .patterns import compile_bounded, matches
from .step_limit import spend, step_limit

STEPS_PER_SECOND = 100_000
"""Steps that a second of searching for patterns counts as."""

Keyword = Callable[[Any, Any, Any, Any], Any]


def fits(value: Any, schema: Any) -> bool:
    """Return whether the value fits the schema; False as well where that cannot be decided.

    It cannot for a pattern that is invalid or slow, a reference that leads back to itself, and a
    schema that needs more steps than the limit.
    """
    try:
        with step_limit():
            return is_valid(value, schema)
    except Exception:
        return False


def is_valid(value: Any, schema: Any) -> bool:
    """Return whether the value fits the schema. Needs a step_limit block.

    Raises StepLimitError, TimeoutError, and what jsonschema raises for a schema it cannot handle.
    """
    return bool(_Validator(schema).is_valid(value))


def _limited(keyword: Keyword) -> Keyword:
    """Return the keyword's check, counted in steps."""

    def check(validator: Any, expected: Any, value: Any, schema: Any) -> Any:
        size = len(value) if isinstance(value, list | dict) else 0
        spend(1 + size)
        return keyword(validator, expected, value, schema)

    return check


def _unique_items(validator: Any, expected: Any, value: Any, schema: Any) -> Any:
    if isinstance(value, list):
        spend(len(value) ** 2)
    return Draft202012Validator.VALIDATORS["uniqueItems"](validator, expected, value, schema)


def _found(pattern: str, text: str) -> bool:
    started = time.thread_time()
    try:
        return matches(compile_bounded(pattern), text)
    finally:
        spend(int((time.thread_time() - started) * STEPS_PER_SECOND))


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _found(pattern, value):
        yield ValidationError("does not match the pattern")


def _pattern_properties(
    validator: Any, schemas: dict[str, Any], value: Any, schema: Any
) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for pattern, subschema in schemas.items():
            for name, member in value.items():
                if _found(pattern, name):
                    yield from validator.descend(member, subschema, path=name)


def _additional_properties(
    validator: Any, subschema: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        patterns = schema.get("patternProperties", {})
        for name in value.keys() - schema.get("properties", {}).keys():
            if not any(_found(pattern, name) for pattern in patterns):
                yield from validator.descend(value[name], subschema, path=name)


def _undecided(validator: Any, expected: Any, value: Any, schema: Any) -> Any:
    """Refuse to decide: jsonschema evaluates the keyword by a walk that no limit reaches."""
    raise ValueError("not supported")


_KEYWORDS: dict[str, Keyword] = {
    **Draft202012Validator.VALIDATORS,
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "unevaluatedItems": _undecided,
    "unevaluatedProperties": _undecided,
    "uniqueItems": _unique_items,
}
_Validator = extend(
    Draft202012Validator, {name: _limited(check) for name, check in _KEYWORDS.items()}
)
