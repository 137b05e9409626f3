"""Tool calls of a reply, assembled from the deltas that gateways send.

Forms that occur: the name first and the arguments later, no `index`, every `index` 0, no `id`, an
empty one, the same one twice, the complete call twice, "", "{}" or null for no arguments, arguments
encoded as JSON twice or with raw line breaks. The time is linear in what was sent.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from generated_client import models

from ..connection.json_values import VALUE_BYTES, count_values
from ..errors import BadReplyError
from .sanitizer import is_too_deep
from .size_limit import CALL_BYTES, SizeLimit, json_size

_STRUCTURE = r'(?s)\\.|["{}\[\]]'
_lenient = json.JSONDecoder(strict=False)


class Call:
    """A tool call, complete or in part.

    Attributes:
        unknown: Fields that the document does not name, such as a thought signature; those of the
            function under `function`.
    """

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.index: int | None = None
        self.unknown: dict[str, Any] = {}
        self._parts: list[str] = []
        self._length = 0
        self._unscanned: list[str] = []  # Parts that _scan has not read.
        self._depth = 0
        self._in_string = False
        self._is_closed = False
        self._backslash = ""  # Half of an escape at the end of the last part.

    @property
    def arguments(self) -> str:
        """The arguments that were sent, as JSON."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def add_arguments(self, arguments: str) -> None:
        """Append to the arguments; replace an empty object, or the same arguments sent before."""
        if not arguments:
            return
        is_empty_object = self._length < 10 and self.arguments.strip() == "{}"
        if is_empty_object or (self.equals(arguments) and self.is_complete()):
            self._parts, self._unscanned, self._length = [], [], 0
            self._depth, self._in_string, self._is_closed, self._backslash = 0, False, False, ""
        self._parts.append(arguments)
        self._unscanned.append(arguments)
        self._length += len(arguments)

    def equals(self, arguments: str) -> bool:
        """Return whether these are the arguments that were sent."""
        return len(arguments) == self._length and arguments == self.arguments

    def is_complete(self) -> bool:
        """Return whether the arguments are an object or list that is closed and not empty."""
        self._scan()
        return self._is_closed and self._length > 2

    def parsed_arguments(self) -> dict[str, Any]:
        """Return the arguments. Raises BadReplyError when they are not a JSON object."""
        parsed = _json_object(self.arguments)
        if parsed is None:
            raise BadReplyError(
                f"EvoLink called the tool {self.name} with arguments that are not a JSON object: "
                f"{self.arguments[:10_000]!r}"
            )
        if is_too_deep(parsed):
            raise BadReplyError(
                f"EvoLink called the tool {self.name} with arguments nested too deep"
            )
        return parsed

    def _scan(self) -> None:
        """Follow strings and brackets in the parts that are new, to find where the value ends."""
        text = self._backslash + "".join(self._unscanned)
        self._unscanned = []
        is_escape_open = (len(text) - len(text.rstrip("\\"))) % 2 == 1
        self._backslash = "\\" if is_escape_open else ""
        for match in re.finditer(_STRUCTURE, text):
            character = match[0]
            if character == '"':
                self._in_string = not self._in_string
            elif not self._in_string and character in "{[":
                self._depth += 1
            elif not self._in_string and character in "}]":
                self._depth -= 1
            else:
                continue
            self._is_closed = self._is_closed or not (self._depth or self._in_string)


