"""Deletes actions from the text of an overlay, and leaves everything else as it is."""

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from .overlays import Outcome


def pruned(overlay: bytes, outcomes: list[Outcome]) -> bytes:
    """Return the overlay without its obsolete actions and without the superseded keys of others.

    `overlay` is a valid overlay, and the outcomes are those of its actions.
    """
    lines = overlay.decode().splitlines(keepends=True)
    actions = _actions(overlay)
    ends = [_first_line(action) for action in actions.value[1:]] + [len(lines)]
    deleted: set[int] = set()
    count = len(actions.value)
    for number, (action, end) in enumerate(zip(actions.value, ends, strict=True), start=1):
        end = _without_trailing_comments(lines, _first_line(action), end)
        of_action = [outcome for outcome in outcomes if outcome.action == number]
        keys = {outcome.key for outcome in of_action if outcome.status == "superseded"}
        update = _value(action, "update")
        names = [key.value for key, _ in update.value] if isinstance(update, MappingNode) else []
        if any(outcome.status == "obsolete" for outcome in of_action) or (
            names and keys.issuperset(names)
        ):
            deleted |= set(range(_first_line(action), end))
            count -= 1
        elif keys and isinstance(update, MappingNode) and not update.flow_style:
            deleted |= _lines_of_keys(update, keys, end)
    kept = [line for number, line in enumerate(lines) if number not in deleted]
    if count == 0:
        kept = [line.replace("actions:", "actions: []", 1) for line in kept]
    return "".join(kept).encode()


def _lines_of_keys(update: MappingNode, keys: set[str | None], end: int) -> set[int]:
    starts = [key.start_mark.line for key, _ in update.value]
    return {
        line
        for (key, _), start, after in zip(update.value, starts, [*starts[1:], end], strict=True)
        if key.value in keys
        for line in range(start, after)
    }


def _actions(overlay: bytes) -> SequenceNode:
    root = YAML(typ="safe", pure=True).compose(overlay)
    actions = _value(root, "actions")
    assert isinstance(actions, SequenceNode)  # noqa: S101 - apply_overlay has checked it
    return actions


def _value(node: Node, name: str) -> Node | None:
    return next((value for key, value in node.value if key.value == name), None)


def _first_line(action: Node) -> int:
    line: int = action.start_mark.line
    return line


def _without_trailing_comments(lines: list[str], begin: int, end: int) -> int:
    """Return the end without the comments and blank lines that precede the next action."""
    while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"):
        end -= 1
    return end
