"""The user's own replies, each with a pattern for the prompt."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..document import Refusal, shortened
from ..patterns import TIMEOUT, compile_pattern, matches
from ..request.messages import last_turn

MAX_FILE_BYTES = 4 * 2**20
"""Maximum size of a file of replies."""


class FixedReplies:
    """Replies with their patterns.

    Args:
        replies: Pairs of a regular expression, searched in the last user message, and the reply.

    Raises ValueError for an invalid regular expression.
    """

    def __init__(self, replies: Iterable[tuple[str, str]]) -> None:
        self._replies = [(compile_pattern(prompt), reply) for prompt, reply in replies]

    def find(self, messages: list[dict[str, Any]]) -> str | None:
        """Return the first reply whose pattern matches, None if none does.

        Raises Refusal (500) for a search that exceeds the time limit.
        """
        prompt, _ = last_turn(messages)
        for pattern, reply in self._replies:
            try:
                if matches(pattern, prompt):
                    return reply
            except TimeoutError:
                message = f"The pattern {pattern.pattern} took longer than {TIMEOUT} s"
                raise Refusal(500, message=shortened(message)) from None
        return None


def read_replies(path: Path) -> list[tuple[str, str]]:
    """Return the pairs in a YAML or JSON file, a list of objects with a prompt and a reply.

    Raises ValueError, which says in one line what is wrong with the file.
    """
    import yaml  # type: ignore[import-untyped]

    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        entries = yaml.safe_load(content)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path} is neither YAML nor JSON{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is neither YAML nor JSON: {reason}") from None
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a list of objects with a prompt and a reply")
    return [_pair(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def _pair(entry: Any, name: str) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise ValueError(f"{name} is not an object with a prompt and a reply")
    for field in ("prompt", "reply"):
        if field not in entry:
            raise ValueError(f"{name} has no {field}")
        if not isinstance(entry[field], str):
            raise ValueError(f"{name}: the {field} is not text; put it in quotes")
    if unknown := sorted(map(str, entry.keys() - {"prompt", "reply"})):
        raise ValueError(f"{name} has {unknown[0]!r}, and can have only a prompt and a reply")
    try:
        compile_pattern(entry["prompt"])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return entry["prompt"], entry["reply"]
