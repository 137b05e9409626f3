"""Tool calls of a reply, put together from the pieces that gateways send.

What they do, seen in the wild: the name first and the arguments later, no `index`, every `index`
0, no `id`, an empty one, the same one twice, the whole call twice, "" or "{}" for no arguments.
"""

from __future__ import annotations

import json
import os
from typing import Any

from generated_client import models

from ..errors import BadReplyError


class Call:
    """A call of a tool, as far as it has come.

    Attributes:
        unknown: Fields the document does not name, a thought signature say; under `function`
            those of the function.
    """

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.index: int | None = None
        self.arguments = ""
        self.unknown: dict[str, Any] = {}

    def is_whole(self) -> bool:
        """Return whether the arguments are a JSON object that holds something."""
        return bool(_json_object(self.arguments))

    def parsed_arguments(self) -> dict[str, Any]:
        """Return the arguments. Raises BadReplyError when they are not a JSON object."""
        parsed = _json_object(self.arguments) if self.arguments.strip() else {}
        if parsed is None:
            raise BadReplyError(
                f"EvoLink called the tool {self.name} with arguments that are not a JSON object: "
                f"{self.arguments!r}"
            )
        return parsed


class ToolCalls:
    """The calls of one reply, in the order they began."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def add(self, call: models.ToolCallDelta) -> None:
        """Take in a call that came whole."""
        self._extend(self._begin(), call)

    def add_piece(self, piece: models.ToolCallDelta) -> None:
        """Take in a piece of a call from a stream."""
        self._extend(self._continued(piece) or self._begin(), piece)

    def finished(self) -> list[Call]:
        """Return the calls, each with an id of its own, made up where none or no new one came.

        Raises BadReplyError for a call that does not say of what.
        """
        used: set[str] = set()
        for call in self._calls:
            if not call.name:
                raise BadReplyError("EvoLink called a tool without naming it; try again")
            if not call.id or call.id in used:
                call.id = f"call_{os.urandom(16).hex()}"
            used.add(call.id)
        return self._calls

    def _begin(self) -> Call:
        call = Call()
        self._calls.append(call)
        return call

    def _continued(self, piece: models.ToolCallDelta) -> Call | None:
        """Return the call that the piece goes on with, None when it begins another."""
        name, arguments = _function(piece)
        call = self._nearest(piece, self._calls if not name else self._alike(piece))
        if call is None or not (name and call.name):
            return call
        again = bool(piece.id) and piece.id == call.id and arguments in ("", call.arguments)
        return call if name == call.name and (again or not call.is_whole()) else None

    def _alike(self, piece: models.ToolCallDelta) -> list[Call]:
        """Return the calls whose id and index are the piece's, or not known."""
        index = _index(piece)
        return [
            call
            for call in self._calls
            if (not piece.id or call.id in ("", piece.id))
            and (index is None or call.index in (None, index))
        ]

    def _nearest(self, piece: models.ToolCallDelta, calls: list[Call]) -> Call | None:
        """Return the last call with the piece's id, else with its index, else the last."""
        return max(
            reversed(calls),
            key=lambda call: (call.id == piece.id, call.index == _index(piece)),
            default=None,
        )

    def _extend(self, call: Call, piece: models.ToolCallDelta) -> None:
        name, arguments = _function(piece)
        call.id = call.id or _text_or_empty(piece.id)
        call.name = call.name or name
        call.index = call.index if _index(piece) is None else _index(piece)
        repeated = arguments == call.arguments and call.is_whole()
        if arguments and (call.arguments.strip() == "{}" or repeated):
            call.arguments = arguments  # After "{}" the real ones; or the whole call sent again.
        else:
            call.arguments += arguments
        merge(call.unknown, piece.additional_properties)
        if piece.function and piece.function.additional_properties:
            merge(call.unknown, {"function": piece.function.additional_properties})


def merge(into: dict[str, Any], update: dict[str, Any]) -> None:
    """Merge the update into the dict, objects key by key; null says nothing."""
    for key, value in update.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value)
        elif value is not None:
            into[key] = value


def _function(piece: models.ToolCallDelta) -> tuple[str, str]:
    """Return the name and the arguments in the piece, "" for what it does not hold."""
    if not piece.function:
        return "", ""
    arguments: Any = piece.function.arguments
    if isinstance(arguments, dict):  # Some gateways send the object itself.
        arguments = json.dumps(arguments)
    return _text_or_empty(piece.function.name), _text_or_empty(arguments)


def _index(piece: models.ToolCallDelta) -> int | None:
    return piece.index if isinstance(piece.index, int) else None


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object, None for what is none."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""
