"""Deleting actions from the text of an overlay."""

import pytest
from regeneration.overlays import Outcome
from regeneration.prune import pruned

OVERLAY = """\
overlay: 1.0.0
# About the actions.
actions:
  - target: $.a
    update: {x: 1}
# About b.
  - target: $.b
    description: two keys
    update:
      x:
        y: 1
      z: 2

  - target: $.c
    remove: true
"""


def obsolete(action: int) -> Outcome:
    return Outcome("obsolete", "o.yaml", action, "")


def superseded(action: int, key: str) -> Outcome:
    return Outcome("superseded", "o.yaml", action, "", key)


A = "  - target: $.a\n    update: {x: 1}\n"
B = """  - target: $.b
    description: two keys
    update:
      x:
        y: 1
      z: 2
"""
C = "  - target: $.c\n    remove: true\n"


@pytest.mark.parametrize(
    ("outcomes", "old", "new"),
    [
        ([], "", ""),
        ([obsolete(1)], A, ""),
        ([obsolete(2)], B, ""),
        ([obsolete(3)], C, ""),
        ([superseded(1, "x")], A, ""),
        ([superseded(2, "x")], "      x:\n        y: 1\n", ""),
        ([superseded(2, "z")], "      z: 2\n", ""),
        ([superseded(2, "x"), superseded(2, "z")], B, ""),
        ([Outcome("misfit", "o.yaml", 1, "")], "", ""),
    ],
)
def test_obsolete_and_superseded_actions_are_deleted(
    outcomes: list[Outcome], old: str, new: str
) -> None:
    assert pruned(OVERLAY.encode(), outcomes).decode() == OVERLAY.replace(old, new)


def test_every_action_is_deleted() -> None:
    outcomes = [obsolete(number) for number in (1, 2, 3)]
    assert pruned(OVERLAY.encode(), outcomes).decode() == (
        "overlay: 1.0.0\n# About the actions.\nactions: []\n# About b.\n\n"
    )
