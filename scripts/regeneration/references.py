"""References within a document."""

from typing import Any

from jsonpath import JSONPointer


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a node refers to, merged with the other keys of the node.

    The document must be valid: its references lead to objects and do not loop.
    """
    while isinstance(node.get("$ref"), str):
        found: Any = JSONPointer(node["$ref"][1:], uri_decode=True).resolve(document)
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def schema_name(node: dict[str, Any]) -> str | None:
    """Return the name of the component schema that the node refers to, None for another node."""
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return None
    return reference.removeprefix("#/components/schemas/")
