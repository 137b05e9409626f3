"""The vendored document as EvoLink published it, and the effective one, with our overlays."""

import hashlib
import json
import tomllib
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import RegenerationError, one_line
from .overlays import apply_overlay
from .validation import load_yaml, validate

PUBLISHED = "gemini-3.5-flash.yaml"
SOURCE = "SOURCE.toml"
# Overlays that only translate: a changed text stays as published and is told, it stops nobody.
TRANSLATIONS = {"1-english.yaml"}


def effective_document(openapi: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the document to generate from, and the warnings, one line each.

    `openapi` is the folder with the published document, SOURCE.toml and overlays/. Raises what
    vendored_document and with_overlays raise.
    """
    return with_overlays(vendored_document(openapi), openapi)


def vendored_document(openapi: Path) -> dict[str, Any]:
    """Return the document as published.

    Raises RegenerationError for one that is not what SOURCE.toml says, not YAML, not OpenAPI 3.1
    or invalid; OSError for a file that cannot be read.
    """
    published = (openapi / PUBLISHED).read_bytes()
    expected = _recorded(openapi)["sha256"]
    document = load_yaml(published, PUBLISHED)
    if hashlib.sha256(published).hexdigest() != expected:
        raise RegenerationError(
            f"{PUBLISHED} is not the file {SOURCE} describes (its sha256 differs): "
            "it stays as published, changes go into an overlay"
        )
    validate(document, PUBLISHED)
    return document


def with_overlays(document: dict[str, Any], openapi: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a copy with the overlays applied, and a warning for each text without translation.

    Raises RegenerationError when actions no longer fit, naming each of them, and for a result that
    is invalid; OSError for a file that cannot be read.
    """
    document = deepcopy(document)
    overlays = sorted((openapi / "overlays").glob("*.yaml"))
    if not overlays:
        raise RegenerationError(f"{openapi / 'overlays'} holds no overlay")
    misfits = []
    warnings = []
    for path in overlays:
        problems = apply_overlay(document, load_yaml(path.read_bytes(), path.name), path.name)
        if path.name in TRANSLATIONS:
            warnings += [f"{problem}; the published text stays" for problem in problems]
        else:
            misfits += problems
    if len(misfits) > 1:
        misfits.insert(0, f"{len(misfits)} actions no longer fit the document:")
    if misfits:
        raise RegenerationError(*misfits)
    validate(document, "the document with its overlays")
    return document, warnings


def source_record(openapi: Path, document: bytes, address: str | None) -> str:
    """Return the SOURCE.toml of a document taken today (UTC) from the page at the address.

    With None, for a document that came as a file, the recorded address stays: it is then another
    copy of that page.
    """
    return (
        f"# Where {PUBLISHED} came from. "
        "scripts/regenerate refuses a file whose sha256 differs.\n"
        # A JSON string is a TOML string.
        f"address = {json.dumps(address or _recorded(openapi).get('address', ''))}\n"
        f"date = {datetime.now(UTC).date()}\n"
        f'sha256 = "{hashlib.sha256(document).hexdigest()}"\n'
    )


def _recorded(openapi: Path) -> dict[str, Any]:
    """Return what SOURCE.toml holds. Raises RegenerationError when it has no sha256."""
    try:
        record = tomllib.loads((openapi / SOURCE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RegenerationError(f"{SOURCE} is not TOML: {one_line(error)}") from error
    if not isinstance(record.get("sha256"), str):
        raise RegenerationError(f"{SOURCE} holds no sha256")
    return record