class ToolCalls:
    """The calls of one reply, in the order in which they began.

    Args:
        limit: Counts the memory that they take.
    """

    def __init__(self, limit: SizeLimit) -> None:
        self._limit = limit
        self._calls: list[Call] = []
        # The last call with an id and index, with an id, with an index.
        self._by_id_and_index: dict[tuple[str, int | None], Call] = {}
        self._by_id: dict[str, Call] = {}
        self._by_index: dict[int | None, Call] = {}

    def __bool__(self) -> bool:
        """Return whether there is a call."""
        return bool(self._calls)

    def add(self, call: models.ToolCallDelta) -> None:
        """Add a complete call."""
        self._extend(self._begin(), call)

    def add_delta(self, delta: models.ToolCallDelta) -> None:
        """Add a delta of a stream: a part of a call, or a call."""
        self._extend(self._continued(delta) or self._begin(), delta)

    def finished(self) -> list[Call]:
        """Return the calls, each with an id of its own, generated where the server sent none.

        Raises BadReplyError for a call without the name of a tool, and IncompleteReplyError for
        arguments that decoded would take too much memory.
        """
        used: set[str] = set()
        for call in self._calls:
            self._limit.add(VALUE_BYTES * count_values(call.arguments))
            if not call.name:
                raise BadReplyError("EvoLink called a tool without naming it; try again")
            if not call.id or call.id in used:
                call.id = f"call_{os.urandom(16).hex()}"
            used.add(call.id)
        return self._calls

    def _begin(self) -> Call:
        self._limit.add(CALL_BYTES)
        call = Call()
        self._calls.append(call)
        return call

    def _continued(self, delta: models.ToolCallDelta) -> Call | None:
        """Return the call that the delta continues, None when it begins another."""
        name, arguments = _function(delta)
        if not name:
            return self._nearest(_text_or_empty(delta.id), _index(delta))
        call = self._compatible(_text_or_empty(delta.id), _index(delta))
        if call is None or not call.name:
            return call
        again = bool(delta.id) and delta.id == call.id and (not arguments or call.equals(arguments))
        return call if name == call.name and (again or not call.is_complete()) else None

    def _nearest(self, call_id: str, index: int | None) -> Call | None:
        """Return the last call with the id, else with the index, else the last."""
        return (
            (self._by_id_and_index.get((call_id, index)) if call_id else None)
            or (self._by_id.get(call_id) if call_id else None)
            or (self._by_index.get(index) if index is not None else None)
            or (self._calls[-1] if self._calls else None)
        )

    def _compatible(self, call_id: str, index: int | None) -> Call | None:
        """Return the last call whose id and index are equal to these, or unknown on either side."""
        if not call_id and index is None:
            return self._calls[-1] if self._calls else None
        if not call_id:
            return self._by_index.get(index) or self._by_index.get(None)
        if index is None:
            return self._by_id.get(call_id) or self._by_id.get("")
        found = self._by_id_and_index
        keys = ((call_id, index), (call_id, None), ("", index), ("", None))
        return next((found[key] for key in keys if key in found), None)

    def _extend(self, call: Call, delta: models.ToolCallDelta) -> None:
        name, arguments = _function(delta)
        index = _index(delta)
        self._forget(call)
        call.id = call.id or _text_or_empty(delta.id)
        call.name = call.name or name
        call.index = call.index if index is None else index
        self._by_id_and_index[call.id, call.index] = call
        self._by_id[call.id] = call
        self._by_index[call.index] = call
        self._limit.add_text(arguments)
        call.add_arguments(arguments)
        merge(call.unknown, delta.additional_properties, self._limit)
        if delta.function and delta.function.additional_properties:
            unknown = {"function": delta.function.additional_properties}
            merge(call.unknown, unknown, self._limit)

    def _forget(self, call: Call) -> None:
        """Remove the call from the indexes, under the id and index that may change."""
        if self._by_id_and_index.get((call.id, call.index)) is call:
            del self._by_id_and_index[call.id, call.index]
        if self._by_id.get(call.id) is call:
            del self._by_id[call.id]
        if self._by_index.get(call.index) is call:
            del self._by_index[call.index]


_REPLACED = {"id", "type", "index", "role", "name", "format"}
MAX_JOINED = 2**16
"""Maximum number of characters of an unknown field of text that arrives in parts."""


def merge(into: dict[str, Any], update: dict[str, Any], limit: SizeLimit) -> None:
    """Join the unknown fields of a delta to those of earlier deltas; null is ignored.

    Objects are merged by name, lists and text are joined; a name or a signature is replaced. Values
    that are nested too deep are left out.
    """
    for key, value in update.items():
        if value is None or (isinstance(value, (dict, list)) and is_too_deep(value)):
            continue
        old = into.get(key)
        if value == old:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value, limit)
        elif isinstance(old, list) and isinstance(value, list):
            limit.add(json_size(value))
            old.extend(value)
        elif isinstance(old, str) and isinstance(value, str) and not _is_replaced(key):
            if len(old) < MAX_JOINED:
                limit.set(into, key, (old + value)[:MAX_JOINED])
        else:
            limit.set(into, key, value)


def _is_replaced(name: str) -> bool:
    return name in _REPLACED or "signature" in name.lower()


def _function(delta: models.ToolCallDelta) -> tuple[str, str]:
    """Return the name and the arguments in the delta, "" for what it does not hold."""
    if not delta.function:
        return "", ""
    arguments: Any = delta.function.arguments
    if isinstance(arguments, (dict, list)):  # Some gateways send the value itself.
        arguments = json.dumps(arguments)
    return _text_or_empty(delta.function.name).strip(), _text_or_empty(arguments)


def _index(delta: models.ToolCallDelta) -> int | None:
    index: Any = delta.index
    if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) < 10:
        return int(index)
    return index if isinstance(index, int) else None


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in the text, {} for none, null or an empty list; else None."""
    text = text.strip()
    if not text:
        return {}
    try:
        parsed = _lenient.decode(text)
        if isinstance(parsed, str):  # Encoded twice.
            parsed = _lenient.decode(parsed.strip() or "{}")
    except (ValueError, RecursionError):
        return None
    if parsed is None or parsed == []:
        return {}
    return parsed if isinstance(parsed, dict) else None


def _text_or_empty(value: Any) -> str:
    return value if isinstance(value, str) else ""
