"""OpenAPI Overlay 1.0: actions that update or remove what a JSONPath (RFC 9535) selects.

The field x-role of an overlay determines what its actions do where EvoLink publishes the same:

translation  replaces a text; obsolete when the text is no longer published.
correction   matches a defect; obsolete when the element is there without the defect, and with the
             null that the update allows.
extension    adds what is absent; superseded where EvoLink publishes it. Only null is added to that,
             where the update allows null and EvoLink does not.
pin          always applies; its lists replace those of the document.

Without x-role, an action has to match, as Overlay 1.0 has it.
"""

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from jsonpath import JSONPathEnvironment, JSONPathError, JSONPathMatch
from jsonpath.selectors import Filter

from .elements import VARIANTS
from .errors import RegenerationError
from .references import leads_somewhere, references_in, resolve

ROLES = ("translation", "correction", "extension", "pin")
TEXTS = ("description", "example", "examples", "summary", "title")
_JSONPATH = JSONPathEnvironment(strict=True)

Status = Literal["misfit", "obsolete", "superseded"]


@dataclass(frozen=True)
class Outcome:
    """The result of an action that was not simply applied.

    Attributes:
        status: misfit, when the document lacks what the action changes or relies on; obsolete, when
            the element no longer needs the action; superseded, when EvoLink publishes what the
            action adds.
        overlay: File name of the overlay.
        action: Number of the action, from 1.
        reason: What was found in the document.
        key: Of a superseded action, the key of its update; None for the other statuses.
    """

    status: Status
    overlay: str
    action: int
    reason: str
    key: str | None = None

    def __str__(self) -> str:
        """Return the outcome on one line."""
        where = f"{self.overlay}, action {self.action}"
        return f"{where}: {self.reason}" if self.status == "misfit" else f"{where} is {self.reason}"


def apply_overlay(
    document: dict[str, Any],
    overlay: dict[str, Any],
    name: str,
    left_out: frozenset[tuple[str, int]] = frozenset(),
) -> list[Outcome]:
    """Apply the actions to the document, in place and in order; return the outcomes to report.

    `left_out` has the actions that are not applied, by overlay and number. Raises RegenerationError
    for an overlay that is malformed.
    """
    actions, role = overlay.get("actions"), overlay.get("x-role")
    if not isinstance(actions, list):
        raise RegenerationError(f"{name}: actions must be a list")
    if role is not None and role not in ROLES:
        raise RegenerationError(f"{name}: x-role must be one of {', '.join(ROLES)}")
    outcomes = []
    for number, action in enumerate(actions, start=1):
        where = f"{name}, action {number}"
        _require_action(action, where)
        if (name, number) in left_out:
            continue
        try:
            outcomes += _Action(action, where, name, number).apply(document, role)
        except _MisfitError as misfit:
            outcomes.append(_misfit(name, number, action, str(misfit)))
    return outcomes


def lost_references(
    document: dict[str, Any],
    overlay: dict[str, Any],
    name: str,
    outcomes: list[Outcome],
    left_out: frozenset[tuple[str, int]],
) -> list[Outcome]:
    """Return a misfit for each applied action whose update refers to what the document lacks.

    The document, `outcomes` and `left_out` are those of apply_overlay.
    """
    misfits = []
    for number, action in enumerate(overlay["actions"], start=1):
        mine = [each for each in outcomes if (each.overlay, each.action) == (name, number)]
        if (name, number) in left_out or any(each.status != "superseded" for each in mine):
            continue
        update = action.get("update")
        if isinstance(update, dict):
            superseded = {each.key for each in mine}
            update = {key: value for key, value in update.items() if key not in superseded}
        lost = [each for each in references_in(update) if not leads_somewhere(document, each)]
        if lost:
            misfits.append(_misfit(name, number, action, f"its $ref {lost[0]} leads nowhere"))
    return misfits


def _misfit(overlay: str, number: int, action: dict[str, Any], reason: str) -> Outcome:
    description = f"({action['description']}) " if "description" in action else ""
    return Outcome("misfit", overlay, number, f"{description}{reason}")


def _require_action(action: Any, where: str) -> None:
    if not (isinstance(action, dict) and isinstance(action.get("target"), str)):
        raise RegenerationError(f"{where}: an action needs a target, a JSONPath")
    if action.get("remove") is not True and "update" not in action:
        raise RegenerationError(f"{where}: an action needs an update, or remove: true")


class _MisfitError(Exception):
    """Raised for an action that does not fit the document, with the reason."""


