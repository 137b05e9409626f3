"""The vendored document as EvoLink published it, and the effective document: with our overlays."""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from .contract import model_names
from .errors import RegenerationError, one_line
from .open_values import open_response_values
from .overlays import Outcome, apply_overlay, lost_references
from .servers import with_checked_servers
from .validation import load_yaml, validate

PUBLISHED = "gemini-3.5-flash.yaml"
SOURCE = "SOURCE.toml"


@dataclass(frozen=True)
class Effective:
    """The document to generate from.

    Attributes:
        document: The published document with the overlays applied.
        models: Names of the models that the published document lists.
        former_models: Names of the models that an earlier document listed and this one does not.
        outcomes: What is to be reported of overlay actions; see Outcome.
    """

    document: dict[str, Any]
    models: tuple[str, ...]
    former_models: tuple[str, ...]
    outcomes: list[Outcome]

    def with_status(self, status: str) -> list[Outcome]:
        """Return the outcomes that have the status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    def require_fit(self) -> None:
        """Raise RegenerationError when an action does not fit the document, naming each."""
        misfits = [str(outcome) for outcome in self.with_status("misfit")]
        if len(misfits) > 1:
            misfits.insert(0, f"{len(misfits)} actions do not fit the document:")
        if misfits:
            raise RegenerationError(*misfits)


def vendored_document(openapi: Path) -> dict[str, Any]:
    """Return the document as published.

    Raises RegenerationError for one that is not what SOURCE.toml records, not YAML, not OpenAPI 3.1
    or invalid; OSError for a file that cannot be read.
    """
    published = (openapi / PUBLISHED).read_bytes()
    expected = _recorded(openapi)["sha256"]
    document = load_yaml(published, PUBLISHED)
    if hashlib.sha256(published).hexdigest() != expected:
        raise RegenerationError(
            f"{PUBLISHED} is not the file that {SOURCE} records (its sha256 differs): restore it; "
            "changes belong in an overlay"
        )
    validate(document, PUBLISHED)
    return document


def with_overlays(
    document: dict[str, Any], openapi: Path, left_out: frozenset[tuple[str, int]] = frozenset()
) -> Effective:
    """Return the effective document of a valid published one.

    Actions that do not fit are left out and reported; `left_out` has actions that are left out
    besides, by overlay and number. Raises RegenerationError for a malformed
    overlay, for refused servers and for a result that is invalid; OSError for a file that cannot be
    read.
    """
    overlays = sorted((openapi / "overlays").glob("*.yaml"))
    if not overlays:
        raise RegenerationError(f"{openapi / 'overlays'} holds no overlay")
    contents = tuple((path.name, path.read_bytes()) for path in overlays)
    text, outcomes = _applied(json.dumps(document), contents, left_out)
    models = tuple(model_names(document))
    return Effective(json.loads(text), models, _former_models(openapi, models), list(outcomes))


def _former_models(openapi: Path, models: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that SOURCE.toml and the vendored document hold and `models` does not."""
    vendored = load_yaml((openapi / PUBLISHED).read_bytes(), PUBLISHED)
    known = [*_recorded(openapi)["former_models"], *model_names(vendored)]
    return tuple(dict.fromkeys(name for name in known if name not in models))


@cache
def _applied(
    published: str,
    overlays: tuple[tuple[str, bytes], ...],
    left_out: frozenset[tuple[str, int]],
) -> tuple[str, tuple[Outcome, ...]]:
    """Return the effective document as JSON, and the outcomes of the actions."""
    document = with_checked_servers(json.loads(published))
    outcomes: list[Outcome] = []
    for name, content in overlays:
        outcomes += apply_overlay(document, load_yaml(content, name), name, left_out)
    lost = [
        misfit
        for name, content in overlays
        for misfit in lost_references(document, load_yaml(content, name), name, outcomes, left_out)
    ]
    if lost:
        more = frozenset((misfit.overlay, misfit.action) for misfit in lost)
        text, others = _applied(published, overlays, left_out | more)
        return text, tuple(sorted((*lost, *others), key=lambda each: (each.overlay, each.action)))
    try:
        validate(document, "the document with its overlays")
    except RegenerationError as error:
        misfits = [str(outcome) for outcome in outcomes if outcome.status == "misfit"]
        raise RegenerationError(*misfits, *error.args) from error
    open_response_values(document)
    schemas = document.get("components", {}).get("schemas", {})
    # In an order of its own, so that the order in which EvoLink publishes them changes nothing.
    document.setdefault("components", {})["schemas"] = dict(sorted(schemas.items()))
    return json.dumps(document), tuple(outcomes)


def source_record(
    openapi: Path, document: bytes, url: str | None, former_models: tuple[str, ...]
) -> str:
    """Return the SOURCE.toml of a document taken today (UTC) from the page at the URL.

    The URL is None for a document that came as a file, which is another copy of the recorded page.
    """
    record = _recorded(openapi)
    return (
        f"# Where {PUBLISHED} came from. "
        "scripts/regenerate refuses a file whose sha256 differs.\n"
        f"url = {_toml(url or record.get('url', ''))}\n"
        f"date = {datetime.now(UTC).date()}\n"
        f'sha256 = "{hashlib.sha256(document).hexdigest()}"\n'
        + (f"former_models = {_toml(former_models)}\n" if former_models else "")
    )


def _toml(value: str | tuple[str, ...]) -> str:
    """Return the text or texts as TOML: JSON without surrogates, and with DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _recorded(openapi: Path) -> dict[str, Any]:
    """Return what SOURCE.toml holds, with former_models. Raises RegenerationError."""
    try:
        record = tomllib.loads((openapi / SOURCE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RegenerationError(f"{SOURCE} is not TOML: {one_line(error)}") from error
    if not isinstance(record.get("sha256"), str):
        raise RegenerationError(f"{SOURCE} holds no sha256")
    names = record.setdefault("former_models", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise RegenerationError(f"{SOURCE}: former_models is not a list of names")
    return record
