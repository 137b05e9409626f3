"""Texts that need a translation, and the overlay actions for it."""

import json
from typing import Any

from .diff import ChangedText
from .overlays import Outcome

PLACEHOLDER = "ENGLISH TEXT"


def translation_actions(texts: list[ChangedText], ours: dict[str, str]) -> list[str]:
    """Return the lines of overlay actions that translate the texts with foreign letters.

    `ours` has English texts by the name of the element, for descriptions of superseded actions.
    """
    lines = []
    for keyword, text in _distinct(texts):
        english = next(
            (ours[each.name] for each in texts if each.text == text and each.name in ours),
            PLACEHOLDER,
        )
        # A JSON string is a string of JSONPath and of YAML, too.
        target = f"$..[?@.{keyword} == {json.dumps(text, ensure_ascii=False)}]"
        update = json.dumps({keyword: english}, ensure_ascii=False)
        lines += [f"  - target: {_quoted(target)}", f"    update: {update}"]
    return lines


def superseded_descriptions(
    outcomes: list[Outcome], overlays: dict[str, dict[str, Any]]
) -> dict[str, str]:
    """Return our description of each superseded field by the name of the element.

    `overlays` has the parsed overlays by file name.
    """
    found = {}
    for outcome in outcomes:
        if outcome.status == "superseded" and outcome.key:
            action = overlays[outcome.overlay]["actions"][outcome.action - 1]
            value = action["update"][outcome.key]
            if isinstance(value, dict) and isinstance(value.get("description"), str):
                schema = action["target"].removesuffix(".properties").rpartition(".")[2]
                found[f"{schema}.{outcome.key}"] = value["description"]
    return found


def needs_translation(text: Any) -> bool:
    """Return whether the value is a text with letters that English does not have."""
    return isinstance(text, str) and any(
        character.isalpha() and not character.isascii() for character in text
    )


def _distinct(texts: list[ChangedText]) -> list[tuple[str, str]]:
    pairs = [
        (each.keyword.removeprefix("info "), each.text)
        for each in texts
        if needs_translation(each.text)
    ]
    return list(dict.fromkeys(pairs))


def _quoted(target: str) -> str:
    return "'" + target.replace("'", "''") + "'"
