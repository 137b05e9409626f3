"""Removes closed lists of values, and lists of required fields, from responses.

Neither a new value nor a field that a server leaves out must make a reply unreadable.
"""

from typing import Any

from .references import pointer, resolve

CLOSED = ("enum", "const")


def open_response_values(document: dict[str, Any]) -> None:
    """Remove enum, const and required, in place, from each schema that only responses have."""
    sent: dict[int, dict[str, Any]] = {}
    received: dict[int, dict[str, Any]] = {}
    for item in document.get("paths", {}).values():
        for operation in resolve(document, item).values():
            if not isinstance(operation, dict):
                continue
            for parameter in operation.get("parameters", []):
                _collect(document, resolve(document, parameter), sent)
            _collect(document, resolve(document, operation.get("requestBody", {})), sent)
            for response in operation.get("responses", {}).values():
                for content in resolve(document, response).get("content", {}).values():
                    _collect(document, content.get("schema"), received)
    for identity, schema in received.items():
        if identity in sent:
            continue
        if isinstance(schema.get("required"), list):  # Else it is the name of a field.
            del schema["required"]
        if any(keyword in schema for keyword in CLOSED):
            values = schema.get("enum", [schema.get("const")])
            for keyword in CLOSED:
                schema.pop(keyword, None)
            if "type" not in schema:
                schema["type"] = sorted({_type(value) for value in values})


def _collect(document: dict[str, Any], root: Any, found: dict[int, dict[str, Any]]) -> None:
    """Add every object below the root to found by its identity, references followed."""
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes += node
        elif isinstance(node, dict) and id(node) not in found:
            found[id(node)] = node
            nodes += [value for key, value in node.items() if key not in ("example", "examples")]
            if isinstance(node.get("$ref"), str):
                nodes.append(pointer(node["$ref"]).resolve(document))


def _type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return names.get(type(value), "array" if isinstance(value, list) else "object")
