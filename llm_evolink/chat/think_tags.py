"""Separates reasoning in tags at the beginning of an answer from the answer."""

from __future__ import annotations

from collections.abc import Iterator

_OPENING = ("<think>", "<thought>")


class ThinkTags:
    """Splits the text of one answer, which comes in parts.

    Attributes:
        in_answer: Whether all text from here on is the answer.
    """

    def __init__(self) -> None:
        self.in_answer = False
        self._held = ""
        self._closing = ""  # Tag that ends the reasoning; empty before the opening tag.
        self._is_closed = False
        self._has_reasoning = False

    def split(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield type ("text" or "reasoning") and text of what is certain after one more part."""
        self._held += text
        if not self._closing:
            self._find_opening()
        if self._closing and not self._is_closed:
            yield from self._split_reasoning()
        if self._is_closed:
            self._held = self._held.lstrip()
            self.in_answer = bool(self._held)
        if self.in_answer:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[str, str]]:
        """Yield type and text of what was held back, if anything was."""
        held, self._held = self._held, ""
        if held:
            yield ("reasoning" if self._closing and not self._is_closed else "text"), held

    def _find_opening(self) -> None:
        start = self._held.lstrip()
        for tag in _OPENING:
            if start.startswith(tag):
                self._closing = f"</{tag[1:]}"
                self._held = start[len(tag) :]
                return
        self.in_answer = not any(tag.startswith(start) for tag in _OPENING)

    def _split_reasoning(self) -> Iterator[tuple[str, str]]:
        reasoning, found, rest = self._held.partition(self._closing)
        if found:
            self._is_closed, self._held = True, rest
        else:
            kept = _length_of_possible_end(reasoning, self._closing)
            self._held = reasoning[len(reasoning) - kept :]
            reasoning = reasoning[: len(reasoning) - kept]
        reasoning = reasoning.rstrip("\n") if found else reasoning
        reasoning = reasoning if self._has_reasoning else reasoning.lstrip("\n")
        if reasoning:
            self._has_reasoning = True
            yield "reasoning", reasoning


def _length_of_possible_end(text: str, tag: str) -> int:
    """Return the length of the text's end that can begin the tag, with the newlines before it."""
    length = next(each for each in range(len(tag) - 1, -1, -1) if text.endswith(tag[:each]))
    before = text[: len(text) - length]
    return length + len(before) - len(before.rstrip("\n"))
