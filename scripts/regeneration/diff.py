"""Compares two documents, and reports which changes break a program that uses the client."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .elements import Element, Key, elements_of, operation_names
from .errors import printable

LOWER = {"exclusiveMinimum", "minItems", "minLength", "minProperties", "minimum"}
UPPER = {"exclusiveMaximum", "maxItems", "maxLength", "maxProperties", "maximum"}
# Keywords that change no request that is valid, and no class of the client.
HARMLESS = {
    "callbacks", "deprecated", "extensions", "first", "jsonSchemaDialect", "openapi", "place",
    "version", "webhooks",
}  # fmt: skip
# Formats that have a Python type of their own in the client.
TYPED_FORMATS = {"binary", "date", "date-time", "uuid"}


@dataclass(frozen=True)
class Change:
    """A change of an element.

    Attributes:
        key: Key of the element.
        name: What to call the element.
        what: What changed.
        breaking: Whether a program that worked can fail, or send something else.
        fact: The keyword that changed; None for an element that was added or removed.
    """

    key: Key
    name: str
    what: str
    breaking: bool
    fact: str | None = None

    def __str__(self) -> str:
        """Return the change as a printable line."""
        return printable(f"{self.name}: {self.what}{' (breaking)' if self.breaking else ''}")


@dataclass(frozen=True)
class ChangedText:
    """A text that people read: keyword is description, summary, title, example or the like."""

    name: str
    keyword: str
    text: Any

    def __str__(self) -> str:
        """Return the text as a printable line."""
        return printable(f"{self.name}: {self.keyword} {_canonical(self.text)}")


def compare(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[Change], list[ChangedText]]:
    """Return the changes between two valid documents, and the texts that are new or changed.

    Children of an added or removed element are not listed.
    """
    names = operation_names(old)
    before, after = elements_of(old), elements_of(new, names)
    changes: list[Change] = []
    texts: list[ChangedText] = []
    for key, element in before.items():
        if key not in after:
            if _is_listed(element, before, after):
                changes.append(Change(key, element.name, "removed", _breaks_removed(key)))
            continue
        now = after[key]
        changes += (Change(key, element.name, *found) for found in _differences(element, now))
    for key, now in after.items():
        element = before.get(key, Element(""))
        texts += [
            ChangedText(now.name, keyword, now.texts[keyword])
            for keyword in now.texts
            if element.texts.get(keyword) != now.texts[keyword]
        ]
        if key not in before and _is_listed(now, before, after):
            what = f"added, {now.description}" if now.description else "added"
            changes.append(Change(key, now.name, what, _breaks_added(now)))
    return changes, texts


def kept_by_overlays(published: list[Change], effective: list[Change]) -> list[str]:
    """Return a line for each published change that changes nothing for users of the client."""
    keys = {change.key for change in effective}
    facts = {(change.key, change.fact) for change in effective}
    return [
        printable(f"{change.name}: {change.what}; the client stays as it was")
        for change in published
        if change.key not in keys
        or (change.fact and facts.isdisjoint({(change.key, change.fact), (change.key, None)}))
    ]


def _is_listed(element: Element, before: dict[Key, Element], after: dict[Key, Element]) -> bool:
    """Return whether the parent is in both documents, with a type in common."""
    if element.parent is None:
        return True
    old, new = before.get(element.parent), after.get(element.parent)
    if old is None or new is None or element.variant:
        return False
    types, now = old.facts.get("type", []), new.facts.get("type", [])
    return types == now or not set(types).isdisjoint(now)


def _breaks_removed(key: Key) -> bool:
    # Programs depend on the fields of an error response, not on its status.
    if key[0] == "operation" and key[2:3] == ("response",) and "field" not in key:
        return key[3].startswith("2")
    return True


def _breaks_added(element: Element) -> bool:
    # The client sends the default of a request field.
    return element.sent and (element.facts.get("required") is True or "default" in element.facts)


def _differences(old: Element, new: Element) -> Iterator[tuple[str, bool, str]]:
    for keyword in {**old.facts, **new.facts}:
        was, now = old.facts.get(keyword), new.facts.get(keyword)
        if _canonical(was) != _canonical(now):
            yield (*_difference(keyword, was, now, old, new), keyword)


def _difference(keyword: str, was: Any, now: Any, old: Element, new: Element) -> tuple[str, bool]:
    """Return how the fact changed, and whether that breaks."""
    if keyword == "operationId":
        return f"renamed to {now}", True
    if keyword == "place":
        return f"moved to {now}, was {was}", False
    if keyword == "extensions":
        return "changed; they are not used", False
    if keyword == "servers":
        what = f"servers {_show(now)}, was {_show(was)}; the client uses those of the document"
        return what, True
    if keyword == "type":
        return _type_difference(old, new)
    if keyword == "enum":
        return _enum_difference(was, now, new)
    if keyword == "required":
        what = "required, was optional" if now else "optional, was required"
        return what, new.sent if now else new.received
    return f"{keyword} {_show(now)}, was {_show(was)}", _breaks(keyword, was, now, new)


def _type_difference(old: Element, new: Element) -> tuple[str, bool]:
    was, now = old.facts["type"], new.facts["type"]
    what = f"type {' or '.join(now) or 'anything'}, was {' or '.join(was) or 'anything'}"
    # Moved to a schema of its own, or back, a type is still the same JSON.
    if not (set(now) - set(was)) & set(new.json_types) or not (
        (set(was) - set(now)) & set(old.json_types)
    ):
        was = [each for name in was for each in old.json_types.get(name) or [name]]
        now = [each for name in now for each in new.json_types.get(name) or [name]]
    narrower, wider = not _covers(now, was), not _covers(was, now)
    return what, (new.sent and narrower) or (new.received and wider)


def _enum_difference(was: Any, now: Any, element: Element) -> tuple[str, bool]:
    if was is None or now is None:
        return f"enum {_show(now)}, was {_show(was)}", element.sent and was is None
    before, after = ({_canonical(value): _show(value) for value in values} for values in (was, now))
    lost = [shown for value, shown in before.items() if value not in after]
    gained = [shown for value, shown in after.items() if value not in before]
    what = [f"loses {', '.join(lost)}"] if lost else []
    what += [f"gains {', '.join(gained)}"] if gained else []
    return f"enum {' and '.join(what) or 'in another order'}", element.sent and bool(lost)


def _breaks(keyword: str, was: Any, now: Any, element: Element) -> bool:
    if keyword in HARMLESS:
        return False
    if keyword == "default":
        return element.sent  # The client sends it.
    if keyword in LOWER | UPPER:
        narrower = now is not None and (
            was is None or (now > was if keyword in LOWER else now < was)
        )
        return element.sent and narrower
    if keyword == "format":
        return was in TYPED_FORMATS or now in TYPED_FORMATS
    if not (element.sent or element.received):
        return True
    return element.sent and now is not None


def _covers(wide: list[str], narrow: list[str]) -> bool:
    """Return whether every value of the narrow types is one of the wide types."""
    known = {*wide, "integer"} if "number" in wide else set(wide)
    return not wide or (bool(narrow) and known.issuperset(narrow))


def _show(value: Any) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return "none" if value is None else text if len(text) <= 200 else text[:199] + "…"


def _canonical(value: Any) -> str:
    # In Python True is 1.
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
