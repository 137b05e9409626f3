"""The effective document: what EvoLink published, with our overlays applied, validated."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from .errors import RegenerationError
from .overlays import apply_overlay

PUBLISHED = "gemini-3.5-flash.yaml"
# Overlays that only translate: a changed text stays as published and is told, it stops nobody.
TRANSLATIONS = {"3-english.yaml"}


def effective_document(openapi: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the document to generate from, and the warnings, one line each.

    `openapi` is the folder with the published document, SOURCE.toml and overlays/. Raises
    RegenerationError for a document that is not what SOURCE.toml says, not YAML, not OpenAPI 3.1
    or invalid before or after the overlays, and for an action that no longer fits.
    """
    published = (openapi / PUBLISHED).read_bytes()
    expected = tomllib.loads((openapi / "SOURCE.toml").read_text(encoding="utf-8"))["sha256"]
    document = load_yaml(published, PUBLISHED)
    if hashlib.sha256(published).hexdigest() != expected:
        raise RegenerationError(
            f"{PUBLISHED} is not the file SOURCE.toml describes (its sha256 differs): "
            "it stays as published, changes go into an overlay"
        )
    validate(document, PUBLISHED)
    warnings = []
    for path in sorted((openapi / "overlays").glob("*.yaml")):
        unmatched = apply_overlay(document, load_yaml(path.read_bytes(), path.name), path.name)
        if path.name in TRANSLATIONS:
            warnings += unmatched
        elif unmatched:
            raise RegenerationError("; ".join(unmatched))
    validate(document, "the document with its overlays")
    return document, warnings


def load_yaml(content: bytes, name: str) -> dict[str, Any]:
    """Return the YAML mapping in the bytes. Raises RegenerationError when there is none."""
    try:
        data = YAML(typ="safe").load(content)
        json.dumps(data)
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise RegenerationError(f"{name} is not YAML: {error.problem}{line}") from error
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RegenerationError(
            f"{name} is not YAML of JSON values: {_first_line(error)}"
        ) from error
    if not isinstance(data, dict):
        raise RegenerationError(f"{name} is not a YAML mapping")
    return data


def validate(document: dict[str, Any], name: str) -> None:
    """Raise RegenerationError unless this is valid OpenAPI 3.1 that refers only to itself."""
    if "openapi" not in document:
        raise RegenerationError(f"{name} is not an OpenAPI document: it has no openapi field")
    if not str(document["openapi"]).startswith("3.1"):
        raise RegenerationError(f"{name} declares OpenAPI {document['openapi']}; 3.1 is understood")
    for reference in _references(document):
        if not (isinstance(reference, str) and reference.startswith("#/")):
            raise RegenerationError(f"{name} refers to {reference!r}, outside itself: refused")
    try:
        error = next(iter(OpenAPIV31SpecValidator(document).iter_errors()), None)
    except Exception as failure:  # A dangling reference raises instead of being an error.
        raise RegenerationError(f"{name} is invalid: {_first_line(failure)}") from failure
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_path) or "the top level"
        raise RegenerationError(f"{name} is invalid at {where}: {_first_line(error.message)}")


def _references(node: Any) -> list[Any]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node and not isinstance(node["$ref"], dict) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
