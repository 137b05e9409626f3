"""A changed document: its changes, the reasons to refuse it, and the files to write."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .consequences import consequences
from .contract import contract_failures, require_our_page
from .diff import ChangedText, compare, kept_by_overlays
from .download import read_source
from .errors import RegenerationError
from .overlays import Outcome
from .page import find_document
from .prune import pruned
from .servers import require_known_hosts, with_checked_servers
from .translations import superseded_descriptions, translation_actions
from .validation import load_yaml, validate
from .vendored import PUBLISHED, SOURCE, Effective, source_record, vendored_document, with_overlays


@dataclass(frozen=True)
class Update:
    """A document that differs from the vendored one, or overlays with actions to delete.

    Attributes:
        effective: The new effective document.
        report: Lines that report what changed.
        failures: A line for each reason to refuse the document.
        files: The new files of openapi/, by path in it.
        changed: Whether the document differs from the vendored one.
    """

    effective: Effective
    report: list[str]
    failures: list[str]
    files: dict[str, bytes]
    changed: bool


def read_update(
    source: str,
    openapi: Path,
    *,
    allowed_hosts: frozenset[str] = frozenset(),
    prune: bool = False,
    force: bool = False,
) -> Update:
    """Read the document of a page or file, and compare it with the vendored one.

    With `prune`, obsolete and superseded overlay actions are deleted in the returned files; with
    `force`, the page of another model is not refused. Raises RegenerationError for a source without
    a valid document, for another page and for refused servers; OSError for a file.
    """
    page, url = read_source(source)
    found = find_document(page, source)
    vendored = vendored_document(openapi)
    changed = found.content != (openapi / PUBLISHED).read_bytes()
    published = vendored
    if changed:
        published = load_yaml(found.content, found.name, found.first_line)
        validate(published, found.name)
        if not force:
            require_our_page(published, source)
        require_known_hosts(
            with_checked_servers(vendored), with_checked_servers(published), allowed_hosts
        )
    effective = with_overlays(published, openapi)
    failures = contract_failures(published) if changed else []
    report = _report(vendored, published, effective, openapi) if changed else []
    failures += map(str, effective.with_status("misfit"))
    files = _pruned_overlays(effective.outcomes, openapi) if prune else {}
    if changed:
        record = source_record(openapi, found.content, url, effective.former_models).encode()
        files |= {PUBLISHED: found.content, SOURCE: record}
    return Update(effective, report, failures, files, changed)


def notices(outcomes: list[Outcome]) -> list[str]:
    """Return the lines that report obsolete and superseded actions; translations share a line."""
    translations: dict[str, list[int]] = {}
    lines = []
    for outcome in outcomes:
        if outcome.status == "obsolete" and "text is no longer published" in outcome.reason:
            translations.setdefault(outcome.overlay, []).append(outcome.action)
        elif outcome.status != "misfit":
            lines.append(str(outcome))
    for overlay, actions in translations.items():
        numbers = ", ".join(map(str, actions))
        word, verb = ("action", "is") if len(actions) == 1 else ("actions", "are")
        lines.append(f"{overlay}, {word} {numbers} {verb} obsolete: no such text is published")
    if lines:
        lines.append("To delete these actions: scripts/regenerate --from PAGE --prune")
    return lines


def _report(
    vendored: dict[str, Any], published: dict[str, Any], new: Effective, openapi: Path
) -> list[str]:
    # What an action that does not fit would add to one of the documents is no change of EvoLink's.
    misfits = frozenset((each.overlay, each.action) for each in new.with_status("misfit"))
    old = with_overlays(vendored, openapi, misfits)
    changes, texts = compare(old.document, new.document)
    published_changes, _ = compare(with_checked_servers(vendored), with_checked_servers(published))
    # The overlays keep the security that the plugin knows, and the server would refuse it.
    refused = [each for each in published_changes if each.fact == "security" and each.breaking]
    if contract_failures(published):
        changes += refused
    lines = [*map(str, changes), *kept_by_overlays(published_changes, changes)]
    lines += consequences(old.document, new.document, changes, (old.models, new.models))
    lines += _text_lines(texts, new, openapi)
    return lines or ["the same document, written differently"]


def _text_lines(texts: list[ChangedText], new: Effective, openapi: Path) -> list[str]:
    overlays = {
        path.name: load_yaml(path.read_bytes(), path.name)
        for path in (openapi / "overlays").glob("*.yaml")
    }
    actions = translation_actions(texts, superseded_descriptions(new.outcomes, overlays))
    if actions:
        actions.insert(0, "To translate the new texts, add to overlays/1-english.yaml:")
    return [*map(str, texts), *actions]


def _pruned_overlays(outcomes: list[Outcome], openapi: Path) -> dict[str, bytes]:
    files = {}
    for name in {outcome.overlay: None for outcome in outcomes}:
        content = (openapi / "overlays" / name).read_bytes()
        of_overlay = [outcome for outcome in outcomes if outcome.overlay == name]
        shorter = pruned(content, of_overlay)
        if shorter != content:
            load_yaml(shorter, name)
            files[f"overlays/{name}"] = shorter
    return files


def require_acceptable(failures: list[str], *, force: bool) -> None:
    """Raise RegenerationError with the failures, unless forced."""
    if failures and not force:
        raise RegenerationError(
            "the document is refused and nothing was written (--force writes it nevertheless):",
            *failures,
        )
