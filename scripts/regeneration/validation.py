"""Reads the bytes of a document, and checks that it is OpenAPI 3.1 that refers only to itself."""

import json
from functools import cache
from typing import Any

from jsonpath import JSONPointerError
from openapi_spec_validator import OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .errors import RegenerationError, one_line
from .references import pointer, references_in

MOST_BYTES = 2**20  # YAML is read at about 150 KB a second; EvoLink's document has 11 KB.
MOST_EXPANDED = 2 * MOST_BYTES
MOST_LEVELS = 50


def load_yaml(content: bytes, name: str, first_line: int = 1) -> dict[str, Any]:
    """Return the YAML or JSON mapping in the bytes as JSON values.

    Aliases are copied, and every key is a string. `first_line` is the line number, in its page, of
    the first line of the content. Raises RegenerationError when there is no mapping, or one that
    exceeds the limits above.
    """
    data: dict[str, Any] = json.loads(_json_text(content, name, first_line))
    return data


class _Constructor(SafeConstructor):
    """Constructs the values of JSON: a date is a text."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


@cache
def _json_text(content: bytes, name: str, first_line: int) -> str:
    """Return the mapping as JSON; kept, since an overlay is read for each of two documents."""
    if len(content) > MOST_BYTES:
        raise RegenerationError(f"{name} is larger than {MOST_BYTES // 2**20} MB")
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        root = yaml.compose(content)
        # Checked before values are built: expanded aliases can exceed the memory.
        _require_bounded(root, name)
        data = json.dumps(root and yaml.constructor.construct_document(root), allow_nan=False)
        parsed = json.loads(data)
        json.dumps(parsed, ensure_ascii=False).encode()
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + first_line})" if error.problem_mark else ""
        raise RegenerationError(f"{name} is not YAML: {one_line(error.problem)}{line}") from error
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RegenerationError(f"{name} is not YAML of JSON values: {one_line(error)}") from error
    if not isinstance(parsed, dict):
        raise RegenerationError(f"{name} is not a YAML mapping")
    return data


def _require_bounded(root: Node | None, name: str) -> None:
    nodes = [(root, 1)] if root else []
    size = 0
    while nodes:
        node, level = nodes.pop()
        size += 1
        if isinstance(node, ScalarNode):
            size += len(node.value)
        elif isinstance(node, SequenceNode):
            nodes += [(item, level + 1) for item in node.value]
        elif isinstance(node, MappingNode):
            nodes += [(item, level + 1) for pair in node.value for item in pair]
        if level > MOST_LEVELS:
            raise RegenerationError(f"{name} nests deeper than {MOST_LEVELS} levels")
        if size + len(nodes) > MOST_EXPANDED:
            raise RegenerationError(f"{name} is too large when its aliases are expanded")


def validate(document: dict[str, Any], name: str) -> None:
    """Raise RegenerationError unless this is valid OpenAPI 3.1 that refers only to itself."""
    _validate(json.dumps(document), name)


@cache
def _validate(text: str, name: str) -> None:
    document: dict[str, Any] = json.loads(text)
    declared = document.get("openapi", document.get("swagger"))
    if declared is None:
        raise RegenerationError(f"{name} is not an OpenAPI document: it has no openapi field")
    if not str(declared).startswith("3.1"):
        raise RegenerationError(f"{name} declares OpenAPI {declared}; 3.1 is understood")
    for reference in references_in(document):
        _follow(document, reference, name)
    try:
        error = next(iter(OpenAPIV31SpecValidator(document).iter_errors()), None)
    except RecursionError as failure:
        problem = f"{name} is invalid: it nests too deep, or a $ref loops"
        raise RegenerationError(problem) from failure
    except Exception as failure:  # Of the validator, for an unforeseen document.
        raise RegenerationError(f"{name} is invalid: {one_line(failure)}") from failure
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise RegenerationError(f"{name} is invalid at {where}: {one_line(error.message)}")


def _follow(document: dict[str, Any], reference: Any, name: str) -> None:
    """Raise RegenerationError unless the reference leads to an element of the document."""
    passed = []
    while reference not in passed:
        passed.append(reference)
        if not (isinstance(reference, str) and reference.startswith("#/")):
            problem = f"{name}: $ref {reference} is refused: it leads out of the document"
            raise RegenerationError(problem)
        try:
            node = pointer(reference).resolve(document)
        except JSONPointerError as error:
            raise RegenerationError(f"{name}: $ref {reference} leads nowhere") from error
        if not (isinstance(node, dict) and "$ref" in node):
            return
        reference = node["$ref"]
    raise RegenerationError(f"{name}: $ref {reference} loops")
