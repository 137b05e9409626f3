"""The effective document: what EvoLink published, with our overlays applied, validated."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonpath import JSONPointer, JSONPointerError
from openapi_spec_validator import OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from .errors import RegenerationError, one_line
from .overlays import apply_overlay

PUBLISHED = "gemini-3.5-flash.yaml"
# Overlays that only translate: a changed text stays as published and is told, it stops nobody.
TRANSLATIONS = {"3-english.yaml"}


def effective_document(openapi: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the document to generate from, and the warnings, one line each.

    `openapi` is the folder with the published document, SOURCE.toml and overlays/. Raises
    RegenerationError for a document that is not what SOURCE.toml says, not YAML, not OpenAPI 3.1
    or invalid before or after the overlays, and for an action that no longer fits; OSError for a
    file that cannot be read.
    """
    published = (openapi / PUBLISHED).read_bytes()
    expected = recorded_sha256(openapi / "SOURCE.toml")
    document = load_yaml(published, PUBLISHED)
    if hashlib.sha256(published).hexdigest() != expected:
        raise RegenerationError(
            f"{PUBLISHED} is not the file SOURCE.toml describes (its sha256 differs): "
            "it stays as published, changes go into an overlay"
        )
    validate(document, PUBLISHED)
    overlays = sorted((openapi / "overlays").glob("*.yaml"))
    if not overlays:
        raise RegenerationError(f"{openapi / 'overlays'} holds no overlay")
    warnings = []
    for path in overlays:
        unmatched = apply_overlay(document, load_yaml(path.read_bytes(), path.name), path.name)
        if path.name in TRANSLATIONS:
            warnings += unmatched
        elif unmatched:
            raise RegenerationError("; ".join(unmatched))
    validate(document, "the document with its overlays")
    return document, warnings


def recorded_sha256(source: Path) -> str:
    """Return the sha256 in SOURCE.toml. Raises RegenerationError when there is none."""
    try:
        value = tomllib.loads(source.read_text(encoding="utf-8")).get("sha256")
    except ValueError as error:
        raise RegenerationError(f"{source.name} is not TOML: {one_line(error)}") from error
    if not isinstance(value, str):
        raise RegenerationError(f"{source.name} holds no sha256")
    return value


def load_yaml(content: bytes, name: str) -> dict[str, Any]:
    """Return the YAML mapping in the bytes, as the JSON it stands for.

    Raises RegenerationError when there is none. Nothing in it is shared, even where YAML uses an
    alias, and every key is a string.
    """
    try:
        data = json.loads(json.dumps(YAML(typ="safe", pure=True).load(content), allow_nan=False))
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise RegenerationError(f"{name} is not YAML: {one_line(error.problem)}{line}") from error
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RegenerationError(f"{name} is not YAML of JSON values: {one_line(error)}") from error
    if not isinstance(data, dict):
        raise RegenerationError(f"{name} is not a YAML mapping")
    return data


def validate(document: dict[str, Any], name: str) -> None:
    """Raise RegenerationError unless this is valid OpenAPI 3.1 that refers only to itself."""
    declared = document.get("openapi", document.get("swagger"))
    if declared is None:
        raise RegenerationError(f"{name} is not an OpenAPI document: it has no openapi field")
    if not str(declared).startswith("3.1"):
        raise RegenerationError(f"{name} declares OpenAPI {declared}; 3.1 is understood")
    for reference in _references(document):
        _follow(document, reference, name)
    try:
        error = next(iter(OpenAPIV31SpecValidator(document).iter_errors()), None)
    except RecursionError as failure:
        problem = f"{name} is invalid: it nests too deep, or a $ref loops"
        raise RegenerationError(problem) from failure
    except Exception as failure:  # The validator, on what it did not foresee.
        raise RegenerationError(f"{name} is invalid: {one_line(failure)}") from failure
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise RegenerationError(f"{name} is invalid at {where}: {one_line(error.message)}")


def _references(document: dict[str, Any]) -> Iterator[Any]:
    nodes: list[Any] = [document]
    for node in nodes:  # It grows while it is walked: no document nests too deep for it.
        if isinstance(node, dict):
            # Under `properties` a $ref is a property of that name: an object, never a reference.
            if not isinstance(node.get("$ref", {}), dict):
                yield node["$ref"]
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node


def _follow(document: dict[str, Any], reference: Any, name: str) -> None:
    """Raise RegenerationError unless the reference leads to something within the document."""
    passed = []
    while reference not in passed:
        passed.append(reference)
        if not (isinstance(reference, str) and reference.startswith("#/")):
            problem = f"{name}: $ref {reference} is refused: it leads out of the document"
            raise RegenerationError(problem)
        try:
            node = JSONPointer(reference[1:], uri_decode=True).resolve(document)
        except JSONPointerError as error:
            raise RegenerationError(f"{name}: $ref {reference} leads nowhere") from error
        if not (isinstance(node, dict) and "$ref" in node):
            return
        reference = node["$ref"]
    raise RegenerationError(f"{name}: $ref {reference} loops")
