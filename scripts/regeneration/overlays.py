"""OpenAPI Overlay 1.0: actions that update or remove what a JSONPath (RFC 9535) selects."""

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from jsonpath import JSONPathEnvironment, JSONPathError, JSONPathMatch

from .errors import RegenerationError

_JSONPATH = JSONPathEnvironment(strict=True)


def apply_overlay(document: dict[str, Any], overlay: dict[str, Any], name: str) -> list[str]:
    """Apply the overlay's actions to the document, in place and in order.

    Returns a line for each action that does not fit, with the overlay's name and the action's
    description: its target matches nothing, or cannot take the update. Raises RegenerationError for
    what is not an action.
    """
    actions = overlay.get("actions")
    if not (isinstance(actions, list) and actions):
        raise RegenerationError(f"{name}: actions must be a list, and not empty")
    misfits = []
    for number, action in enumerate(actions, start=1):
        where = f"{name}, action {number}"
        if not (isinstance(action, dict) and isinstance(action.get("target"), str)):
            raise RegenerationError(f"{where}: an action needs a target, a JSONPath")
        remove = action.get("remove") is True
        if not remove and "update" not in action:
            raise RegenerationError(f"{where}: an action needs an update, or remove: true")
        matches = _select(document, action["target"], where)
        try:
            if not matches:
                raise _MisfitError(f"{action['target']} matches nothing")
            if remove:
                _remove(matches, where)
            else:
                for match in matches:
                    _update(match, action["update"])
        except _MisfitError as misfit:
            said = f" ({action['description']})" if "description" in action else ""
            misfits.append(f"{where}{said}: {misfit}")
    return misfits


class _MisfitError(Exception):
    """How an action does not fit the document."""


def _select(document: dict[str, Any], target: str, where: str) -> list[JSONPathMatch]:
    try:
        matches = list(_JSONPATH.finditer(target, document))
    except JSONPathError as error:
        problem = f"{where}: {target} is not a JSONPath: {error.message}"
        raise RegenerationError(problem) from error
    # A path can select a node twice; it is acted on once.
    return list({match.parts: match for match in matches}.values())


def _remove(matches: Iterable[JSONPathMatch], where: str) -> None:
    # Highest index first, so that removing one item of a list leaves the others where they were.
    for match in sorted(matches, key=_index, reverse=True):
        if match.parent is None:
            raise RegenerationError(f"{where}: the whole document cannot be removed")
        parent: Any = match.parent.obj
        del parent[match.parts[-1]]


def _index(match: JSONPathMatch) -> int:
    last = match.parts[-1] if match.parts else None
    return last if isinstance(last, int) else -1


def _update(match: JSONPathMatch, update: Any) -> None:
    node: Any = match.obj
    if isinstance(node, list):
        _extend(node, [update], str(match.path))
    elif not isinstance(node, dict):
        raise _MisfitError(f"{match.path} is neither an object nor a list: it cannot be updated")
    elif not isinstance(update, dict):
        raise _MisfitError(f"{match.path} is an object: its update must be one")
    else:
        _merge(node, update, str(match.path))


def _merge(node: dict[str, Any], update: dict[str, Any], path: str) -> None:
    """Merge the update into the node: objects key by key, lists end to end, the rest replaced."""
    for key, value in update.items():
        old = node.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value, f"{path}['{key}']")
        elif isinstance(old, list) and isinstance(value, list):
            _extend(old, value, f"{path}['{key}']")
        else:
            node[key] = deepcopy(value)


def _extend(node: list[Any], items: list[Any], path: str) -> None:
    # EvoLink now publishes what the overlay adds; twice in a list it would be invalid, or a lie.
    twice = [json.dumps(item, ensure_ascii=False) for item in items if item in node]
    if twice:
        raise _MisfitError(f"{path} already has {', '.join(twice)}")
    node.extend(deepcopy(items))