class _Action:
    def __init__(self, action: dict[str, Any], where: str, overlay: str, number: int) -> None:
        self.target: str = action["target"]
        self.update = None if action.get("remove") is True else action["update"]
        self.where = where
        self.overlay = overlay
        self.number = number

    def apply(self, document: dict[str, Any], role: str | None) -> list[Outcome]:
        """Apply the action in place; return its outcomes. Raises _MisfitError."""
        matches = self._select(document, self.target)
        if not matches:
            return self._nothing_matched(document, role)
        if self.update is None:
            _remove(matches, self.where)
            return []
        for match in matches:
            _require_updatable(match, self.update, deep=role != "extension")
        if role == "extension":
            return [outcome for match in matches for outcome in self._fill(document, match)]
        for match in matches:
            _update(match, self.update, replace_lists=role == "pin")
        return []

    def _select(self, document: dict[str, Any], target: str) -> list[JSONPathMatch]:
        try:
            matches = list(_JSONPATH.finditer(target, document))
        except JSONPathError as error:
            problem = f"{self.where}: {target} is not a JSONPath: {error.message}"
            raise RegenerationError(problem) from error
        # A path can select a node twice; it is changed once.
        return list({match.parts: match for match in matches}.values())

    def _nothing_matched(self, document: dict[str, Any], role: str | None) -> list[Outcome]:
        """Return the outcome of an action that selects nothing. Raises _MisfitError."""
        if role == "translation":
            return [self._obsolete("its text is no longer published")]
        if role == "pin" and self.update is None:
            return []
        if role == "correction":
            # The place of the defect: the element without the filters, the parent of a removal.
            elements = self._select(document, self._unfiltered(without_last=self.update is None))
            references = [match for match in elements if _is_reference(match.obj)]
            if references and len(references) == len(elements):
                raise _MisfitError(_behind_reference(references[0]))
            self._require_null(document, elements)
            if elements:
                return [self._obsolete(self._without_defect(elements))]
        raise _MisfitError(f"{self.target} matches nothing")

    def _require_null(self, document: dict[str, Any], elements: list[JSONPathMatch]) -> None:
        """Raise _MisfitError where the update allows null and the published schema does not."""
        if _names_null(document, self.update):
            for match in elements:
                if not _allows_null(document, match.obj):
                    raise _MisfitError(
                        f"{match.path} is published as {_show(match.obj)}, without the null of "
                        f"{_show(self.update)}"
                    )

    def _obsolete(self, reason: str) -> Outcome:
        return Outcome("obsolete", self.overlay, self.number, f"obsolete: {reason}")

    def _without_defect(self, elements: list[JSONPathMatch]) -> str:
        """Return why the action is obsolete, with both values where there is one element."""
        if self.update is None or len(elements) > 1:
            return f"{self.target} is no longer published"
        theirs: Any = elements[0].obj
        if isinstance(theirs, dict) and (shared := theirs.keys() & self.update):
            theirs = {key: theirs[key] for key in shared}
        return f"{elements[0].path} is published as {_show(theirs)}; ours is {_show(self.update)}"

    def _unfiltered(self, *, without_last: bool) -> str:
        segments = list(_JSONPATH.compile(self.target).segments)  # type: ignore[union-attr]
        if without_last:
            segments.pop()
        texts = []
        for segment in segments:
            text = str(segment)
            if any(isinstance(selector, Filter) for selector in segment.selectors):
                text = "..[*]" if text.startswith("..") else "[*]"
            texts.append(text)
        return "$" + "".join(texts)

    def _fill(self, document: dict[str, Any], match: JSONPathMatch) -> list[Outcome]:
        """Add the absent keys of the update to the object; leave EvoLink's as they are."""
        node: Any = match.obj
        outcomes = []
        for key, ours in self.update.items():  # type: ignore[union-attr]
            if key not in node:
                node[key] = deepcopy(ours)
                continue
            theirs = node[key]
            lacks_null = isinstance(theirs, dict) and not _allows_null(document, theirs)
            if lacks_null and _names_null(document, ours):
                node[key] = _with_null(theirs)
                continue
            if _unite(theirs, ours) and _show(_without_enum(theirs)) == _show(_without_enum(ours)):
                continue
            reason = f"superseded: EvoLink publishes {match.path}['{key}']"
            if _show(theirs) != _show(ours):
                reason += f" as {_show(theirs)}, which is used; ours is {_show(ours)}"
            outcomes.append(Outcome("superseded", self.overlay, self.number, reason, key))
        return outcomes


