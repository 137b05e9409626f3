"""Validation errors of jsonschema in one line, with values as JSON."""

from collections.abc import Iterable
from typing import Any

from .. import json_text

# Wording by keyword: {value} is the invalid value, {limit} what the schema has for the keyword.
_WORDS = {
    "const": "{value} is not {limit}",
    "exclusiveMaximum": "{value} is not less than {limit}",
    "exclusiveMinimum": "{value} is not greater than {limit}",
    "maximum": "{value} is greater than the maximum of {limit}",
    "maxItems": "has more than {limit} items",
    "maxLength": "is longer than {limit} characters",
    "minimum": "{value} is less than the minimum of {limit}",
    "minItems": "has fewer than {limit} items",
    "minLength": "is shorter than {limit} characters",
    "pattern": "{value} does not match the pattern {limit}",
    "uniqueItems": "has an item twice",
}


def explain(error: Any) -> tuple[str, str]:
    """Return the path of the invalid field, and what is wrong with it."""
    path = list(error.absolute_path)
    if error.validator == "required":
        path.append(next(name for name in error.validator_value if name not in error.instance))
        return dotted(path), "is required"
    if error.validator in ("oneOf", "anyOf") and error.context:
        return _explain_branches(error)
    return dotted(path), _message(error)


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as text: messages.0.content."""
    return ".".join(map(str, path))


def _message(error: Any) -> str:
    limit = error.validator_value
    if error.validator == "type":
        return _wrong_type(error.instance, [limit] if isinstance(limit, str) else limit)
    value = json_text.write(error.instance)
    if error.validator == "enum":
        return f"{value} is not one of {', '.join(map(json_text.write, limit))}"
    if error.validator in ("minItems", "minLength") and limit == 1:
        return "is empty"
    words = _WORDS.get(error.validator, "{value} is not valid")
    return words.format(value=value, limit=json_text.write(limit))


def _wrong_type(value: Any, types: list[str]) -> str:
    return f"{json_text.write(value)} is not of type {' or '.join(dict.fromkeys(types))}"


def _explain_branches(error: Any) -> tuple[str, str]:
    """Explain why the closest branch does not match; name all branches if none is close."""
    branches: dict[int, list[Any]] = {}
    for cause in error.context:
        branches.setdefault(cause.relative_schema_path[0], []).append(cause)
    best = min(branches.values(), key=_distance)
    if not _distance(best):
        return explain(best[0])
    variant = next(filter(_names_variant, best))
    alternatives = [
        cause.validator_value
        for cause in error.context
        if cause.validator == variant.validator and cause.path == variant.path
    ]
    if variant.validator == "type":
        types = [each for named in alternatives for each in ([named], named)[type(named) is list]]
        message = _wrong_type(variant.instance, types)
    else:
        names = dict.fromkeys(map(json_text.write, alternatives))
        message = f"{json_text.write(variant.instance)} is not {' or '.join(names)}"
    return dotted(variant.absolute_path), message


def _distance(causes: list[Any]) -> int:
    """Rank a failed branch: 0 right variant with an invalid value, 1 wrong const, 2 wrong type."""
    return max(
        (1 if cause.validator == "const" else 2) if _names_variant(cause) else 0 for cause in causes
    )


def _names_variant(cause: Any) -> bool:
    return cause.validator == "const" or (cause.validator == "type" and not cause.path)
