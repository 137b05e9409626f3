"""Replies that a person has written: which prompt is answered with which text."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..request.messages import last_turn


class Canned:
    """Replies by prompt; of several that fit, the first is given.

    Takes pairs of a regular expression, searched in the last user message, and the reply. Raises
    ValueError for one that is not a regular expression.
    """

    def __init__(self, replies: Iterable[tuple[str, str]]) -> None:
        self._replies = [(_pattern(prompt), reply) for prompt, reply in replies]

    def find(self, messages: list[dict[str, Any]]) -> str | None:
        """Return the reply to a request's messages; None when there is none for them."""
        asked, _ = last_turn(messages)
        fitting = (reply for pattern, reply in self._replies if pattern.search(asked))
        return next(fitting, None)


def read_replies(path: Path) -> list[tuple[str, str]]:
    """Return the pairs in a YAML or JSON file, a list of objects with a prompt and a reply.

    Raises ValueError, which says in one line what is wrong with the file.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        entries = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path} is neither YAML nor JSON{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is neither YAML nor JSON: {reason}") from None
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a list of objects with a prompt and a reply")
    return [_pair(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def _pair(entry: Any, where: str) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is not an object with a prompt and a reply")
    for name in ("prompt", "reply"):
        if name not in entry:
            raise ValueError(f"{where} has no {name}")
        if not isinstance(entry[name], str):
            raise ValueError(f"{where}: the {name} is not text; put it in quotes")
    if unknown := sorted(map(str, entry.keys() - {"prompt", "reply"})):
        raise ValueError(f"{where} has {unknown[0]!r}, and can have only a prompt and a reply")
    try:
        _pattern(entry["prompt"])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return entry["prompt"], entry["reply"]


def _pattern(prompt: str) -> re.Pattern[str]:
    try:
        return re.compile(prompt)
    except re.error as error:
        raise ValueError(f"{prompt!r} is not a regular expression: {error}") from None
