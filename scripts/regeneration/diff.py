"""What changed between two documents, in words, and whether it breaks those who use the client."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .elements import Key, Part, parts_of
from .errors import printable

LOWER = {"exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum"}
UPPER = {"exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum"}


@dataclass
class Change:
    """One change. It breaks when a program that was right before can now be wrong."""

    key: Key
    name: str
    what: str
    breaking: bool
    fact: str | None = None

    def __str__(self) -> str:
        """Return the change as a line that is fit for a terminal."""
        return printable(f"{self.name}: {self.what}{' (breaking)' if self.breaking else ''}")


def compare(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[Change], int]:
    """Return the changes between two valid documents, and how many texts changed.

    What is within a part that came or went is not told again.
    """
    before, after = parts_of(old), parts_of(new)
    changes: list[Change] = []
    texts = 0
    for key, part in before.items():
        if key not in after:
            if _stands(part, before, after):
                changes.append(Change(key, part.name, "removed", _breaks_removed(key)))
            continue
        now = after[key]
        changes += (Change(key, part.name, *told) for told in _differences(part, now))
        names = part.texts.keys() | now.texts.keys()
        texts += sum(part.texts.get(name) != now.texts.get(name) for name in names)
    for key, part in after.items():
        if key not in before and _stands(part, before, after):
            what = f"added, {part.said}" if part.said else "added"
            changes.append(Change(key, part.name, what, _breaks_added(part)))
    return changes, texts


def overlaid(
    changes: list[Change], published: dict[str, Any], effective: dict[str, Any]
) -> list[str]:
    """Return a line for each changed part of which the overlays make something else."""
    theirs, ours = parts_of(published), parts_of(effective)
    names = {change.name: None for change in changes if _is_overlaid(change, theirs, ours)}
    return [printable(f"{name} changed, and an overlay changes it too") for name in names]


def _is_overlaid(change: Change, theirs: dict[Key, Part], ours: dict[Key, Part]) -> bool:
    nothing = Part("")
    if change.fact is not None:
        published = theirs[change.key].facts.get(change.fact)
        return ours.get(change.key, nothing).facts.get(change.fact) != published
    return any(
        ours.get(key, nothing).facts != theirs.get(key, nothing).facts
        for key in {**theirs, **ours}
        if key[: len(change.key)] == change.key
    )


def _stands(part: Part, before: dict[Key, Part], after: dict[Key, Part]) -> bool:
    """Return whether what the part is within is in both documents and of a type in common."""
    if part.parent is None:
        return True
    old, new = before.get(part.parent), after.get(part.parent)
    if old is None or new is None or part.variant:
        return False
    types, now = old.facts.get("type", []), new.facts.get("type", [])
    return types == now or not set(types).isdisjoint(now)


def _breaks_removed(key: Key) -> bool:
    # An error status, or what it brings; a field of it is one that programs read.
    if key[0] == "operation" and key[2:3] == ("response",) and "field" not in key:
        return key[3].startswith("2")
    return True


def _breaks_added(part: Part) -> bool:
    return part.sent and part.facts.get("required") is True


def _differences(old: Part, new: Part) -> Iterator[tuple[str, bool, str]]:
    for keyword in {**old.facts, **new.facts}:
        was, now = old.facts.get(keyword), new.facts.get(keyword)
        if _canonical(was) != _canonical(now):
            yield (*_difference(keyword, was, now, new), keyword)


def _difference(keyword: str, was: Any, now: Any, part: Part) -> tuple[str, bool]:
    """Return how the fact changed, and whether that breaks."""
    if keyword == "operationId":
        return f"renamed to {now}", True
    if keyword == "type":
        narrower, wider = not _covers(now, was), not _covers(was, now)
        return (
            f"type {' or '.join(now) or 'anything'}, was {' or '.join(was) or 'anything'}",
            (part.sent and narrower) or (part.received and wider),
        )
    if keyword == "enum":
        return _enum_difference(was, now, part)
    if keyword == "required":
        what = "required, was optional" if now else "optional, was required"
        return what, part.sent if now else part.received
    return f"{keyword} {_told(now)}, was {_told(was)}", _breaks(keyword, was, now, part)


def _enum_difference(was: Any, now: Any, part: Part) -> tuple[str, bool]:
    if was is None or now is None:
        return f"enum {_told(now)}, was {_told(was)}", part.sent and was is None
    before, after = ({_canonical(value): _told(value) for value in values} for values in (was, now))
    lost = [told for value, told in before.items() if value not in after]
    gained = [told for value, told in after.items() if value not in before]
    what = [f"loses {', '.join(lost)}"] if lost else []
    what += [f"gains {', '.join(gained)}"] if gained else []
    return f"enum {' and '.join(what) or 'in another order'}", part.sent and bool(lost)


def _breaks(keyword: str, was: Any, now: Any, part: Part) -> bool:
    if keyword in {"default", "deprecated", "first", "openapi", "version"} or keyword.startswith(
        "x-"
    ):
        return False
    if keyword in LOWER | UPPER:
        narrower = now is not None and (
            was is None or (now > was if keyword in LOWER else now < was)
        )
        return part.sent and narrower
    if keyword == "format" or not (part.sent or part.received):
        return True
    return part.sent and now is not None


def _covers(wide: list[str], narrow: list[str]) -> bool:
    """Return whether every value of the narrow types is one of the wide types."""
    known = {*wide, "integer"} if "number" in wide else set(wide)
    return not wide or (bool(narrow) and known.issuperset(narrow))


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return "none" if value is None else text if len(text) <= 200 else text[:199] + "…"


def _canonical(value: Any) -> str:
    # In Python True is 1.
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
