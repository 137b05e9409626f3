"""Returns bounds and names of schemas, for the docstrings of the client."""

import re
from collections.abc import Iterator
from typing import Any

from openapi_python_client.parser.properties import ModelProperty

# Keywords of JSON Schema that bound a value: the lower, the upper, and what they count.
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)


def bounds(field: dict[str, Any]) -> str:
    """Return sentences with the bounds and values of a field that its description leaves out."""
    description = field.get("description", "")
    words = {*re.findall(r"\w+", description), *re.findall(r"-?[\d.]*\d", description)}
    return " ".join(text for text, values in _bounds(field) if not words >= {*values})


def schema_name(model: ModelProperty, models: list[ModelProperty], schemas: Any) -> str:
    """Return the name of the model's schema; of one within another, OWNER.PROPERTY.

    Empty for another inline schema, such as that of a request body or of the items of a list.
    """
    name = str(model.class_info.name)
    if name in schemas:
        return name
    for owner in models:
        for field in (owner.required_properties or []) + (owner.optional_properties or []):
            for inner in (field, *getattr(field, "inner_properties", ())):
                if isinstance(inner, ModelProperty) and inner.class_info == model.class_info:
                    return f"{owner.class_info.name}.{field.name.get_untrusted_value()}"
    return ""


def _bounds(field: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield a sentence for each pair of bounds and each list of values, and the values in it."""
    if values := [str(value) for value in field.get("enum", ()) if value is not None]:
        yield f"One of {', '.join(values)}.", values
    for lowest, highest, unit in BOUNDS:
        low, high = field.get(lowest), field.get(highest)
        if low is not None and high is not None:
            yield f"From {low} to {high}{unit}.", [str(low), str(high)]
        elif low == 1 and unit:
            yield "Not empty.", ["empty"]
        elif low is not None:
            yield f"At least {low}{unit}.", [str(low)]
        elif high is not None:
            yield f"At most {high}{unit}.", [str(high)]
