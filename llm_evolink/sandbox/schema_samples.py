"""Generated values that fit a JSON Schema."""

import math
from contextlib import suppress
from typing import Any

from . import json_text
from .schema_validation import is_valid
from .step_limit import StepLimitError, spend, step_limit

Schema = dict[str, Any]

FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "sandbox@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "00:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
TEXT = "sandbox"
MAX_SIZE = 1000
"""Maximum number of items in a generated array, and of characters in a string."""

# Type that a schema without a type describes, by a keyword of it.
_IMPLIED_TYPES = {
    "items": "array",
    "prefixItems": "array",
    "minLength": "string",
    "maxLength": "string",
    "format": "string",
    "pattern": "string",
    "minimum": "number",
    "maximum": "number",
}


class NoSampleError(ValueError):
    """Raised for a schema that no value fits; the message is one line."""


def sample(schema: Schema) -> Any:
    """Return a small value that fits: objects with required properties, arrays of minItems.

    The keywords pattern, not, if and uniqueItems are ignored. Raises NoSampleError for a schema
    that no value fits, or only an endless or large one, or whose $ref is not within it.
    """
    try:
        with step_limit():
            return _Sampler(schema).value(schema, frozenset())
    except StepLimitError as error:
        raise NoSampleError(f"a value that fits {error}") from None
    except OverflowError:
        raise NoSampleError("a bound is too large a number") from None


def resolve(reference: str, root: Schema) -> Any:
    """Return the part of the root schema that "#" or "#/…" names.

    Raises NoSampleError if there is none.
    """
    found: Any = root
    head, *names = reference.split("/")
    if head != "#":
        raise NoSampleError(f"$ref {reference!r} is not within the schema")
    for name in names:
        key = name.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key) if isinstance(found, list) else key]
        except (LookupError, ValueError, TypeError):
            raise NoSampleError(f"$ref {reference!r} leads nowhere") from None
    return found


class _Sampler:
    """Generates values for the parts of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def value(self, schema: Any, opened: frozenset[str]) -> Any:
        """Return a value that fits; opened are the $refs that were followed to this schema."""
        spend()
        flat, opened = self._flatten(schema, opened)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            if not flat["enum"]:
                raise NoSampleError("an empty enum allows nothing")
            return flat["enum"][0]
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                options = flat.pop(keyword)
                return self._first([{"allOf": [flat, option]} for option in options], opened)
        type_ = _type(flat)
        if type_ == "object":
            return self._object(flat, opened)
        if type_ == "array":
            return self._array(flat, opened)
        if type_ == "string":
            return _string(flat)
        if type_ in ("integer", "number"):
            return _number(flat)
        return False if type_ == "boolean" else None

    def _first(self, options: list[Schema], opened: frozenset[str]) -> Any:
        for option in options[:-1]:
            with suppress(NoSampleError):
                return self.value(option, opened)
        return self.value(options[-1], opened)

    def _object(self, schema: Schema, opened: frozenset[str]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return {
            name: self.value(properties.get(name, others), opened)
            for name in schema.get("required", [])
        }

    def _array(self, schema: Schema, opened: frozenset[str]) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        return [
            self.value(first[at] if at < len(first) else rest, opened)
            for at in range(_size(schema, "minItems"))
        ]

    def _flatten(self, schema: Any, opened: frozenset[str]) -> tuple[Schema, frozenset[str]]:
        """Return the schema with its $ref and allOf merged in, and the $refs followed."""
        if schema is False:
            raise NoSampleError("nothing fits a schema that is false")
        if schema is True:
            return {}, opened
        parts = list(schema.get("allOf", []))
        if "$ref" in schema:
            if schema["$ref"] in opened:
                raise NoSampleError(f"$ref {schema['$ref']!r} refers to itself without end")
            opened |= {schema["$ref"]}
            parts.insert(0, resolve(schema["$ref"], self._root))
        merged: Schema = {}
        through = opened
        for part in parts:
            flat, opened_by_part = self._flatten(part, opened)
            through |= opened_by_part
            merged = _merge(merged, flat)
        own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        return _merge(merged, own), through


def _merge(first: Schema, second: Schema) -> Schema:
    spend(len(first) + len(second))
    merged = first | second
    if "properties" in first and "properties" in second:
        spend(len(first["properties"]) + len(second["properties"]))
        merged["properties"] = first["properties"] | second["properties"]
    if "required" in first and "required" in second:
        spend(len(first["required"]) + len(second["required"]))
        merged["required"] = list(dict.fromkeys(first["required"] + second["required"]))
    return merged


def _type(schema: Schema) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((each for each in named if each != "null"), "null")
    implied = (each for keyword, each in _IMPLIED_TYPES.items() if keyword in schema)
    return named or next(implied, "object")


def _string(schema: Schema) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    shortest = _size(schema, "minLength")
    longest = int(schema.get("maxLength", max(shortest, len(TEXT))))
    return (TEXT * (shortest // len(TEXT) + 1))[:longest]


def _size(schema: Schema, keyword: str) -> int:
    size = int(schema.get(keyword, 0))
    if size > MAX_SIZE:
        raise NoSampleError(f"{keyword} is over {MAX_SIZE}, the limit of the sandbox")
    return size


def _number(schema: Schema) -> Any:
    """Return 0 if it fits, else a number near a bound."""
    step = schema.get("multipleOf", 1)
    bounds = [
        schema[keyword]
        for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        if keyword in schema
    ]
    near = [at * step for bound in bounds for at in _around(bound / step)]
    for candidate in (0, *sorted(near, key=abs), *bounds, sum(bounds) / max(len(bounds), 1)):
        if _fits(candidate, schema):
            return candidate
    raise NoSampleError(f"no number found for {json_text.write(schema)}")


def _fits(number: Any, schema: Schema) -> bool:
    try:
        return is_valid(number, schema)
    except StepLimitError:
        raise
    except Exception:  # A valid schema can still be more than jsonschema handles.
        return False


def _around(number: float) -> tuple[int, int, int, int]:
    return math.floor(number) - 1, math.floor(number), math.ceil(number), math.ceil(number) + 1