def _unite(theirs: Any, ours: Any) -> bool:
    """Add our values to a published list of values; return whether that added any."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        theirs, ours = theirs.get("enum"), ours.get("enum")
    if not (isinstance(theirs, list) and isinstance(ours, list)):
        return False
    new = [value for value in ours if value not in theirs]
    theirs.extend(deepcopy(new))
    return bool(new)


def _without_enum(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key != "enum"}
    return [] if isinstance(value, list) else value


def _show(value: Any) -> str:
    """Return the value as JSON without the texts that people read, cut to 200 characters."""
    text = json.dumps(_without_texts(value), ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 200 else text[:199] + "…"


def _without_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_texts(item) for item in value]
    if not isinstance(value, dict):
        return value
    # A field can have the name of a text; its value is then an object.
    return {
        key: _without_texts(item)
        for key, item in value.items()
        if key not in TEXTS or (isinstance(item, dict) and key != "example")
    }


def _allows_null(document: dict[str, Any], schema: Any, depth: int = 0) -> bool:
    """Return whether null fits the schema; the nullable of OpenAPI 3.0 counts."""
    if not isinstance(schema, dict) or depth > 10:
        return schema is True
    if _is_reference(schema) and not leads_somewhere(document, schema["$ref"]):
        return False  # Reported by lost_references.
    schema = resolve(document, schema)
    if schema.get("nullable") is True:
        return True
    types = schema.get("type", "null")
    if "null" not in types or None not in schema.get("enum", [schema.get("const")]):
        return False

    def allows(part: Any) -> bool:
        return _allows_null(document, part, depth + 1)

    return all(map(allows, schema.get("allOf", []))) and all(
        any(map(allows, schema[keyword])) for keyword in VARIANTS if keyword in schema
    )


def _names_null(document: dict[str, Any], schema: Any) -> bool:
    """Return whether the schema names the types of its values, null among them."""
    has_types = isinstance(schema, dict) and bool(schema.keys() & {"type", *VARIANTS})
    return has_types and _allows_null(document, schema)


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null besides."""
    if isinstance(schema.get("type"), str) and schema.keys().isdisjoint(
        {"$ref", "allOf", "const", "enum", *VARIANTS}
    ):
        return {**schema, "type": [schema["type"], "null"]}
    texts = {key: schema[key] for key in TEXTS if key in schema}
    rest = {key: value for key, value in schema.items() if key not in texts}
    return {**texts, "oneOf": [rest, {"type": "null"}]}


def _is_reference(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("$ref"), str)


def _behind_reference(match: JSONPathMatch) -> str:
    node: Any = match.obj
    return f"{match.path} is a $ref to {node['$ref']}: change what it refers to"


def _require_updatable(match: JSONPathMatch, update: Any, *, deep: bool) -> None:
    """Raise _MisfitError unless the node, and with deep what is merged in it, can be updated."""
    node: Any = match.obj
    if isinstance(node, list):
        return
    if not isinstance(node, dict):
        raise _MisfitError(f"{match.path} is neither an object nor a list: it cannot be updated")
    if not isinstance(update, dict):
        raise _MisfitError(f"{match.path} is an object: its update must be one")
    if _is_reference(node):
        raise _MisfitError(_behind_reference(match))
    if deep:
        _require_no_reference(node, update, str(match.path))


def _require_no_reference(node: dict[str, Any], update: dict[str, Any], path: str) -> None:
    if _is_reference(node):
        problem = f"{path} is a $ref to {node['$ref']}: change what it refers to"
        raise _MisfitError(problem)
    for key, value in update.items():
        old = node.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _require_no_reference(old, value, f"{path}['{key}']")


def _remove(matches: Iterable[JSONPathMatch], where: str) -> None:
    # Highest index first, so that the other items of a list keep their index.
    for match in sorted(matches, key=_index, reverse=True):
        if match.parent is None:
            raise RegenerationError(f"{where}: the document itself cannot be removed")
        parent: Any = match.parent.obj
        del parent[match.parts[-1]]


def _index(match: JSONPathMatch) -> int:
    last = match.parts[-1] if match.parts else None
    return last if isinstance(last, int) else -1


def _update(match: JSONPathMatch, update: Any, *, replace_lists: bool) -> None:
    node: Any = match.obj
    if isinstance(node, list):
        _extend(node, [update])
    else:
        _merge(node, update, replace_lists=replace_lists)


def _merge(node: dict[str, Any], update: dict[str, Any], *, replace_lists: bool) -> None:
    """Merge the update into the node: objects key by key, lists as a union, the rest replaced."""
    for key, value in update.items():
        old = node.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value, replace_lists=replace_lists)
        elif isinstance(old, list) and isinstance(value, list) and not replace_lists:
            _extend(old, value)
        else:
            node[key] = deepcopy(value)


def _extend(node: list[Any], items: list[Any]) -> None:
    node.extend(deepcopy([item for item in items if item not in node]))
