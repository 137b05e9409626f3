"""References within a document."""

from collections.abc import Iterator
from typing import Any

from jsonpath import JSONPointer, JSONPointerError


def pointer(reference: str) -> JSONPointer:
    """Return the pointer that a reference within a document is."""
    # A name in another script is no escape.
    return JSONPointer(reference[1:], uri_decode=True, unicode_escape=False)


def references_in(node: Any) -> Iterator[Any]:
    """Yield the value of each $ref in the node, a document or a part of one."""
    nodes = [node]
    for each in nodes:  # The list grows in the loop, so that depth has no limit.
        if isinstance(each, dict):
            # Under `properties`, $ref is the name of a property, and its value is an object.
            if not isinstance(each.get("$ref", {}), dict):
                yield each["$ref"]
            nodes += each.values()
        elif isinstance(each, list):
            nodes += each


def leads_somewhere(document: dict[str, Any], reference: Any) -> bool:
    """Return whether the document has what the reference names."""
    try:
        pointer(reference).resolve(document)
    except (JSONPointerError, TypeError):
        return False
    return True


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a node refers to, merged with the other keys of the node.

    The document must be valid: its references lead to objects and do not loop.
    """
    while isinstance(node.get("$ref"), str):
        found: Any = pointer(node["$ref"]).resolve(document)
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def referred(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a node of a valid document refers to, itself and no copy."""
    while isinstance(node.get("$ref"), str):
        found: Any = pointer(node["$ref"]).resolve(document)
        node = found
    return node


def without_all_of(
    document: dict[str, Any], schema: dict[str, Any], depth: int = 0
) -> dict[str, Any]:
    """Return the schema of a valid document with its allOf merged."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or depth >= 10:
        return schema
    merged: dict[str, Any] = {}
    for part in [*parts, {key: value for key, value in schema.items() if key != "allOf"}]:
        if isinstance(part, dict):
            part = without_all_of(document, resolve(document, part), depth + 1)
            merged = _merge(merged, part)
    return merged


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = {**first, **second}
    if "properties" in first and "properties" in second:
        merged["properties"] = {**first["properties"], **second["properties"]}
    if "required" in first and "required" in second:
        merged["required"] = [*first["required"], *second["required"]]
    return merged


def schema_name(node: dict[str, Any]) -> str | None:
    """Return the name of the component schema that the node refers to, None for another node."""
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return None
    return reference.removeprefix("#/components/schemas/")
