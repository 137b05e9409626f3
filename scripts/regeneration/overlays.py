"""OpenAPI Overlay 1.0: actions that update or remove what a JSONPath (RFC 9535) selects."""

from copy import deepcopy
from typing import Any

from jsonpath import JSONPathEnvironment, JSONPathError

from .errors import RegenerationError

_JSONPATH = JSONPathEnvironment(strict=True)


def apply_overlay(document: dict[str, Any], overlay: dict[str, Any], name: str) -> list[str]:
    """Apply the overlay's actions to the document, in place and in order.

    Returns a line for each action whose target matched nothing, with the overlay's name, the
    action's description and its target. Raises RegenerationError for what is not an action.
    """
    unmatched = []
    for number, action in enumerate(overlay.get("actions") or [], start=1):
        where = f"{name}, action {number}"
        if not isinstance(action, dict) or "target" not in action:
            raise RegenerationError(f"{where}: an action needs a target")
        remove = action.get("remove") is True
        if not remove and "update" not in action:
            raise RegenerationError(f"{where}: an action needs an update, or remove: true")
        try:
            matches = list(_JSONPATH.finditer(action["target"], document))
        except JSONPathError as error:
            raise RegenerationError(
                f"{where}: {action['target']} is no JSONPath: {error}"
            ) from error
        if not matches:
            description = action.get("description") or "no description"
            unmatched.append(f"{where} ({description}): {action['target']} matches nothing")
        # Last first, so that removing one item of a list leaves the others where they were.
        for match in reversed(matches):
            if not remove:
                _merge(match.obj, action["update"], where)
            elif match.parent is None:
                raise RegenerationError(f"{where}: the whole document cannot be removed")
            else:
                del match.parent.obj[match.parts[-1]]  # type: ignore[attr-defined]
    return unmatched


def _merge(node: Any, update: Any, where: str) -> None:
    """Merge the update into the node: objects key by key, lists end to end, the rest replaced."""
    if isinstance(node, list):
        node.extend(deepcopy(update if isinstance(update, list) else [update]))
        return
    if not (isinstance(node, dict) and isinstance(update, dict)):
        raise RegenerationError(f"{where}: only an object or a list can be updated")
    for key, value in update.items():
        old = node.get(key)
        if isinstance(old, dict | list) and isinstance(value, type(old)):
            _merge(old, value, where)
        else:
            node[key] = deepcopy(value)
